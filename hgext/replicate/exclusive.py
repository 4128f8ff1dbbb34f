"""What only one process of a node may do at a time."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator

from mercurial import error

from ..fleet.edge import local


@contextlib.contextmanager
def alone(path: str, holder: bytes) -> Iterator[None]:
    """Hold the lock file at ``path``; raises error.LockHeld at once.

    ``holder`` is who is said to have it then.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'ab') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise error.LockHeld(
                errno.EAGAIN, local(path), local(path), holder
            ) from None
        yield
