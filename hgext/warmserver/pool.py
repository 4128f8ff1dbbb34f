"""The workers of a server: forked ahead, or for a request; each used once.

A worker is *rehearsing*, then *spare*, then *serving*, and then it ends; one
that is forked for a request serves at once.  Nothing of a session comes
back but its report, so there is nothing of it in any other.
"""

from __future__ import annotations

import enum
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from . import report, worker
from .report import Report

_ROOM = 8192
_MOST = os.sysconf('SC_OPEN_MAX')


class Stage(enum.Enum):
    """What a worker is doing."""

    REHEARSING = 'rehearsing'
    SPARE = 'spare'
    SERVING = 'serving'


@dataclass
class Worker:
    """One child."""

    pid: int
    leash: socket.socket
    stage: Stage
    kind: str
    since: float
    said: Report | None = None


@dataclass(frozen=True)
class Ended:
    """A worker that is gone; ``said`` is None when it has not served."""

    kind: str
    stage: Stage
    said: Report | None
    seconds: float
    cpu: float


class Pool:
    """All workers of one server."""

    def __init__(
        self,
        setup: worker.Setup,
        forget: Callable[[socket.socket], object],
    ) -> None:
        """``forget`` hears of each leash before it is closed."""
        self._setup = setup
        self._forget = forget
        self._workers: dict[int, Worker] = {}

    def count(self, stage: Stage) -> int:
        """Return how many workers do that."""
        return sum(one.stage is stage for one in self._workers.values())

    def pids(self) -> list[int]:
        """Return the processes of all workers."""
        return list(self._workers)

    def serve(self, link: socket.socket) -> Worker | None:
        """Have a worker serve; return it when it was forked for that.

        Raises OSError when none can be forked.
        """
        for one in self._workers.values():
            if one.stage is not Stage.SPARE:
                continue
            try:
                worker.give(one.leash, link)
            except OSError:
                # It has died, or would wait for ever; without a leash it ends.
                self._let_go(one)
                continue
            one.stage, one.since = Stage.SERVING, time.monotonic()
            return None
        return self._fork(link)

    def rehearse(self) -> Worker:
        """Fork a worker ahead of any request; raises OSError."""
        return self._fork(None)

    def _fork(self, link: socket.socket | None) -> Worker:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if not pid:
            code = worker.BROKEN
            try:
                _keep(theirs, *filter(None, [link]))
                code = worker.live(self._setup, theirs, link)
            finally:
                os._exit(code)
        theirs.close()
        ours.setblocking(False)
        made = Worker(
            pid,
            ours,
            Stage.SERVING if link else Stage.REHEARSING,
            report.FORKED if link else report.SPARE,
            time.monotonic(),
        )
        self._workers[pid] = made
        return made

    def hear(self, one: Worker) -> None:
        """Take all that a worker has said."""
        while one.leash.fileno() >= 0:
            try:
                packet = one.leash.recv(_ROOM)
            except BlockingIOError:
                return
            except OSError:
                packet = b''
            if packet == worker.REHEARSED:
                one.stage = Stage.SPARE
            elif packet:
                with suppress(ValueError, TypeError):
                    one.said = report.decode(packet)
            else:
                self._let_go(one)

    def _let_go(self, one: Worker) -> None:
        if one.leash.fileno() >= 0:
            self._forget(one.leash)
            one.leash.close()

    def reap(self) -> Iterator[Ended]:
        """Yield the workers that have ended."""
        while True:
            try:
                pid, _status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            one = self._workers.pop(pid, None)
            if one is None:
                continue
            self.hear(one)
            self._let_go(one)
            said = one.said
            if said is None and one.stage is Stage.SERVING:
                said = Report(report.KILLED)
            yield Ended(
                one.kind,
                one.stage,
                said,
                time.monotonic() - one.since,
                usage.ru_utime + usage.ru_stime,
            )

    def release(self) -> None:
        """Let those that serve nobody end."""
        for one in self._workers.values():
            if one.stage is not Stage.SERVING:
                self._let_go(one)


def _keep(*sockets: socket.socket) -> None:
    """Close every descriptor but the standard ones and these.

    What a sibling has of another's leash would keep that one waiting.
    """
    kept = sorted({2, *(one.fileno() for one in sockets)})
    for number, following in zip(kept, [*kept[1:], _MOST], strict=True):
        # An empty range would not be one to every version of Python.
        if number + 1 < following:
            os.closerange(number + 1, following)
