"""The one loop of every daemon: wait, work, and stop when told to.

:func:`run` calls a step again and again.  A step that raises a FleetError
is tried again after a growing pause; anything else ends the daemon, and the
service manager starts a new one.  SIGTERM and SIGINT end the loop between
steps, or at once while it waits.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import queue
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import IO, Any

from .core.errors import FleetError, SettingError

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0


class Stop:
    """Whether the daemon has been told to stop."""

    def __init__(self) -> None:
        self._told = False
        self._waiting = False
        # An Event would not do: a signal handler must not take the lock that
        # the code it interrupts may just hold.
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()

    def __bool__(self) -> bool:
        return self._told

    def now(self, *_signal: object) -> None:
        """Tell the daemon to stop; interrupts :meth:`waiting`, once."""
        self._told = True
        self._wake.put(None)
        if self._waiting:
            self._waiting = False
            raise Interrupted

    def pause(self, seconds: float) -> None:
        """Sleep, but no longer than until told to stop."""
        with contextlib.suppress(queue.Empty):
            self._wake.get(timeout=seconds)
            # For the others that sleep.
            self._wake.put(None)

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Within, being told to stop raises Interrupted, at once."""
        try:
            self._waiting = True
            if self:
                raise Interrupted
            yield
        finally:
            self._waiting = False


class Interrupted(BaseException):
    """Raised where nothing but waiting happens, and expected by run."""


def listen(stop: Stop) -> None:
    """Let SIGTERM and SIGINT tell ``stop``."""
    signal.signal(signal.SIGTERM, stop.now)
    signal.signal(signal.SIGINT, stop.now)


def run(
    step: Callable[[], Any],
    stop: Stop,
    complain: Callable[[FleetError], Any],
) -> None:
    """Call ``step`` until told to stop; ``complain`` hears of failures."""
    pause = FIRST_PAUSE
    while not stop:
        try:
            step()
            pause = FIRST_PAUSE
        except Interrupted:
            break
        except FleetError as problem:
            complain(problem)
            stop.pause(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, LONGEST_PAUSE)


class Beside:
    """Work in a second thread, without which the daemon must not go on.

    Whatever ends it before the daemon was told to stop ends the daemon, and
    is raised by :meth:`join`.
    """

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self._problem: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as problem:  # noqa: BLE001 raised by join
            self._problem = problem
            # Nothing else reaches the first thread wherever it waits.
            os.kill(os.getpid(), signal.SIGTERM)

    def join(self, patience: float) -> None:
        """Wait up to ``patience`` seconds for the end of the work."""
        self._thread.join(patience)
        if self._problem is not None:
            raise self._problem


def alone(path: str, what: str, patience: float = 2.0) -> IO[str]:
    """Hold a lock file for as long as this process lives.

    Returns the open file, which holds the lock.  Raises SettingError when
    another process has it after ``patience`` seconds.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    file = open(path, 'a+')  # noqa: SIM115 the lock lives as long as it
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() < deadline:
                time.sleep(0.02)
                continue
            file.seek(0)
            holder = file.read(20).strip() or 'unknown'
            file.close()
            raise SettingError(
                f'{what} is running already (pid {holder})',
                'stop it first',
            ) from None
    file.truncate(0)
    file.write(f'{os.getpid()}\n')
    file.flush()
    return file
