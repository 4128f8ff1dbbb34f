"""What a push may be made of.

Whatever Mercurial takes from a server that it pulls from, it also takes from
a client that pushes: the files of a store, which it writes as they are, the
address of a changegroup, which it then fetches, and caches.  None of these
is part of the transaction that checks judge and the ledger records, or is
taken back when that is refused; and no client sends them when it pushes.  So
of the parts of a bundle only those are taken that a push has.

Push variables are handed to the transaction at once: Mercurial would do so
with the next part that asks for it, and bookmarks of old clients do not, so
that what was only to be checked would be done.

A changegroup that would turn an empty repository into one with a manifest
for each folder, or has a format that nobody was offered, is refused as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mercurial import bundle2, changegroup, error, scmutil

_CHANGES = b'changegroup'
_VARIABLES = b'pushvars'
_TREES = b'treemanifest'

TAKEN = frozenset(
    (
        *(b'replycaps', _VARIABLES),
        *(b'check:heads', b'check:updated-heads'),
        *(b'check:bookmarks', b'check:phases'),
        *(_CHANGES, b'phase-heads', b'bookmarks', b'pushkey', b'obsmarkers'),
    )
)
"""The parts that stock clients push."""


def unbundle(orig: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Wrap exchange.unbundle, by which everything comes that is pushed."""
    with _only_taken():
        return orig(*args, **options)


@contextmanager
def _only_taken() -> Iterator[None]:
    """Within, other parts are such that this Mercurial does not know."""
    handlers: dict[bytes, Any] = bundle2.parthandlermapping
    known = dict(handlers)
    handlers.clear()
    handlers.update({one: known[one] for one in TAKEN & known.keys()})
    handlers[_CHANGES] = _guarded(known[_CHANGES])
    handlers[_VARIABLES] = _at_once(known[_VARIABLES])
    try:
        yield
    finally:
        handlers.update(known)


def _at_once(orig: Any) -> Any:
    def variables(op: Any, part: Any) -> None:
        orig(op, part)
        op.gettransaction()

    variables.params = orig.params  # type: ignore[attr-defined]
    return variables


def _guarded(orig: Any) -> Any:
    def changes(op: Any, part: Any) -> None:
        version = part.params.get(b'version', b'01')
        if version not in changegroup.supportedincomingversions(op.repo):
            raise error.Abort(
                b'this repository takes no changegroups of that version',
                hint=b'push with another version of Mercurial',
            )
        if _TREES in part.params and not scmutil.istreemanifest(op.repo):
            raise error.Abort(
                b'this repository has no manifests for folders',
                hint=b'push from a clone of it',
            )
        orig(op, part)

    changes.params = orig.params  # type: ignore[attr-defined]
    return changes
