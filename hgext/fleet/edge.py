"""The door between Mercurial's bytes and the fleet's types.

Inside, names are str and failures are FleetErrors; outside, everything is
bytes and failures are Mercurial's.  Both are converted here, once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from mercurial import error

from .core.errors import FleetError

# What a parameter of a bundle2 part can hold, in bytes.
_FIELD = 255


def text(data: bytes) -> str:
    """Return str for bytes of any content, reversibly."""
    return data.decode('utf-8', 'surrogateescape')


def local(string: str) -> bytes:
    """Return the bytes that :func:`text` was given."""
    return string.encode('utf-8', 'surrogateescape')


def abort(problem: FleetError, longest: int | None = None) -> error.Abort:
    """Return the Mercurial error that says the same, if need be cut."""
    hint = local(problem.hint)[:longest] if problem.hint else None
    return error.Abort(local(str(problem))[:longest], hint=hint)


@contextlib.contextmanager
def refusing(ui: Any = None) -> Iterator[None]:
    """Within, a FleetError leaves as Mercurial's Abort.

    ``ui`` must be given where it may be a push that is refused: the whole
    of a long message is printed there.  Mercurial's own way of telling the
    client has room for 255 bytes, and ends in a traceback when there are
    more.
    """
    try:
        yield
    except FleetError as problem:
        if ui is None:
            raise abort(problem) from None
        message = local(str(problem))
        if len(message) > _FIELD:
            ui.warn(b'%s\n' % message)
        raise abort(problem, _FIELD) from None
