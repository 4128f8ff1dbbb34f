"""The relay: keeps connections to the ledger open for short-lived processes.

    hg replicate::relay

listens on ``<state>/ledger.sock`` for processes of the same user, does what
they ask of the ledger (``relaypool.py``), and answers; what is said is in
``core/relay.py``, and the client in ``adapters/ledger_relay.py``.

One thread talks to all clients and never waits for one of them, so a client
that says nonsense, half a sentence or nothing costs the others nothing; each
state of a connection has a time after which it is closed.  Told to stop, the
relay takes its socket away, ends what it has begun, for at most ``DRAIN``
seconds, and hangs up; clients then go to the ledger themselves.
"""

from __future__ import annotations

import enum
import functools
import math
import os
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from ..fleet import adapters, daemon, edge
from ..fleet.adapters import unixsocket
from ..fleet.core import relay
from ..fleet.core.errors import SettingError
from ..fleet.core.relay import (
    Append,
    Assembler,
    Declined,
    End,
    Garbled,
    Hello,
    Message,
    Read,
    Wait,
    Welcome,
    Working,
)
from ..fleet.ports import Ledger
from .node import Node
from .relaypool import Job, Pool

MOST = 256
"""Connections at a time; more are sent away."""

BEAT = 2.0
"""Seconds after which a client that waits is told that all is well."""

DRAIN = 4.0
_TICK = 0.5
_PIECE = 1 << 18


class State(enum.Enum):
    """What a connection is for at the moment."""

    GREETING = 'the client has to say hello'
    IDLE = 'the client may ask'
    HEARING = 'the client is asking'
    BUSY = 'the answer is being found'
    TELLING = 'the client has to take the answer'
    LEAVING = 'the client has to take the last word'


# Seconds without progress after which a connection is closed.
LIMITS = {
    State.GREETING: 5.0,
    State.IDLE: 1800.0,
    State.HEARING: 30.0,
    State.BUSY: math.inf,
    State.TELLING: 30.0,
    State.LEAVING: 5.0,
}


@dataclass(eq=False)
class Client:
    """One connection; ``since`` is when it got on last."""

    link: socket.socket
    since: float
    state: State = State.GREETING
    inbox: Assembler = field(default_factory=Assembler)
    outbox: deque[memoryview] = field(default_factory=deque)
    job: Job | None = None
    told: float = 0.0

    def enter(self, state: State, now: float) -> None:
        """Be in another state from now on."""
        self.state, self.since = state, now

    def is_late(self, now: float) -> bool:
        """Tell whether its time is up."""
        return now - self.since > LIMITS[self.state]


class Relay:
    """The thread that talks.

    It listens at ``path`` and does what is asked with what ``open_ledger``
    opens, in threads; ``ledger`` is its URL, and ``complain`` hears of
    trouble, also from other threads.
    """

    def __init__(
        self,
        path: str,
        ledger: str,
        open_ledger: Callable[[], Ledger],
        complain: Callable[[str], None],
    ) -> None:
        self._path = path
        self._ledger = ledger
        self._clients: set[Client] = set()
        self._selector = selectors.DefaultSelector()
        # Answers come from other threads; a byte says that there are some.
        self._answers: deque[tuple[Client, list[bytes]]] = deque()
        self._bell, self._hand = socket.socketpair()
        self._bell.setblocking(False)
        self._hand.setblocking(False)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._listener = unixsocket.listen(path, MOST)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._pool = Pool(open_ledger, complain)

    def run(self, stop: daemon.Stop) -> None:
        """Serve until told to stop."""
        while not stop:
            events = []
            try:
                with stop.waiting():
                    tick = _TICK if self._clients else None
                    events = self._selector.select(tick)
            except daemon.Interrupted:
                break
            self._turn(events)
        self._end()

    def _end(self) -> None:
        """End what was begun, and hang up."""
        deadline = time.monotonic() + DRAIN
        with suppress(FileNotFoundError):
            os.unlink(self._path)
        self._turn(self._selector.select(0))
        self._selector.unregister(self._listener)
        self._listener.close()
        while left := [one for one in self._clients if _is_owed(one)]:
            for client in self._clients.difference(left):
                self._drop(client)
            if time.monotonic() > deadline:
                break
            self._turn(self._selector.select(_TICK))
        for client in list(self._clients):
            self._drop(client)
        self._pool.stop(max(0.0, deadline - time.monotonic()))
        self._selector.close()
        self._bell.close()
        self._hand.close()

    def _turn(self, events: list[tuple[selectors.SelectorKey, int]]) -> None:
        """Deal with what has come, and with what is late."""
        for key, mask in events:
            client = key.data
            if key.fileobj is self._listener:
                self._accept()
            elif client in self._clients and mask & selectors.EVENT_WRITE:
                self._flush(client)
            elif client in self._clients:
                self._hear(client)
        self._hand_out()
        now = time.monotonic()
        for client in list(self._clients):
            if client.is_late(now):
                self._drop(client)
            elif client.state is State.BUSY and now - client.told > BEAT:
                self._say(client, relay.encode(Working()), State.BUSY)

    def _hand_out(self) -> None:
        """Give the answers that were found to who asked."""
        with suppress(BlockingIOError):
            while self._bell.recv(_PIECE):
                pass
        while self._answers:
            client, pieces = self._answers.popleft()
            if client in self._clients:
                client.job = None
                self._say(client, pieces, State.TELLING)

    def _accept(self) -> None:
        while True:
            try:
                link, _address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError:
                # No descriptor is left; others will be closed.
                time.sleep(0.01)
                return
            link.setblocking(False)
            client = Client(link, time.monotonic())
            self._clients.add(client)
            self._selector.register(link, selectors.EVENT_READ, client)
            if unixsocket.user(link) != os.geteuid():
                self._drop(client)
            elif len(self._clients) > MOST:
                self._send_away(client, 'too many ask at the same time')

    def _hear(self, client: Client) -> None:
        """Take what a client has sent."""
        try:
            # Most often the header, and all the rest.
            for _ in range(2):
                data = client.link.recv(min(client.inbox.wanted, _PIECE))
                if not data or client.state in _DEAF:
                    # It has gone, or speaks while it is not its turn.
                    self._drop(client)
                    return
                if client.state is State.IDLE:
                    client.enter(State.HEARING, time.monotonic())
                message = client.inbox.feed(data)
                if message is not None:
                    self._obey(client, message)
                    return
        except BlockingIOError:
            return
        except (OSError, Garbled):
            self._drop(client)

    def _obey(self, client: Client, message: Message) -> None:
        now = time.monotonic()
        if client.state is State.GREETING:
            self._greet(client, message)
        elif isinstance(message, Append | Read | End | Wait):
            client.enter(State.BUSY, now)
            client.told = now

            def done(pieces: list[bytes]) -> None:
                self._answers.append((client, pieces))
                # Full: there are many already.
                with suppress(OSError):
                    self._hand.send(b'!')

            client.job = Job(message, done, now)
            self._pool.submit(client.job)
        else:
            self._drop(client)

    def _greet(self, client: Client, message: Message) -> None:
        if not isinstance(message, Hello):
            self._drop(client)
        elif message.version != relay.VERSION:
            self._send_away(client, f'it has version {relay.VERSION}')
        elif message.ledger not in ('', self._ledger):
            self._send_away(client, 'it has another ledger')
        else:
            welcome = relay.encode(Welcome(relay.VERSION))
            self._say(client, welcome, State.TELLING)

    def _send_away(self, client: Client, reason: str) -> None:
        self._say(client, relay.encode(Declined(reason)), State.LEAVING)

    def _say(self, client: Client, pieces: list[bytes], state: State) -> None:
        now = time.monotonic()
        client.told = now
        client.enter(state, now)
        client.outbox.extend(memoryview(one) for one in pieces if one)
        self._flush(client)

    def _flush(self, client: Client) -> None:
        """Send what a client takes now; know what comes next."""
        try:
            while client.outbox:
                count = client.link.send(client.outbox[0])
                client.since = time.monotonic()
                if count == len(client.outbox[0]):
                    client.outbox.popleft()
                else:
                    client.outbox[0] = client.outbox[0][count:]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(client)
            return
        mask = selectors.EVENT_READ
        if client.outbox:
            mask |= selectors.EVENT_WRITE
        elif client.state is State.TELLING:
            client.enter(State.IDLE, time.monotonic())
        elif client.state is State.LEAVING:
            self._drop(client)
            return
        self._selector.modify(client.link, mask, client)

    def _drop(self, client: Client) -> None:
        """Hang up; what it has asked for is not begun any more."""
        if client.job is not None:
            client.job.abandoned = True
        self._clients.discard(client)
        self._selector.unregister(client.link)
        client.link.close()


# In these a client has nothing to say.
_DEAF = (State.BUSY, State.TELLING, State.LEAVING)


def _is_owed(client: Client) -> bool:
    """Tell whether a client gets an answer before the relay ends."""
    if client.job is not None:
        return not isinstance(client.job.request, Wait)
    return bool(client.outbox)


def serve(node: Node) -> None:
    """Be the relay of ``node`` until told to stop."""
    its = node.settings
    if its.ledger.startswith('relay://'):
        raise SettingError(
            f'{its.node}: a relay of a relay makes no sense',
            'let fleet.ledger name the ledger itself',
        )
    held = daemon.alone(node.state('relay.lock'), f'the relay of {its.node}')
    stop = daemon.Stop()
    daemon.listen(stop)
    guard = threading.Lock()

    def complain(said: str) -> None:
        with guard:
            node.ui.warn(edge.local(f'{said}\n'))
            node.ui.flush()

    opening = functools.partial(adapters.open_ledger, its.ledger)
    with guard:
        one = Relay(node.relay, its.ledger, opening, complain)
        node.ui.status(edge.local(f'{its.node}: relaying {its.ledger}\n'))
        node.ui.flush()
    one.run(stop)
    held.close()
