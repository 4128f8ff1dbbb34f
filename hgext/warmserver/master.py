"""The process that is watched: it has the socket, and keeps a server running.

The server itself is a child, a *generation*, which accepts connections and
forks sessions.  When that finds that it is stale, the master starts the next
one beside it.  Only when that has loaded everything is the old one told to
drain, and what it has not served yet goes to the next.  Meanwhile clients wait,
but not for longer than ``server.HOLD``; then the old one declines.  While there
is none at all, at the beginning too, the master does the same, and hangs up on
whoever connects.

Then the master, which is as old, executes itself anew, in the same process,
when ``renewal.py`` says so.  Since sessions would not outlive a master that
cannot start, a child tries that first; if it fails, this life goes on.

Whoever removes the socket, such as a job that cleans a folder, makes it start
anew as well, with another one; whoever puts another in its place ends it.

What the generations (``estate.py``) have counted is added up here.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ..fleet import edge
from ..fleet.adapters import unixsocket
from . import renewal, request, server
from .estate import Estate, Generation, Stage
from .report import Counts
from .saying import say
from .status import memory

DRAIN = 10.0
"""Seconds that sessions have to end in when the server is stopped."""

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0
"""Seconds before a start that has failed is tried again."""

_BACKLOG = 4096
_SETTLED = 10.0
_TICK = 1.0
_MOMENT = 0.02
_ROOM = 60000


def listen(path: str) -> socket.socket:
    """Listen at ``path``, in place of what a killed one has left there."""
    return unixsocket.listen(path, _BACKLOG, socket.SOCK_SEQPACKET)


def _how(code: int) -> str:
    return f'exit code {code}' if code >= 0 else f'signal {-code}'


SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
"""What a master is told by; blocked while it executes itself anew."""


class Master:
    """The loop; :meth:`run` is all of its life."""

    def __init__(
        self,
        ui: Any,
        path: str,
        estate: Estate,
        spawn: Callable[[int], tuple[int, socket.socket]],
        attempt: Callable[[Estate], int],
    ) -> None:
        """``spawn`` starts a server, given the listening descriptor.

        ``attempt`` starts a process that ends as the next life would begin.
        """
        self._ui = ui
        self._path = path
        self._estate = estate
        self._spawn = spawn
        self._attempt = attempt
        self._listener = socket.socket(fileno=estate.listener)
        self._leashes = {
            one.pid: socket.socket(fileno=one.leash)
            for one in estate.generations
        }
        self._stops = False
        self._renewal = renewal.Renewal()
        # Who finds out whether the next life can begin, and whether it can.
        self._trial: int | None = None
        self._goes_on = False
        now = time.monotonic()
        self._lost = now if estate.lost is None else estate.lost
        self._pause = 0.0
        self._due = now
        # Whether what is starting began before somebody said "anew".
        self._outdates = False
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
        if self._estate.bound is None:
            self._estate.bound = self._found()
        while not (self._stops or self._goes_on):
            self._turn()
        # The next life hears of what comes from here on.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        signal.set_wakeup_fd(-1)
        if self._stops:
            self._end()
            return None
        self._estate.lost = self._lost
        return self._estate

    def _stop(self, *_signal: object) -> None:
        self._stops = True

    def _renew(self, *_signal: object) -> None:
        self._estate.wants = self._outdates = True
        self._renewal.changed()

    # -- generations ---------------------------------------------------------

    def _find(self, *stages: Stage) -> list[Generation]:
        chosen = {one.value for one in stages}
        return [g for g in self._estate.generations if g.stage in chosen]

    def _begin(self) -> None:
        try:
            pid, leash = self._spawn(self._listener.fileno())
        except OSError as problem:
            say(self._ui, f'cannot start a server: {problem}')
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
        if self._goes_on:
            return
        if self._outdates:
            self._give_up()
        now = time.monotonic()
        if self._trial is not None and self._renewal.is_vain(now):
            os.kill(self._trial, signal.SIGKILL)
        if now >= self._renewal.at:
            self._try()
        if self._lacks() and time.monotonic() >= self._due:
            self._begin()
        self._stay_bound()
        if self._find(Stage.SERVING):
            self._lost = time.monotonic()
        self._watch(not (self._find(Stage.SERVING) or self._holds()))
        self._attend(self._patience())

    def _attend(self, patience: float) -> None:
        """Wait so many seconds, at most, for what happens first."""
        for key, _events in self._selector.select(patience):
            if key.fileobj is self._waking:
                with suppress(BlockingIOError):
                    self._waking.recv(4096)
            elif key.fileobj is self._listener:
                self._hang_up()
            else:
                self._hear(key.data)

    def _lacks(self) -> bool:
        """Whether a server is to be started."""
        if self._find(Stage.STARTING) or self._renewal.is_first:
            return False
        return self._estate.wants or not self._find(Stage.SERVING)

    def _holds(self) -> bool:
        """Whether those who come wait, as another server should be near."""
        return time.monotonic() < self._lost + server.HOLD

    def _patience(self) -> float:
        now = time.monotonic()
        times = (self._due, self._lost + server.HOLD, self._renewal.at)
        return min([_TICK, *(one - now for one in times if one > now)])

    def _hear(self, pid: int) -> None:
        one = next(g for g in self._estate.generations if g.pid == pid)
        try:
            said, descriptors, _flags, _from = socket.recv_fds(
                self._leashes[pid], _ROOM, 1
            )
        except OSError:
            said, descriptors = b'', []
        for descriptor in descriptors:
            with socket.socket(fileno=descriptor) as link:
                if said == server.HELD:
                    self._hand_on(link)
                else:
                    self._obey(said.removeprefix(server.CONTROL), link)
        if said == server.READY and one.stage == Stage.STARTING.value:
            self._ready(one)
        elif said.startswith(server.COUNTS):
            one.known = json.loads(said.removeprefix(server.COUNTS))
        elif said.startswith(server.STALE):
            what = edge.text(said.removeprefix(server.STALE))
            if one.stage == Stage.SERVING.value:
                say(self._ui, f'{what} has changed: starting anew')
                self._renew()
        elif not said:
            self._selector.unregister(self._leashes[pid])

    def _give_up(self) -> None:
        """End what began before a change; it would find out by itself."""
        self._outdates = False
        for one in self._find(Stage.STARTING):
            one.stage = Stage.DRAINING.value
            with suppress(ProcessLookupError):
                os.kill(one.pid, signal.SIGKILL)

    def _hand_on(self, link: socket.socket) -> None:
        """Have what serves now serve a connection; else that goes on alone."""
        for one in self._find(Stage.SERVING):
            with suppress(OSError):
                socket.send_fds(
                    self._leashes[one.pid], [server.HELD], [link.fileno()]
                )

    def _drain(self, one: Generation) -> None:
        one.stage = Stage.DRAINING.value
        leash = self._leashes[one.pid]
        try:
            leash.send(server.DRAIN)
        except OSError:
            # It is full; after what is queued comes the end.
            with suppress(OSError):
                leash.shutdown(socket.SHUT_WR)

    def _ready(self, ready: Generation) -> None:
        for one in self._find(Stage.SERVING):
            self._estate.handovers += 1
            self._drain(one)
        ready.stage = Stage.SERVING.value
        self._estate.wants = False
        self._renewal.ready(time.monotonic())
        say(self._ui, f'serving sessions at {self._path}')

    def _try(self) -> None:
        """Begin to find out whether the next life would start."""
        self._renewal.tries(time.monotonic())
        try:
            self._trial = self._attempt(self._estate)
        except OSError as problem:
            self._renewal.tried(fine=False)
            self._stay(f'{problem}')

    def _tried(self, code: int) -> None:
        self._trial = None
        is_void = self._renewal.is_void
        self._goes_on = self._renewal.tried(fine=code == 0)
        if code and not is_void:
            self._stay(_how(code))

    def _stay(self, why: str) -> None:
        """Go on in this life; what serves is renewed from here, if it can."""
        say(self._ui, f'cannot start anew ({why}): this process goes on')

    def _reap(self) -> None:
        if self._trial is not None:
            pid, status = os.waitpid(self._trial, os.WNOHANG)
            if pid:
                self._tried(os.waitstatus_to_exitcode(status))
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
            now, is_first = time.monotonic(), not self._pause
            self._put_off()
            if code == renewal.CHANGED and is_first:
                # What was read while it changed is read again at once.
                self._due = now
            if one.stage == Stage.STARTING.value:
                self._renewal.failed(now, code)
        say(
            self._ui,
            f'the server that was {one.stage} has ended ({_how(code)})',
        )

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
            if said == request.RELOAD:
                self._renew()
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

    # -- the socket ----------------------------------------------------------

    def _found(self) -> list[int] | None:
        try:
            found = os.lstat(self._path)
        except OSError:
            return None
        return [found.st_dev, found.st_ino]

    def _stay_bound(self) -> None:
        """See to it that what is in the socket's place leads here."""
        estate = self._estate
        if not estate.owns or estate.wants or self._find(Stage.STARTING):
            return
        found = self._found()
        if found is None and time.monotonic() >= self._due:
            self._bind()
        elif found not in (None, estate.bound):
            say(self._ui, f'{self._path} belongs to another server: ending')
            self._stops = True

    def _bind(self) -> None:
        try:
            listener = listen(self._path)
        except OSError as problem:
            say(self._ui, f'{self._path} is gone: {problem.strerror}')
            self._put_off()
            return
        say(self._ui, f'{self._path} is gone: starting anew')
        self._watch(False)
        self._listener.close()
        listener.setblocking(False)
        self._listener = listener
        self._estate.listener = listener.fileno()
        self._estate.bound = self._found()
        for one in self._find(Stage.SERVING):
            self._drain(one)
        self._renew()

    # -- the end -------------------------------------------------------------

    def _end(self) -> None:
        if self._estate.owns and self._found() in (None, self._estate.bound):
            with suppress(FileNotFoundError):
                os.unlink(self._path)
        self._watch(False)
        self._listener.close()
        for one in self._find(Stage.STARTING):
            os.kill(one.pid, signal.SIGKILL)
        for one in self._find(Stage.SERVING):
            self._drain(one)
        deadline = time.monotonic() + DRAIN
        while self._estate.generations and time.monotonic() < deadline:
            self._reap()
            self._attend(_MOMENT)
