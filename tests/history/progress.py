"""Say how far the work is: one changing line, or a line per part in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

# what is being done, how many of it are done, and out of how many
Progress = Callable[[str, int, int], None]

INTERVAL = 0.1  # seconds between two pictures


def silent(what: str, done: int, total: int) -> None:
    """Show nothing."""


def shown() -> Progress:
    """What suits the standard error."""
    return _Terminal() if sys.stderr.isatty() else _log


class _Terminal:
    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done == total:
            sys.stderr.write('\r\x1b[K')
        elif now >= self._next:
            self._next = now + INTERVAL
            sys.stderr.write(f'\r\x1b[K{what}: {done} of {total}')
        sys.stderr.flush()


def _log(what: str, done: int, total: int) -> None:
    if done == total:
        sys.stderr.write(f'{what}: {total}\n')
