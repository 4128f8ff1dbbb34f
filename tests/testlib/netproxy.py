"""A network between processes of this machine that a test can disturb.

:meth:`NetProxy.front` opens a port that stands for another one.  Ports are
opened under a name, that of who uses them, and what happens on the way
(:class:`Passage`) is set for a name, from any thread::

    with NetProxy() as net:
        port = net.front('m1', server_port)
        net.disturb('m1', Passage.CUT)
        net.disturb('m1', Passage.OPEN)

All bytes pass through one thread.
"""

from __future__ import annotations

import asyncio
import enum
import threading
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar('T')

_PIECE = 1 << 16


class Passage(enum.Enum):
    """What happens to the bytes of connections."""

    OPEN = 'they pass'
    CUT = 'connections are reset, and no new ones accepted'
    HELD = 'they stop, and go on later'
    MUTE = 'those of the servers are lost, and then the connections'
    SLOW = 'they pass later'


@dataclass
class _Lane:
    """What happens under a name, and the connections there are."""

    passage: Passage = Passage.OPEN
    delay: float = 0.0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def passes(self, answers: bool) -> None:
        """Return when bytes may pass: those of servers, or of clients."""
        while True:
            if self.passage is Passage.SLOW:
                await asyncio.sleep(self.delay)
                return
            muted = self.passage is Passage.MUTE and answers
            if not muted and self.passage is not Passage.HELD:
                return
            await self.changed.wait()

    def abort(self) -> None:
        """Reset all connections."""
        for each in list(self.open):
            each.transport.abort()


class NetProxy:
    """The thread, and what it passes on; a context manager that ends it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._lanes: dict[str, _Lane] = {}
        self._servers: list[asyncio.Server] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> NetProxy:
        return self

    def __exit__(self, *_problem: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        self._loop.run_forever()
        for server in self._servers:
            server.close()
        tasks = asyncio.all_tasks(self._loop)
        for each in tasks:
            each.cancel()
        if tasks:
            self._loop.run_until_complete(asyncio.wait(tasks))
        # What has been aborted is closed in the turn after.
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def front(self, name: str, port: int) -> int:
        """Open a port that stands for another; return its number."""
        return self._do(self._front(name, port))

    def disturb(self, name: str, passage: Passage, delay: float = 0.0) -> None:
        """Say what happens from now on under a name."""
        self._do(self._disturb(name, passage, delay))

    def _do(self, what: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result()

    async def _front(self, name: str, port: int) -> int:
        lane = self._lanes.setdefault(name, _Lane())

        async def pass_on(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            with suppress(OSError, asyncio.CancelledError):
                await _pass_on(lane, reader, writer, port)

        server = await asyncio.start_server(pass_on, '127.0.0.1', 0)
        self._servers.append(server)
        number: int = server.sockets[0].getsockname()[1]
        return number

    async def _disturb(self, name: str, passage: Passage, delay: float) -> None:
        lane = self._lanes[name]
        if Passage.CUT is passage or lane.passage is Passage.MUTE:
            lane.abort()
        lane.passage, lane.delay = passage, delay
        lane.changed.set()
        lane.changed = asyncio.Event()


async def _pass_on(
    lane: _Lane,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    port: int,
) -> None:
    """Pass a connection on until one of its ends closes it."""
    lane.open.add(writer)
    other = None
    try:
        if lane.passage is Passage.CUT:
            return
        behind, other = await asyncio.open_connection('127.0.0.1', port)
        lane.open.add(other)
        await asyncio.gather(
            _pump(lane, reader, other, answers=False),
            _pump(lane, behind, writer, answers=True),
        )
    finally:
        for each in (writer, other):
            if each is not None:
                lane.open.discard(each)
                each.transport.abort()


async def _pump(
    lane: _Lane,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    answers: bool,
) -> None:
    while data := await reader.read(_PIECE):
        await lane.passes(answers)
        writer.write(data)
        await writer.drain()
    await lane.passes(answers)
    if writer.can_write_eof():
        writer.write_eof()
