"""A relay in a thread of the test, and clients that say what they like.

with World(folder).running() as world, Raw(world.path) as raw:
    raw.say(End('entries-0'))
    raw.hear()
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from hgext3rd.fleet import daemon
from hgext3rd.fleet.adapters import unixsocket
from hgext3rd.fleet.adapters.ledger_relay import RelayLedger
from hgext3rd.fleet.core import relay as frames
from hgext3rd.fleet.core.relay import Assembler, Hello, Message, Welcome
from hgext3rd.replicate.relay import Relay

from .memory import MemoryLedger

SOON = 120.0
"""Seconds after which a test gives up."""


class _Told(daemon.Stop):
    """Told to stop by another thread, rather than by a signal."""

    def now(self, *_signal: object) -> None:
        self._told = True


class World:
    """A relay in a thread, and the ledger behind it.

    ``opened`` counts how often it was opened; ``refusal`` is raised by
    opening; a stream in ``gates`` is held up until its event is set.
    """

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / 'ledger.sock')
        self.ledger = MemoryLedger(self._between)
        self.failures: list[BaseException] = []
        self.refusal: Exception | None = None
        self.opened = 0
        self.heard: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.arrived = threading.Semaphore(0)
        self._stop = _Told()

    def _between(self, where: str) -> None:
        if where == 'append':
            self.arrived.release()
            assert self.gate.wait(SOON)
        if self.failures and where in ('append', 'read'):
            raise self.failures.pop(0)

    def open(self) -> MemoryLedger:
        self.opened += 1
        if self.refusal:
            raise self.refusal
        return self.ledger

    @contextmanager
    def running(self) -> Iterator[World]:
        one = Relay(self.path, 'memory://', self.open, self.heard.append)
        thread = threading.Thread(target=one.run, args=(self._stop,))
        thread.start()
        try:
            yield self
        finally:
            self.gate.set()
            self.stop()
            thread.join(SOON)
            assert not thread.is_alive()
            assert not os.path.exists(self.path)

    def stop(self) -> None:
        self._stop.now()
        with socket.socket(socket.AF_UNIX) as wake, suppress(OSError):
            # Where it has not noticed yet.
            unixsocket.connect(wake, self.path)

    def client(self) -> closing[RelayLedger]:
        return closing(RelayLedger(self.path, 'memory://'))

    def append_beside(self, stream: str, value: bytes) -> Beside:
        """Append in another thread; return when the ledger is asked."""
        beside = Beside(self, stream, value)
        assert self.arrived.acquire(timeout=SOON)
        return beside


class Beside:
    """An append in a thread of its own."""

    def __init__(self, world: World, stream: str, value: bytes) -> None:
        self.offset: int | None = None
        self._call = (world, stream, value)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        world, stream, value = self._call
        with world.client() as ledger:
            self.offset = ledger.append(stream, 'k', value)

    def join(self) -> int | None:
        self._thread.join(SOON)
        return self.offset


class Raw:
    """A client that says what it likes."""

    def __init__(self, path: str, greets: bool = True) -> None:
        self.link = socket.socket(socket.AF_UNIX)
        self.link.settimeout(SOON)
        unixsocket.connect(self.link, path)
        if greets:
            self.say(Hello(frames.VERSION, ''))
            assert self.hear() == Welcome(frames.VERSION)

    def say(self, message: Message) -> None:
        self.link.sendall(b''.join(frames.encode(message)))

    def hear(self) -> Message | None:
        """Return the next message; None when the relay has hung up."""
        inbox = Assembler()
        while True:
            try:
                data = self.link.recv(inbox.wanted)
            except ConnectionResetError:
                return None
            if not data:
                return None
            message = inbox.feed(data)
            if message is not None:
                return message

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_problem: object) -> None:
        self.link.close()
