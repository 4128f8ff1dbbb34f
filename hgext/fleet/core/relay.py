"""What a relay of the ledger and its clients say to each other, as bytes.

A relay is a process of this machine that keeps connections to the ledger
open; short-lived processes ask it over a Unix socket.  Each message is one
*frame*:

    ======  ====  =====================================================
    offset  size  content
    ======  ====  =====================================================
    0       4     ``HGFR``
    4       4     length of the JSON object in bytes, big-endian
    8       4     length of the body in bytes, big-endian
    12            the JSON object (ASCII), then the body
    ======  ====  =====================================================

The body holds the values of records, one after another; the JSON object
names the message (``is``) and holds everything else.  A client says
:class:`Hello` first, and the relay :class:`Welcome` or :class:`Declined`;
these three, and the frame, are the same in all versions.  Then the client
asks one thing at a time.  The answer is one message, or several
:class:`Records`; before it, the relay may say that it is :class:`Working`.
:class:`Declined` instead of an answer means that nothing was done.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

from . import errors
from .entry import Record
from .errors import FleetError, OutOfReach

VERSION = 2
LONGEST_HEAD = 4 << 20
LONGEST_BODY = 64 << 20
LONGEST_WAIT = 60.0

HEADER = struct.Struct('>4sII')
_MAGIC = b'HGFR'
# Where an answer of many records is split.
_PORTION = 1 << 20
_NUMBERS = range(-(1 << 63), 1 << 63)


class Garbled(ValueError):
    """These bytes are not a message."""


class TooLarge(ValueError):
    """The message does not fit into a frame."""


# Tuples: to define a dozen dataclasses takes several milliseconds, which each
# push would pay.


class Hello(NamedTuple):
    """The client's version, and the URL of the ledger that it wants.

    With an empty URL it takes whichever ledger the relay has.
    """

    version: int
    ledger: str


class Append(NamedTuple):
    """Asks for ``Ledger.append``; answered by a Number."""

    stream: str
    key: str
    value: bytes


class Read(NamedTuple):
    """Asks for ``Ledger.read``; answered by Records."""

    stream: str
    position: int
    keys: frozenset[str] | None
    limit: int


class End(NamedTuple):
    """Asks for ``Ledger.end``; answered by a Number."""

    stream: str


class Wait(NamedTuple):
    """Asks for ``Ledger.wait``; answered by Waited.

    ``timeout`` is at most :data:`LONGEST_WAIT`.
    """

    positions: Mapping[str, int]
    timeout: float


class Welcome(NamedTuple):
    """The relay is of this version, and has the ledger that was named."""

    version: int


class Declined(NamedTuple):
    """The relay cannot do this, has not done it, and says why."""

    reason: str


class Working(NamedTuple):
    """The relay is alive, and the answer is still to come."""


class Number(NamedTuple):
    """An offset or a position."""

    value: int


class Records(NamedTuple):
    """Some records, and the position up to which was read.

    With ``more``, another such message follows.
    """

    records: tuple[Record, ...]
    upto: int
    more: bool = False


class Waited(NamedTuple):
    """Whether a stream has grown in time."""

    grown: bool


class Failed(NamedTuple):
    """A deliberate failure: the name of its class, its message and hint.

    ``start`` is that of an OutOfReach, else 0.
    """

    kind: str
    message: str
    hint: str
    start: int = 0

    @classmethod
    def of(cls, problem: FleetError) -> Failed:
        """Return what says the same as an error."""
        known = (one.__name__ for one in type(problem).__mro__)
        kind = next(name for name in known if name in _KINDS)
        start = problem.start if isinstance(problem, OutOfReach) else 0
        return cls(kind, problem.message, problem.hint, start)

    def error(self) -> FleetError:
        """Return the error."""
        made = _KINDS[self.kind](self.message, self.hint)
        if isinstance(made, OutOfReach):
            made.start = self.start
        return made


Request: TypeAlias = Append | Read | End | Wait
Answer: TypeAlias = Number | Records | Waited | Failed | Declined | Working
Message: TypeAlias = Hello | Welcome | Request | Answer

_KINDS: dict[str, type[FleetError]] = {
    name: one
    for name, one in vars(errors).items()
    if isinstance(one, type) and issubclass(one, FleetError)
}


def portions(records: Iterable[Record], upto: int) -> Iterator[Records]:
    """Yield the answer to a Read, in messages of a moderate size."""
    some: list[Record] = []
    size = 0
    for record in records:
        if some and size >= _PORTION:
            yield Records(tuple(some), upto, more=True)
            some, size = [], 0
        some.append(record)
        size += len(record.key) + len(record.value)
    yield Records(tuple(some), upto)


def encode(message: Message) -> list[bytes]:
    """Return the bytes of a frame in pieces, values uncopied; or TooLarge."""
    said: dict[str, Any] = {'is': type(message).__name__}
    body: list[bytes] = []
    for name, value in message._asdict().items():
        if name == 'value' and isinstance(value, bytes):
            body = [value]
        elif name == 'records':
            body = [one.value for one in value]
            said[name] = [[r.offset, r.key, len(r.value)] for r in value]
        elif name == 'keys' and value is not None:
            said[name] = sorted(value)
        else:
            said[name] = value
    head = json.dumps(said, separators=(',', ':')).encode('ascii')
    length = sum(map(len, body))
    if len(head) > LONGEST_HEAD or length > LONGEST_BODY:
        raise TooLarge(f'{len(head) + length} bytes do not fit into a frame')
    header = HEADER.pack(_MAGIC, len(head), length)
    return [header + head, *body]


class Assembler:
    """Puts messages together from bytes as they come.

    Whoever reads must not feed it more than is :attr:`wanted`.
    """

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._data = bytearray()
        self._head = self._body = 0

    @property
    def begun(self) -> bool:
        """Whether a part of a message has come."""
        return bool(self._data)

    @property
    def wanted(self) -> int:
        """How many bytes can be said to be missing; never 0."""
        size = HEADER.size + self._head + self._body
        return size - len(self._data)

    def feed(self, data: bytes) -> Message | None:
        """Take bytes; return a message when it is complete, or Garbled."""
        self._data += data
        if len(self._data) == HEADER.size and not self._head:
            self._head, self._body = _lengths(self._data)
        if self.wanted > 0:
            return None
        if self.wanted < 0:
            raise Garbled('there is more than one message')
        whole = memoryview(self._data)[HEADER.size :]
        head, body = bytes(whole[: self._head]), bytes(whole[self._head :])
        whole.release()
        self._begin()
        return decode(head, body)


def _lengths(header: bytes | bytearray) -> tuple[int, int]:
    magic, head, body = HEADER.unpack(header)
    if magic != _MAGIC or not 2 <= head <= LONGEST_HEAD or body > LONGEST_BODY:
        raise Garbled('this is not the header of a frame')
    return head, body


def decode(head: bytes, body: bytes) -> Message:
    """Return the message in a frame; Garbled when it is none."""
    try:
        said = json.loads(head, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise Garbled('the head is not JSON') from None
    if not isinstance(said, dict) or not isinstance(said.get('is'), str):
        raise Garbled('the head is not an object with a name')
    make = _MAKERS.get(said['is'])
    if make is None:
        raise Garbled(f'there is no message {said["is"][:40]!r}')
    message = make(_Fields(said), body)
    if body and not isinstance(message, Append | Records):
        raise Garbled('there is a body that belongs to nothing')
    return message


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


class _Fields:
    """The fields of a JSON object, each of the type that is asked for."""

    def __init__(self, said: Mapping[str, Any]) -> None:
        self._said = said

    def text(self, name: str) -> str:
        return _text(self._said.get(name))

    def number(self, name: str) -> int:
        return _number(self._said.get(name))

    def truth(self, name: str) -> bool:
        value = self._said.get(name)
        if not isinstance(value, bool):
            raise Garbled(f'{name} is no truth value')
        return value

    def kind(self) -> str:
        value = self.text('kind')
        if value not in _KINDS:
            raise Garbled(f'there is no error {value[:40]!r}')
        return value

    def keys(self) -> frozenset[str] | None:
        value = self._said.get('keys')
        if value is None:
            return None
        return frozenset(_text(one) for one in _list(value))

    def positions(self) -> dict[str, int]:
        value = self._said.get('positions')
        if not isinstance(value, dict):
            raise Garbled('positions is no object')
        return {stream: _number(at) for stream, at in value.items()}

    def timeout(self) -> float:
        value = self._said.get('timeout')
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Garbled('timeout is no number')
        if not 0 <= value <= LONGEST_WAIT or not math.isfinite(value):
            raise Garbled('timeout is out of bounds')
        return float(value)

    def records(self, body: bytes) -> tuple[Record, ...]:
        found = []
        start = 0
        for one in _list(self._said.get('records')):
            if len(_list(one)) != 3:
                raise Garbled('a record has not three parts')
            offset, key, size = _number(one[0]), _text(one[1]), _number(one[2])
            if not 0 <= size <= len(body) - start:
                raise Garbled('the values are longer than the body')
            found.append(Record(offset, key, body[start : start + size]))
            start += size
        if start != len(body):
            raise Garbled('the values are shorter than the body')
        return tuple(found)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise Garbled('this is no text')
    return value


def _number(value: object) -> int:
    if type(value) is not int or value not in _NUMBERS:
        raise Garbled('this is no number')
    return value


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise Garbled('this is no list')
    return value


_MAKERS: dict[str, Callable[[_Fields, bytes], Message]] = {
    'Hello': lambda f, _: Hello(f.number('version'), f.text('ledger')),
    'Append': lambda f, body: Append(f.text('stream'), f.text('key'), body),
    'Read': lambda f, _: Read(
        f.text('stream'), f.number('position'), f.keys(), f.number('limit')
    ),
    'End': lambda f, _: End(f.text('stream')),
    'Wait': lambda f, _: Wait(f.positions(), f.timeout()),
    'Welcome': lambda f, _: Welcome(f.number('version')),
    'Declined': lambda f, _: Declined(f.text('reason')),
    'Working': lambda f, _: Working(),
    'Number': lambda f, _: Number(f.number('value')),
    'Records': lambda f, body: Records(
        f.records(body), f.number('upto'), f.truth('more')
    ),
    'Waited': lambda f, _: Waited(f.truth('grown')),
    'Failed': lambda f, _: Failed(
        f.kind(), f.text('message'), f.text('hint'), f.number('start')
    ),
}
