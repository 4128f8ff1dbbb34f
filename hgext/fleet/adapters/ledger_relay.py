"""The ledger by way of a relay: a local process that is connected already.

A push is a short-lived process, and connecting to a ledger may take longer
than the push itself.  The node's relay (``hg replicate::relay``) keeps the
connection; here is its client.  It imports next to nothing.

Errors of the ledger arrive as they were raised.  What goes wrong on the way
to the relay is :class:`RelayUnfit`, which means that nothing was done, and
that the ledger itself may well be there; but once a byte of an append has
been sent, it is OutcomeUnknown.  A relay that is silent for ``SILENCE``
seconds counts as gone.

:class:`NearLedger` asks the relay as long as that works, and then goes to
the ledger itself.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from errno import ECONNRESET, EPERM, ETIMEDOUT
from typing import TypeVar
from weakref import WeakSet

from ..core import relay
from ..core.errors import LedgerUnavailable, OutcomeUnknown
from ..core.relay import (
    Answer,
    Append,
    Assembler,
    Declined,
    End,
    Failed,
    Garbled,
    Hello,
    Message,
    Number,
    Read,
    Records,
    Request,
    TooLarge,
    Wait,
    Waited,
    Welcome,
    Working,
)
from ..ports import Batch, Ledger, Record
from . import unixsocket
from .owner import Owner

GREETING = 5.0
"""Seconds that a relay has to answer a new client."""

SILENCE = 10.0
"""Seconds without a word after which a relay counts as gone."""

PATIENCE = 60.0
"""Seconds that an answer may take although the relay is alive."""

_PIECE = 1 << 18

T = TypeVar('T')
A = TypeVar('A', bound=Answer)


class RelayUnfit(LedgerUnavailable):
    """The relay could not be asked; nothing was written."""


class RelayLedger:
    """The ledger of the relay that listens at ``path``.

    ``ledger`` is the URL that the relay must have been given; when it is
    empty, any will do.  Raises RelayUnfit.
    """

    def __init__(self, path: str, ledger: str = '') -> None:
        self._path = path
        self._ledger = ledger
        self._owner = Owner(f'the ledger {path}')
        self._link: _Link | None = None
        self._connected('reach the ledger')
        _open.add(self)

    def append(self, stream: str, key: str, value: bytes) -> int:
        """Write a record durably; return its offset.

        Raises LedgerUnavailable or LedgerFull when nothing was written,
        OutcomeUnknown when that is not certain.
        """
        request = Append(stream, key, value)
        return self._ask(request, Number, f'append to {stream}').value

    def read(
        self,
        stream: str,
        position: int,
        keys: Collection[str] | None = None,
        limit: int = 1000,
    ) -> Batch:
        """Return at most ``limit`` records from ``position`` on, in order.

        With ``keys``, only records with one of these keys.  Raises
        LedgerUnavailable.
        """
        chosen = None if keys is None else frozenset(keys)
        request = Read(stream, position, chosen, limit)
        found = self._ask(request, Records, f'read {stream}')
        return Batch(found.records, found.upto)

    def end(self, stream: str) -> int:
        """Return the position after the last record; LedgerUnavailable."""
        return self._ask(End(stream), Number, f'find the end of {stream}').value

    def wait(
        self, positions: Mapping[str, int], timeout: float
    ) -> frozenset[str]:
        """Block until a stream has grown past its position.

        Returns the streams that may have, none when ``timeout`` (seconds)
        ran out first.  Raises LedgerUnavailable.
        """
        deadline = time.monotonic() + timeout
        left = max(timeout, 0.0)
        while True:
            some = min(left, relay.LONGEST_WAIT)
            request = Wait(dict(positions), some)
            doing = f'wait for {", ".join(positions)}'
            if self._ask(request, Waited, doing, some).grown:
                return frozenset(positions)
            left = deadline - time.monotonic()
            if left <= 0:
                return frozenset()

    def close(self) -> None:
        """Let go of the connection; harmless when repeated."""
        self._owner.closed = True
        _open.discard(self)
        self.release()

    def release(self) -> None:
        """Let go of the connection; the next call makes another."""
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def _ask(
        self,
        request: Request,
        wanted: type[A],
        doing: str,
        longer: float = 0.0,
    ) -> A:
        """Return the answer of the relay; raises what the ledger raised.

        ``longer`` is what it may take above ``PATIENCE``.
        """
        self._owner.check()
        try:
            pieces = relay.encode(request)
        except TooLarge as problem:
            raise self._unfit(doing, problem) from None
        link = self._connected(doing)
        try:
            link.send(pieces)
            answer = link.answer(wanted, PATIENCE + longer)
        except BaseException as problem:
            # What comes on it later would be the answer to this.
            self.release()
            if not isinstance(problem, OSError | Garbled):
                raise
            if isinstance(request, Append) and link.sent:
                raise OutcomeUnknown(
                    f'no certainty about "{doing}" through the relay '
                    f'{self._path}: {_said(problem)}',
                    'the entry may still arrive; look before trying again',
                ) from None
            raise self._unfit(doing, problem) from None
        if isinstance(answer, Failed):
            raise answer.error()
        if isinstance(answer, Declined):
            self.release()
            raise self._unfit(doing, Garbled(answer.reason))
        return answer

    def _connected(self, doing: str) -> _Link:
        """Return a connection on which the relay awaits a request."""
        if self._link is not None and self._link.is_quiet():
            return self._link
        self.release()
        try:
            self._link = _greeted(self._path, self._ledger)
        except (OSError, Garbled) as problem:
            raise self._unfit(doing, problem) from None
        return self._link

    def _unfit(self, doing: str, problem: Exception) -> RelayUnfit:
        return RelayUnfit(
            f'cannot {doing} through the relay {self._path}: {_said(problem)}',
            'see whether "hg replicate::relay" runs on this node',
        )


class _Link:
    """A connection; ``sent`` counts the bytes of the last message."""

    def __init__(self) -> None:
        self.sent = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def connect(self, path: str) -> None:
        """Connect to a process of this user, and of no other."""
        self._socket.settimeout(GREETING)
        unixsocket.connect(self._socket, path)
        if unixsocket.user(self._socket) != os.geteuid():
            raise PermissionError(EPERM, 'another user listens there')

    def is_quiet(self) -> bool:
        """Tell whether it is open, and the other has nothing to say."""
        self._socket.settimeout(0)
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    def send(self, pieces: list[bytes]) -> None:
        """Send a message; raises OSError."""
        self.sent = 0
        self._socket.settimeout(SILENCE)
        for piece in pieces:
            left = memoryview(piece)
            while left:
                count = self._socket.send(left)
                self.sent += count
                left = left[count:]

    def answer(self, wanted: type[A], patience: float) -> A | Failed | Declined:
        """Return what follows a request; raises OSError and Garbled."""
        deadline = time.monotonic() + patience
        found: list[Record] = []
        while True:
            left = max(deadline - time.monotonic(), 0.001)
            try:
                said = self.receive(min(SILENCE, left))
            except TimeoutError:
                if left > SILENCE:
                    raise
                raise TimeoutError(ETIMEDOUT, 'it takes too long') from None
            if isinstance(said, Working):
                continue
            if isinstance(said, Records):
                found += said.records
                if said.more:
                    continue
                said = Records(tuple(found), said.upto)
            if isinstance(said, wanted | Failed | Declined):
                return said
            raise Garbled(f'its answer is {type(said).__name__}')

    def receive(self, patience: float) -> Message:
        """Return the next message; raises OSError and Garbled."""
        inbox = Assembler()
        self._socket.settimeout(patience)
        while True:
            data = self._socket.recv(min(inbox.wanted, _PIECE))
            if not data:
                raise ConnectionResetError(ECONNRESET, 'it hung up')
            said = inbox.feed(data)
            if said is not None:
                return said

    def close(self) -> None:
        """Close it."""
        self._socket.close()


def _greeted(path: str, ledger: str) -> _Link:
    """Return a connection to a relay that has this ledger."""
    link = _Link()
    try:
        link.connect(path)
        # Who is sent away at once finds the reason all the same.
        with suppress(BrokenPipeError):
            link.send(relay.encode(Hello(relay.VERSION, ledger)))
        answer = link.receive(GREETING)
        if isinstance(answer, Declined):
            raise Garbled(answer.reason)
        if not isinstance(answer, Welcome) or answer.version != relay.VERSION:
            raise Garbled('it speaks another language')
    except BaseException:
        link.close()
        raise
    return link


def _said(problem: Exception) -> str:
    """Return the reason in an error, without its number."""
    reason = getattr(problem, 'strerror', None)
    if isinstance(problem, TimeoutError):
        return reason or 'it is silent'
    return str(reason or problem)


class NearLedger:
    """A ledger that is asked through ``relay`` as long as that works.

    ``direct`` opens the ledger itself, and may raise LedgerError.
    """

    def __init__(
        self, relay: RelayLedger, direct: Callable[[], Ledger]
    ) -> None:
        self._relay: RelayLedger | None = relay
        self._open_direct = direct
        self._direct: Ledger | None = None

    def append(self, stream: str, key: str, value: bytes) -> int:
        """Write a record durably; return its offset.

        Raises LedgerUnavailable or LedgerFull when nothing was written,
        OutcomeUnknown when that is not certain.
        """
        return self._ask(lambda near: near.append(stream, key, value))

    def read(
        self,
        stream: str,
        position: int,
        keys: Collection[str] | None = None,
        limit: int = 1000,
    ) -> Batch:
        """Return at most ``limit`` records from ``position`` on, in order.

        With ``keys``, only records with one of these keys.  Raises
        LedgerUnavailable.
        """
        return self._ask(lambda near: near.read(stream, position, keys, limit))

    def end(self, stream: str) -> int:
        """Return the position after the last record; LedgerUnavailable."""
        return self._ask(lambda near: near.end(stream))

    def wait(
        self, positions: Mapping[str, int], timeout: float
    ) -> frozenset[str]:
        """Block until a stream has grown past its position.

        Returns the streams that may have, none when ``timeout`` (seconds)
        ran out first.  Raises LedgerUnavailable.
        """
        deadline = time.monotonic() + timeout
        return self._ask(
            lambda near: near.wait(
                positions, max(0.0, deadline - time.monotonic())
            )
        )

    def close(self) -> None:
        """Let go of all connections; harmless when repeated."""
        for one in (self._relay, self._direct):
            if one is not None:
                one.close()

    def _ask(self, call: Callable[[Ledger], T]) -> T:
        if self._relay is not None:
            try:
                return call(self._relay)
            except RelayUnfit:
                self._relay.close()
                self._relay = None
        if self._direct is None:
            self._direct = self._open_direct()
        return call(self._direct)


_open: WeakSet[RelayLedger] = WeakSet()


def _in_child() -> None:
    # The connection is the parent's: two must not talk on it.
    for ledger in list(_open):
        ledger.release()


os.register_at_fork(after_in_child=_in_child)
