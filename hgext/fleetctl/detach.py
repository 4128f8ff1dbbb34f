"""Going on in the background once everything is ready.

The process that was started waits for the word of those in the background,
which until then speak to the same terminal.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from . import process
from .keeper import AWAITED

_READY = b'r'


class Foreground:
    """Keeper and supervisor speak to the terminal to their end."""

    def leave(self) -> None:
        """In the keeper: the supervisor has been started."""

    def ready(self) -> None:
        """In the supervisor: everything is ready."""


class Background(Foreground):
    """From ``ready`` on, all output goes to a log file."""

    def __init__(self, log: str, word: int) -> None:
        self._log = log
        self._word = word

    def leave(self) -> None:
        """In the keeper: nobody shall wait for its output to end."""
        _to_log(self._log)

    def ready(self) -> None:
        """In the supervisor: let the first process end."""
        _to_log(self._log)
        os.write(self._word, _READY)
        os.close(self._word)


def detach(log: str, start: Callable[[Foreground], int]) -> int:
    """Run ``start`` in the background; return the exit code for now.

    It is 0 as soon as ``ready`` was called; when ``start`` returns before
    that, what it returns (but never 0).
    """
    ours, theirs = os.pipe()
    # Who is in the background waits for signals, and they may come at once.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED)
    child = os.fork()
    if child == 0:
        os.close(ours)
        process.leave(lambda: _go_on(log, theirs, start))
    os.close(theirs)

    def hand_on(_number: int, _frame: object) -> None:
        os.kill(child, signal.SIGTERM)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, hand_on)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    word = os.read(ours, 1)
    os.close(ours)
    if word == _READY:
        return 0
    _pid, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code > 0 else 255


def _go_on(log: str, word: int, start: Callable[[Foreground], int]) -> int:
    os.setsid()
    os.chdir('/')
    _close_inherited()
    _redirect(0, '/dev/null', os.O_RDONLY)
    return start(Background(log, word))


def _to_log(log: str) -> None:
    for handle in (1, 2):
        _redirect(handle, log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def _redirect(handle: int, path: str, flags: int) -> None:
    opened = os.open(path, flags, 0o600)
    os.dup2(opened, handle)
    os.close(opened)


def _close_inherited() -> None:
    """Close what a caller left open, who may wait for its end."""
    for name in os.listdir('/proc/self/fd'):
        handle = int(name)
        try:
            if handle > 2 and os.get_inheritable(handle):
                os.close(handle)
        except OSError:
            # The folder's own handle is listed, and closed already.
            continue
