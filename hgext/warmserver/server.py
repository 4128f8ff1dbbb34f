"""The process that waits: accepts connections and forks sessions.

It reads nothing of what clients say, opens no repository and no ledger, and
has one thread; so what it is when it forks is what it was when it had
loaded everything.  A connection is handed to a child as soon as something
has arrived on it, and closed when nothing does in ``PATIENCE`` seconds.
"""

from __future__ import annotations

import os
import select
import selectors
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ..fleet import edge
from ..fleet.adapters import unixsocket
from ..fleet.core.errors import SettingError
from . import worker
from .fresh import Marks
from .request import SOCKET

PATIENCE = 5.0
"""Seconds in which a client must have said what it wants."""

WAITING = 1000
"""Connections that may be open without having said anything."""

DRAIN = 10.0
"""Seconds that sessions have to end in when the server ends."""

_BACKLOG = 512
_TICK = 0.5


def _drain(waking: socket.socket) -> None:
    with suppress(BlockingIOError):
        waking.recv(4096)


@dataclass
class Waiting:
    """A connection on which nothing has arrived yet."""

    link: socket.socket
    since: float


class Server:
    """The loop; :meth:`run` is all of its life."""

    def __init__(self, ui: Any, state: str, marks: Marks, hgrc: bytes) -> None:
        self._ui = ui
        self._path = os.path.join(state, SOCKET)
        self._marks = marks
        self._hgrc = hgrc
        self._workers = ui.configint(b'warmserver', b'workers')
        if self._workers < 1:
            raise SettingError('warmserver.workers must be at least 1')
        self._children: set[int] = set()
        self._stops = self._renews = False
        self._selector = selectors.DefaultSelector()
        self._waiting: dict[int, Waiting] = {}

    def run(self, inherited: int | None) -> int | None:
        """Serve; return a listening descriptor for who is to go on, if any."""
        listener = self._listen(inherited)
        waking, woken = socket.socketpair()
        for end in (waking, woken):
            end.setblocking(False)
        signal.set_wakeup_fd(woken.fileno())
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGHUP, self._renew)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(waking, selectors.EVENT_READ)
        self._ui.status(b'serving sessions at %s\n' % edge.local(self._path))
        self._ui.flush()
        while not (self._stops or self._renews):
            self._turn(listener, waking)
        signal.set_wakeup_fd(-1)
        if self._renews and not self._stops:
            self._close_waiting()
            return listener.detach()
        self._end(listener)
        return None

    def _listen(self, inherited: int | None) -> socket.socket:
        if inherited is not None:
            listener = socket.socket(fileno=inherited)
            listener.set_inheritable(False)
        else:
            listener = unixsocket.listen(
                self._path, _BACKLOG, socket.SOCK_SEQPACKET
            )
        listener.setblocking(False)
        return listener

    def _stop(self, *_signal: object) -> None:
        self._stops = True

    def _renew(self, *_signal: object) -> None:
        self._renews = True

    # -- one turn ------------------------------------------------------------

    def _turn(self, listener: socket.socket, waking: socket.socket) -> None:
        self._reap()
        if len(self._children) >= self._workers:
            # Until a session ends there is nothing to do for who has spoken.
            select.select([waking], [], [], _TICK)
            _drain(waking)
            self._forget_late()
            return
        self._watch(listener, len(self._waiting) < WAITING)
        for key, _events in self._selector.select(_TICK):
            if key.fileobj is listener:
                self._accept(listener)
            elif key.fileobj is waking:
                _drain(waking)
            elif len(self._children) < self._workers:
                self._serve(self._waiting[key.fd], listener)
        self._forget_late()

    def _watch(self, listener: socket.socket, accepts: bool) -> None:
        """Take new connections only while there is room for them."""
        watched = listener in self._selector.get_map()
        if accepts and not watched:
            self._selector.register(listener, selectors.EVENT_READ)
        elif watched and not accepts:
            self._selector.unregister(listener)

    def _accept(self, listener: socket.socket) -> None:
        try:
            link, _address = listener.accept()
        except OSError:
            return
        if unixsocket.user(link) != os.geteuid():
            link.close()
            return
        self._waiting[link.fileno()] = Waiting(link, time.monotonic())
        self._selector.register(link, selectors.EVENT_READ)

    def _serve(self, one: Waiting, listener: socket.socket) -> None:
        child = os.fork()
        if not child:
            code = worker.BROKEN
            try:
                signal.set_wakeup_fd(-1)
                self._selector.close()
                listener.close()
                for other in self._waiting.values():
                    if other is not one:
                        other.link.close()
                code = worker.serve(self._ui, one.link, self._marks, self._hgrc)
            finally:
                os._exit(code)
        self._children.add(child)
        self._drop(one)

    def _drop(self, one: Waiting) -> None:
        self._selector.unregister(one.link)
        del self._waiting[one.link.fileno()]
        one.link.close()

    def _forget_late(self) -> None:
        now = time.monotonic()
        for one in list(self._waiting.values()):
            if now - one.since > PATIENCE:
                self._drop(one)

    def _reap(self) -> None:
        """See which sessions have ended, those of an earlier life as well."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self._children.clear()
                return
            if not pid:
                return
            self._children.discard(pid)
            if os.WIFEXITED(status) and os.WEXITSTATUS(status) == worker.STALE:
                self._renews = True

    # -- the end -------------------------------------------------------------

    def _close_waiting(self) -> None:
        for one in list(self._waiting.values()):
            self._drop(one)

    def _end(self, listener: socket.socket) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._path)
        listener.close()
        self._close_waiting()
        deadline = time.monotonic() + DRAIN
        while self._children and time.monotonic() < deadline:
            self._reap()
            time.sleep(0.02)
        sys.stdout.flush()
