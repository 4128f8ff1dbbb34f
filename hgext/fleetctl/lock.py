"""One supervisor for each folder: a lock that ends with who holds it.

Keeper and supervisor share it; the parts do not inherit it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import IO

from ..fleet.core.errors import SettingError
from . import running
from .layout import Layout


def hold(layout: Layout) -> IO[bytes]:
    """Lock it, until the result is closed; SettingError if it is locked."""
    lock = attempt(layout)
    if lock is None:
        seen = running.read(layout).keeper
        pid = f' (pid {seen.pid})' if seen else ''
        raise SettingError(
            f'the fleet in {layout.root} is up already{pid}',
            f'to stop it: hgfleet down --data {layout.root}',
        )
    return lock


def attempt(layout: Layout) -> IO[bytes] | None:
    """Lock it, unless it is locked already.

    Raises SettingError when the folder cannot be used.
    """
    try:
        os.makedirs(os.path.dirname(layout.lock), mode=0o700, exist_ok=True)
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(open(layout.lock, 'ab'))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            stack.pop_all()
            return file
    except BlockingIOError:
        return None
    except OSError as problem:
        raise SettingError(
            f'cannot use {layout.root}: {problem.strerror}'
        ) from None
