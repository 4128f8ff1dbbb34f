"""The process that sessions are forked from: one generation of the server.

It has loaded what sessions need, and been through sessions of nobody, before
it takes its first connection.  From then on it opens no repository and no
ledger, and it has one thread; so what it is when it forks is what it was when
it began.  Of what clients say it looks at nothing but whether it is a command
for itself.

A connection waits until something has arrived on it.  Then it is compared
what is on disk, once for all that have arrived meanwhile, and each is given
to a worker: a spare one, or one that is forked for it.  Workers are forked
ahead only while nobody has come for a moment, so never in anybody's way.

When a file has changed it serves nobody any more.  Whoever comes waits for the
next generation, as that is there sooner than a session that begins alone, all
the more as nobody who waits is in its way; but not for longer than ``HOLD``.

It lives as long as its master (``master.py``) does not tell it to drain, or
ends.  Then it takes no more connections, hands on those that nobody serves
yet, and ends after its last session.
"""

from __future__ import annotations

import json
import os
import select
import selectors
import signal
import socket
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ..fleet.adapters import unixsocket
from . import fresh, rehearsal, report, request, worker
from .fresh import Marks
from .pool import Pool, Stage, Worker
from .report import Counts, Report
from .saying import say

PATIENCE = 5.0
"""Seconds in which a client must have said what it wants."""

WAITING = 256
"""Connections that may be open without having said anything."""

REST = 0.02
"""Seconds without a request, after which a worker is forked ahead."""

HOLD = 2.0
"""Seconds for which clients wait for the next generation."""

READY, STALE, COUNTS, CONTROL = b'ready', b'stale ', b'counts ', b'control '
DRAIN, HELD = b'drain', b'held'

_TICK = 0.5
_ACCEPTS = 64
_BREATH = 0.01
# Seconds until workers are forked ahead again, when one has failed.
_REFRAIN = 60.0


@dataclass
class Waiting:
    """A connection that nobody serves yet."""

    link: socket.socket
    since: float


@dataclass(frozen=True)
class Plan:
    """How many workers there may be, and how many ahead."""

    workers: int
    spare: int


def _take(link: socket.socket) -> None:
    """Drop a packet that has arrived; else closing would drop our answer."""
    with suppress(OSError):
        link.recv(1, socket.MSG_DONTWAIT)


def _last_word(said: Report | None) -> str:
    lines = said.detail.splitlines() if said else []
    return f': {lines[-1]}' if lines else ''


class Server:
    """The loop; :meth:`run` is all of its life."""

    def __init__(
        self,
        setup: worker.Setup,
        plan: Plan,
        marks: Marks,
        listener: socket.socket,
        master: socket.socket,
    ) -> None:
        self._ui: Any = setup.ui
        self._plan = plan
        self._marks = marks
        self._listener = listener
        self._master = master
        self._selector = selectors.DefaultSelector()
        self._pool = Pool(setup, self._selector.unregister)
        self._shelf = setup.shelf
        self._counts = Counts()
        self._silent: dict[int, Waiting] = {}
        self._spoken: deque[Waiting] = deque()
        self._stale: bytes | None = None
        # Whether the master knows.
        self._told = False
        self._holds_until = 0.0
        self._drains = self._hands_on = False
        self._rehearses_from = 0.0
        self._last = time.monotonic()
        self._waking, self._woken = socket.socketpair()

    def run(self) -> None:
        """Serve until told to drain, and until the last session has ended."""
        for end in (self._waking, self._woken):
            end.setblocking(False)
        signal.set_wakeup_fd(self._woken.fileno())
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._drain)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for end in (self._waking, self._master, self._listener):
            end.setblocking(False)
            self._selector.register(end, selectors.EVENT_READ)
        self._tell(READY)
        while not self._drains:
            self._turn()
        self._end()

    def _drain(self, *_signal: object) -> None:
        self._drains = True

    def _tell(self, said: bytes, *descriptors: int) -> bool:
        """Say something to the master, if it can take that now.

        Without one there is an end of it.
        """
        try:
            socket.send_fds(self._master, [said], list(descriptors))
        except BlockingIOError:
            return False
        except OSError:
            self._drains = True
            return False
        return True

    # -- one turn ------------------------------------------------------------

    def _turn(self) -> None:
        self._reap()
        for key, _events in self._selector.select(self._patience()):
            if key.fileobj is self._listener:
                self._accept()
            elif key.fileobj is self._waking:
                with suppress(BlockingIOError):
                    self._waking.recv(4096)
            elif key.fileobj is self._master:
                self._hear_master()
            elif isinstance(key.data, Worker):
                self._pool.hear(key.data)
            else:
                self._speaks(key.fd)
        self._reap()
        self._serve()
        self._tell_stale()
        self._forget_late()
        if self._is_idle():
            self._read_ahead()
        if self._lacks() and not self._pause():
            self._fork_ahead()

    def _fork_ahead(self) -> None:
        rehearsal.recall(self._ui)
        try:
            self._watch(self._pool.rehearse())
        except OSError as problem:
            self._refrain(f'cannot fork: {problem.strerror}')

    def _refrain(self, why: str) -> None:
        """Fork workers on demand only, for a while."""
        self._rehearses_from = time.monotonic() + _REFRAIN
        say(self._ui, f'{why}; workers are forked on demand')

    def _patience(self) -> float:
        if self._spoken and self._holds():
            return min(_TICK, self._holds_until - time.monotonic())
        return min(_TICK, self._pause()) if self._lacks() else _TICK

    def _holds(self) -> bool:
        """Whether those who have spoken wait for the next generation."""
        return self._stale is not None and time.monotonic() < self._holds_until

    def _read_ahead(self) -> None:
        began = time.time_ns()
        if self._shelf.step(time.monotonic()):
            # They were forked before.
            self._pool.release()
            # It may have imported what had been put off.
            self._renew(self._marks.include(fresh.modules(), began))

    def _is_idle(self) -> bool:
        return not (self._pause() or self._spoken or self._stale)

    def _pause(self) -> float:
        return max(0.0, self._last + REST - time.monotonic())

    def _lacks(self) -> bool:
        """Whether another worker is to be forked ahead."""
        if self._stale or self._spoken or self._drains:
            return False
        if time.monotonic() < self._rehearses_from:
            return False
        rehearsing = self._pool.count(Stage.REHEARSING)
        return not rehearsing and (
            self._pool.count(Stage.SPARE) < self._plan.spare
        )

    def _watch(self, one: Worker) -> None:
        self._selector.register(one.leash, selectors.EVENT_READ, one)

    def _hear_master(self) -> None:
        said, descriptors = b'', list[int]()
        with suppress(OSError):
            said, descriptors, *_ = socket.recv_fds(self._master, 100, 1)
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
            self._welcome(socket.socket(fileno=descriptor))
        if said in (DRAIN, b''):
            self._drains, self._hands_on = True, said == DRAIN

    # -- connections ---------------------------------------------------------

    def _accept(self) -> None:
        for _time in range(_ACCEPTS):
            try:
                link, _address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError:
                # No descriptors are left: sessions that end give some back.
                time.sleep(_BREATH)
                return
            self._welcome(link)

    def _welcome(self, link: socket.socket) -> None:
        """Wait for what a connection says, if it is one of ours."""
        one = Waiting(link, time.monotonic())
        if unixsocket.user(link) != os.geteuid():
            self._refuse(one, Report(report.FOREIGN))
            return
        if len(self._silent) >= WAITING:
            # The oldest: the forced command speaks as soon as it has
            # connected, and is not kept out by those that do not.
            oldest = next(iter(self._silent))
            self._refuse(self._leaves(oldest), Report(report.SILENT))
        self._silent[link.fileno()] = one
        self._selector.register(link, selectors.EVENT_READ)

    def _leaves(self, descriptor: int) -> Waiting:
        one = self._silent.pop(descriptor)
        self._selector.unregister(one.link)
        return one

    def _speaks(self, descriptor: int) -> None:
        if descriptor not in self._silent:
            return
        one = self._leaves(descriptor)
        try:
            said = one.link.recv(
                len(request.RELOAD), socket.MSG_PEEK | socket.MSG_DONTWAIT
            )
        except OSError:
            said = b''
        if said in request.CONTROLS:
            _take(one.link)
            self._tell_counts()
            self._tell(CONTROL + said, one.link.fileno())
            one.link.close()
        elif said:
            self._last = time.monotonic()
            self._spoken.append(one)
        else:
            self._refuse(one, Report(report.SILENT))

    def _serve(self) -> None:
        """Have workers serve whoever has spoken, as far as there is room."""
        checked = False
        while self._spoken:
            if self._stale is None and self._is_full():
                return
            if not checked:
                self._check()
                checked = True
            if self._holds():
                return
            one = self._spoken.popleft()
            if unixsocket.hung_up(one.link):
                # To fork for it would keep those waiting who are there.
                self._refuse(one, Report(report.LEFT))
                continue
            if self._stale is not None:
                said = f'{os.fsdecode(self._stale)} has changed'
                self._refuse(one, Report(report.STALE, detail=said))
                continue
            try:
                forked = self._pool.serve(one.link)
            except OSError as problem:
                said = f'cannot fork: {problem.strerror}'
                self._refuse(one, Report(report.BUSY, detail=said))
                continue
            if forked is not None:
                self._watch(forked)
            one.link.close()
            self._last = time.monotonic()

    def _is_full(self) -> bool:
        return self._pool.count(Stage.SERVING) >= self._plan.workers

    def _check(self) -> None:
        """Compare what was loaded with what is there now."""
        if self._stale is None:
            self._renew(self._marks.changed())

    def _renew(self, changed: bytes | None) -> None:
        """Serve nobody any more, if a file has changed."""
        if changed is None:
            return
        self._stale = changed
        self._holds_until = time.monotonic() + HOLD
        self._marks.forget()
        self._tell_stale()
        self._pool.release()

    def _tell_stale(self) -> None:
        if self._stale is not None and not self._told:
            self._told = self._tell(STALE + self._stale)

    def _forget_late(self) -> None:
        now = time.monotonic()
        while self._silent:
            oldest = next(iter(self._silent.values()))
            if now - oldest.since <= PATIENCE:
                break
            self._leaves(oldest.link.fileno())
            self._refuse(oldest, Report(report.SILENT))
        while self._spoken and now - self._spoken[0].since > PATIENCE:
            self._refuse(self._spoken.popleft(), Report(report.BUSY))

    def _refuse(self, one: Waiting, said: Report) -> None:
        _take(one.link)
        worker.decline(one.link, said.detail or said.outcome)
        one.link.close()
        self._note(said, report.NONE, time.monotonic() - one.since, 0.0)

    # -- what has become of them ---------------------------------------------

    def _reap(self) -> None:
        for ended in self._pool.reap():
            if ended.stage is Stage.REHEARSING:
                if not (self._stale or self._drains):
                    self._refrain(f'a rehearsal failed{_last_word(ended.said)}')
            elif ended.said is not None:
                self._note(ended.said, ended.kind, ended.seconds, ended.cpu)

    def _note(
        self, said: Report, kind: str, seconds: float, cpu: float
    ) -> None:
        self._counts.add(said, kind, seconds, cpu)
        if said.outcome == report.SERVED and said.status == 0:
            self._shelf.want(said.repo)
        say(self._ui, report.line(said, kind, seconds, cpu))

    def _tell_counts(self) -> None:
        known = {
            'counts': self._counts.numbers(),
            'pids': self._pool.pids(),
            **{one.value: self._pool.count(one) for one in Stage},
        }
        self._tell(COUNTS + json.dumps(known).encode())

    # -- the end -------------------------------------------------------------

    def _end(self) -> None:
        self._selector.unregister(self._listener)
        self._listener.close()
        self._pool.release()
        self._master.settimeout(_TICK)
        for one in [*self._spoken, *map(self._leaves, list(self._silent))]:
            self._hands_on = self._hands_on and self._tell(
                HELD, one.link.fileno()
            )
            if self._hands_on:
                one.link.close()
            else:
                self._refuse(one, Report(report.STALE, detail='it ends'))
        while self._pool.pids():
            self._reap()
            self._tell_counts()
            if self._pool.pids():
                select.select([self._waking], [], [], _TICK)
                with suppress(BlockingIOError):
                    self._waking.recv(4096)
        self._tell_counts()
