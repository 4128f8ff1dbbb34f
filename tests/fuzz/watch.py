"""Nothing may be started while input is looked at.

Python tells an audit hook of every process that is to be started, whatever
asks for it; in the block of :func:`watching`, each is a finding.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_STARTS = frozenset(
    {
        *('subprocess.Popen', 'os.system', 'os.exec', 'os.fork'),
        *('os.forkpty', 'os.posix_spawn', 'os.spawn', 'pty.spawn'),
    }
)
_watched = _hooked = False


class Started(BaseException):
    """A process was to be started; not an Exception, so none swallows it."""


@contextmanager
def watching() -> Iterator[None]:
    """Let nothing be started in this block."""
    global _watched, _hooked
    if not _hooked:
        sys.addaudithook(_hook)  # it cannot be taken away
    _watched = _hooked = True
    try:
        yield
    finally:
        _watched = False


def _hook(event: str, arguments: object) -> None:
    if _watched and event in _STARTS:
        raise Started(f'{event} {arguments!r}'[:500])
