"""The process that is watched: it has the socket, and keeps a server running.

The server itself is a child, a *generation*, which accepts connections and
forks sessions.  When that finds that it is stale, the master executes itself
anew, in the same process, and starts the next generation beside it.  Only
when that has loaded everything is the old one told to drain.  Meanwhile the
old one declines, so nobody waits for a start; and while there is none at all
the master hangs up on whoever connects, to the same end.

A generation is *starting*, then *serving*, then *draining*, and then it ends.
What it has counted is added up here.
"""

from __future__ import annotations

import enum
import json
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from ..fleet import edge
from ..fleet.adapters import unixsocket
from . import request, server
from .report import Counts
from .status import memory

DRAIN = 10.0
"""Seconds that sessions have to end in when the server is stopped."""

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0
"""Seconds before a start that has failed is tried again."""

_SETTLED = 10.0
_TICK = 1.0
_MOMENT = 0.02
_ROOM = 60000


def draft(path: str) -> str:
    """Return where the socket is until the first server is ready."""
    return f'{path}.next'


class Stage(enum.Enum):
    """What a generation is doing."""

    STARTING = 'starting'
    SERVING = 'serving'
    DRAINING = 'draining'


SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
"""What a master is told by; blocked while it executes itself anew."""


@dataclass
class Generation:
    """One server; ``leash`` is the descriptor that leads to it."""

    pid: int
    leash: int
    stage: str
    since: float
    known: dict[str, Any] = field(default_factory=dict)


@dataclass
class Estate:
    """What is handed over when the master executes itself anew."""

    listener: int
    owns: bool
    generations: list[Generation] = field(default_factory=list)
    counts: dict[str, float] = field(default_factory=dict)
    handovers: int = 0

    def encode(self) -> bytes:
        """Return what :meth:`decode` reads."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, data: bytes) -> Estate:
        """Return what an earlier life has left."""
        found = json.loads(data)
        found['generations'] = [Generation(**g) for g in found['generations']]
        return cls(**found)


class Master:
    """The loop; :meth:`run` is all of its life."""

    def __init__(
        self,
        ui: Any,
        path: str,
        estate: Estate,
        spawn: Callable[[int], tuple[int, socket.socket]],
    ) -> None:
        """``spawn`` starts a server, given the listening descriptor."""
        self._ui = ui
        self._path = path
        self._estate = estate
        self._spawn = spawn
        self._listener = socket.socket(fileno=estate.listener)
        self._leashes = {
            one.pid: socket.socket(fileno=one.leash)
            for one in estate.generations
        }
        self._stops = self._renews = False
        # What serves, if anything does, is not what there should be.
        self._wants = True
        self._pause = 0.0
        self._due = time.monotonic()
        self._waking, self._woken = socket.socketpair()
        self._selector = selectors.DefaultSelector()

    def run(self) -> Estate | None:
        """Serve; return what to hand over to the next life, if any."""
        for end in (self._waking, self._woken):
            end.setblocking(False)
        signal.set_wakeup_fd(self._woken.fileno())
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGHUP, self._renew)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        self._listener.setblocking(False)
        self._selector.register(self._waking, selectors.EVENT_READ)
        for pid, leash in self._leashes.items():
            leash.setblocking(False)
            self._selector.register(leash, selectors.EVENT_READ, pid)
        while not (self._stops or self._renews):
            self._turn()
        signal.set_wakeup_fd(-1)
        if self._stops:
            self._end()
            return None
        self._estate.handovers += 1
        return self._estate

    def _stop(self, *_signal: object) -> None:
        self._stops = True

    def _renew(self, *_signal: object) -> None:
        self._renews = True

    def _say(self, said: str) -> None:
        self._ui.status(edge.local(said + '\n'))
        self._ui.flush()

    # -- generations ---------------------------------------------------------

    def _find(self, *stages: Stage) -> list[Generation]:
        chosen = {one.value for one in stages}
        return [g for g in self._estate.generations if g.stage in chosen]

    def _begin(self) -> None:
        try:
            pid, leash = self._spawn(self._listener.fileno())
        except OSError as problem:
            self._say(f'cannot start a server: {problem}')
            self._put_off()
            return
        leash.setblocking(False)
        self._leashes[pid] = leash
        self._selector.register(leash, selectors.EVENT_READ, pid)
        made = Generation(
            pid, leash.fileno(), Stage.STARTING.value, time.time()
        )
        self._estate.generations.append(made)

    def _turn(self) -> None:
        self._reap()
        if self._lacks() and time.monotonic() >= self._due:
            self._begin()
        self._watch(not self._find(Stage.SERVING))
        for key, _events in self._selector.select(self._patience()):
            if key.fileobj is self._waking:
                with suppress(BlockingIOError):
                    self._waking.recv(4096)
            elif key.fileobj is self._listener:
                self._hang_up()
            else:
                self._hear(key.data)

    def _lacks(self) -> bool:
        """Whether a server is to be started."""
        if self._find(Stage.STARTING):
            return False
        return self._wants or not self._find(Stage.SERVING)

    def _patience(self) -> float:
        left = self._due - time.monotonic()
        return min(_TICK, left) if left > 0 else _TICK

    def _hear(self, pid: int) -> None:
        one = next(g for g in self._estate.generations if g.pid == pid)
        try:
            said, descriptors, _flags, _from = socket.recv_fds(
                self._leashes[pid], _ROOM, 1
            )
        except OSError:
            said, descriptors = b'', []
        for descriptor in descriptors:
            link = socket.socket(fileno=descriptor)
            self._obey(said.removeprefix(server.CONTROL), link)
            link.close()
        if said == server.READY:
            self._ready(one)
        elif said.startswith(server.COUNTS):
            one.known = json.loads(said.removeprefix(server.COUNTS))
        elif said.startswith(server.STALE):
            what = edge.text(said.removeprefix(server.STALE))
            if one.stage == Stage.SERVING.value:
                self._say(f'{what} has changed: starting anew')
                self._renews = True
        elif not said:
            self._selector.unregister(self._leashes[pid])

    def _ready(self, ready: Generation) -> None:
        for one in self._find(Stage.SERVING):
            one.stage = Stage.DRAINING.value
            with suppress(OSError):
                self._leashes[one.pid].send(server.DRAIN)
        ready.stage = Stage.SERVING.value
        self._wants = False
        with suppress(FileNotFoundError):
            os.rename(draft(self._path), self._path)
        self._say(f'serving sessions at {self._path}')

    def _reap(self) -> None:
        for one in list(self._estate.generations):
            try:
                pid, status = os.waitpid(one.pid, os.WNOHANG)
            except ChildProcessError:
                pid, status = one.pid, 0
            if pid:
                self._gone(one, os.waitstatus_to_exitcode(status))

    def _gone(self, one: Generation, code: int) -> None:
        """Note that a generation has ended."""
        if one.pid in self._leashes:
            # What it has said last.
            while self._leashes[one.pid] in self._selector.get_map():
                self._hear(one.pid)
            self._leashes.pop(one.pid).close()
        self._estate.generations.remove(one)
        known = Counts(one.known.get('counts'))
        self._estate.counts = (
            Counts(self._estate.counts).including(known).numbers()
        )
        if one.stage == Stage.DRAINING.value:
            return
        if one.stage == Stage.SERVING.value and (
            time.time() - one.since > _SETTLED
        ):
            self._pause = 0.0
            self._due = time.monotonic()
        else:
            self._put_off()
        how = f'exit code {code}' if code >= 0 else f'signal {-code}'
        self._say(f'the server that was {one.stage} has ended ({how})')

    def _put_off(self) -> None:
        """Wait longer than the last time before the next start."""
        pause = max(FIRST_PAUSE, self._pause * 2)
        self._pause = min(pause, LONGEST_PAUSE)
        self._due = time.monotonic() + self._pause

    # -- connections ---------------------------------------------------------

    def _watch(self, accepts: bool) -> None:
        watched = self._listener in self._selector.get_map()
        if accepts and not watched:
            self._selector.register(self._listener, selectors.EVENT_READ)
        elif watched and not accepts:
            self._selector.unregister(self._listener)

    def _hang_up(self) -> None:
        """Have clients go on alone while there is no server."""
        with suppress(OSError):
            link, _address = self._listener.accept()
            # They say it as soon as they have connected.
            link.settimeout(_MOMENT)
            with link, suppress(OSError):
                if unixsocket.user(link) == os.geteuid():
                    self._obey(link.recv(_ROOM), link)

    def _obey(self, said: bytes, link: socket.socket) -> None:
        """Do what an administrator says; anybody else is declined."""
        answer = request.NO + b'no server is ready'
        if said == request.STATUS:
            answer = json.dumps(self._status()).encode()
        elif said in request.CONTROLS:
            self._stops |= said == request.STOP
            self._renews |= said == request.RELOAD
            answer = request.DONE
        with suppress(OSError):
            link.setblocking(False)
            link.send(answer)

    def _status(self) -> dict[str, Any]:
        total = Counts(self._estate.counts)
        servers = []
        for one in self._estate.generations:
            known = {'pids': [], **one.known}
            total = total.including(Counts(known.pop('counts', None)))
            pids = known.pop('pids')
            servers.append(
                {
                    'pid': one.pid,
                    'stage': one.stage,
                    'since': one.since,
                    'memory': sum(map(memory, [one.pid, *pids])),
                    **known,
                }
            )
        return {
            'pid': os.getpid(),
            'handovers': self._estate.handovers,
            'servers': servers,
            'counts': total.numbers(),
        }

    # -- the end -------------------------------------------------------------

    def _end(self) -> None:
        if self._estate.owns:
            for path in (self._path, draft(self._path)):
                with suppress(FileNotFoundError):
                    os.unlink(path)
        self._listener.close()
        for one in self._find(Stage.STARTING):
            os.kill(one.pid, signal.SIGKILL)
        for one in self._find(Stage.SERVING):
            one.stage = Stage.DRAINING.value
            with suppress(OSError):
                self._leashes[one.pid].send(server.DRAIN)
        deadline = time.monotonic() + DRAIN
        while self._estate.generations and time.monotonic() < deadline:
            self._reap()
            time.sleep(0.01)
