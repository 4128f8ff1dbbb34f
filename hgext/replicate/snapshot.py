"""Making snapshots, from this node's copy of a repository.

The repository's lock is held while its files are listed, and small ones read;
it is not while the snapshot goes to the blob store.  So a push waits for as
long as Mercurial's own stream clone would make it wait.  A mirror does not
serve a repository for that moment, if an entry arrives in it.

What is listed in the ledger is in the blob store by then.  Killed before
that, a blob is left that nobody knows; killed after it, the next snapshot
removes what this one replaces.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace

from mercurial import error
from mercurial.utils import stringutil

from ..fleet import failpoint
from ..fleet.core import snapshot as snapshots
from ..fleet.core import walk
from ..fleet.core.errors import BlobError, Diverged, FleetError, NameRefused
from ..fleet.core.ledger import RepoState
from ..fleet.core.snapshot import Snapshot
from ..fleet.edge import local, text
from . import digest, shelf, snapfile
from .follow import catch_up, patiently
from .node import Hosted
from .opening import applying, open_repository


class NoSnapshot(FleetError):
    """A snapshot could not be made; what there was is still there."""


@dataclass(frozen=True)
class Taken:
    """The newest snapshot of a repository.

    ``fresh`` tells whether it was made just now, ``removed`` how many older
    ones were removed.  ``listed`` tells whether it was listed just now.
    """

    name: str
    snapshot: Snapshot
    fresh: bool
    removed: int
    listed: bool = True


def take(hosted: Hosted) -> Taken:
    """Make a snapshot, list it, and remove those that it replaces.

    When nothing has changed since the last one, that is listed again, as one
    that reaches up to now.  Raises FleetError and error.LockHeld.
    """
    node = hosted.node
    end = node.ledger.end(hosted.stream)
    state = patiently(hosted, lambda: catch_up(hosted)).state
    if not state.seq:
        raise NameRefused(f'there is no repository {hosted.name}')
    state = replace(state, position=max(state.position, end))
    before = shelf.current(hosted)
    removed = _remove(hosted, before.dropped)
    newest = before.snapshots[0] if before.snapshots else None
    fresh = (
        newest is None or newest.seq != state.seq or _is_lost(hosted, newest)
    )
    if newest is None or fresh:
        snapshot = _make(hosted, state)
    else:
        snapshot = snapshots.reaching(newest, state)
    failpoint.hit('snapshot.stored')
    after = snapshots.added(before, snapshot)
    shelf.put(hosted, after)
    failpoint.hit('snapshot.listed')
    removed += _remove(hosted, after.dropped)
    return Taken(hosted.name, snapshot, fresh, removed)


def take_if_due(hosted: Hosted) -> Taken:
    """Make or list a snapshot only when the last one is old enough.

    Errors as for :func:`take`.
    """
    newest = next(iter(shelf.current(hosted).snapshots), None)
    if newest is not None:
        node = hosted.node
        state = hosted.applied().state
        left = walk.until_snapshot(
            walk.Visit(newest.time / 1000, newest.seq),
            walk.Here(state.seq, state.time / 1000),
            node.settings.pace.snapshot,
            node.clock.wall(),
        )
        if left > 0:
            return Taken(hosted.name, newest, False, 0, listed=False)
    return take(hosted)


def _is_lost(hosted: Hosted, snapshot: Snapshot) -> bool:
    blob = snapshot.blob
    return blob is not None and not hosted.node.blobs.has(blob)


def _make(hosted: Hosted, state: RepoState) -> Snapshot:
    """Return a snapshot whose blob is stored, of ``state`` or later."""
    node = hosted.node
    now = int(node.clock.wall() * 1000)
    if not state.exists:
        return snapshots.reaching(
            snapshots.made(hosted.applied(), now, node.settings.node), state
        )

    def pin() -> tuple[Snapshot, Iterable[bytes]]:
        with applying(open_repository(hosted)) as unfi:
            applied = hosted.applied()
            stated, actual = applied.state.digest, digest.of(unfi)
            if stated not in ('', actual):
                raise Diverged(
                    f'{hosted.name}: the digest is {actual} where entry '
                    f'{applied.state.seq} states {stated}',
                    'see "hg help replicate::rebuild"',
                )
            snapshot = snapshots.made(applied, now, node.settings.node)
            snapshot = snapshots.reaching(snapshot, state)
            return snapshot, snapfile.chunks(hosted, unfi, snapshot)

    try:
        snapshot, chunks = patiently(hosted, pin)
        blob = node.blobs.put(chunks)
    except error.LockHeld:
        raise
    except (error.Error, OSError) as problem:
        raise NoSnapshot(
            f'{hosted.name}: no snapshot could be made: '
            f'{text(stringutil.forcebytestr(problem))}',
            'try again',
        ) from problem
    return replace(snapshot, blob=blob.sha256, size=blob.size)


def _remove(hosted: Hosted, names: Iterable[str]) -> int:
    """Remove the blobs of snapshots; return how many there were.

    Only what is a snapshot by its own content goes, whatever the list says:
    the payload of an entry must never.
    """
    node, removed = hosted.node, 0
    for name in names:
        try:
            with node.blobs.open(name) as file:
                known = snapfile.is_snapshot(file, node.ui)
        except (BlobError, error.Error, struct.error, ValueError):
            known = False
        if known:
            node.blobs.remove(name)
            removed += 1
        elif node.blobs.has(name):
            node.ui.warn(
                local(f'{hosted.name}: blob {name} is no snapshot; kept\n')
            )
    return removed
