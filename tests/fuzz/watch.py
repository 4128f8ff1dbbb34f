"""Nothing may be started while input is looked at.

Python tells an audit hook of every process that is to be started, whatever
asks for it; from the first :func:`begin` on, each is a finding.
"""

from __future__ import annotations

import sys

_STARTS = frozenset(
    {
        *('subprocess.Popen', 'os.system', 'os.exec', 'os.fork'),
        *('os.forkpty', 'os.posix_spawn', 'os.spawn', 'pty.spawn'),
    }
)
_watched = _hooked = False


class Started(BaseException):
    """A process was to be started; not an Exception, so none swallows it."""


def begin() -> None:
    """Let nothing be started from here on; harmless when repeated."""
    global _watched, _hooked
    if not _hooked:
        sys.addaudithook(_hook)
    _watched = _hooked = True


def end() -> None:
    """Stop watching, since a hook cannot be taken away."""
    global _watched
    _watched = False


def _hook(event: str, arguments: object) -> None:
    if _watched and event in _STARTS:
        raise Started(f'{event} {arguments!r}'[:500])
