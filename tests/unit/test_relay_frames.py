"""The frames of a relay: what is encoded comes back, and nothing else does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgext3rd.fleet.core import errors, relay
from hgext3rd.fleet.core.entry import Record
from hgext3rd.fleet.core.errors import LedgerUnavailable
from hgext3rd.fleet.core.relay import (
    HEADER,
    LONGEST_BODY,
    LONGEST_HEAD,
    LONGEST_WAIT,
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
    TooLarge,
    Wait,
    Waited,
    Welcome,
    Working,
)

# Paths may hold any bytes, which are surrogates then.
texts = st.text(st.characters(), max_size=20)
values = st.binary(max_size=300)
numbers = st.integers(-(1 << 63), (1 << 63) - 1)
records = st.builds(Record, numbers, texts, values)
messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(Hello, numbers, texts),
    st.builds(Append, texts, texts, values),
    st.builds(
        *(Read, texts, numbers),
        *(st.none() | st.frozensets(texts, max_size=5), numbers),
    ),
    st.builds(End, texts),
    st.builds(
        *(Wait, st.dictionaries(texts, numbers, max_size=5)),
        st.floats(0, LONGEST_WAIT),
    ),
    st.builds(Welcome, numbers),
    st.builds(Declined, texts),
    st.builds(Working),
    st.builds(Number, numbers),
    st.builds(
        *(Records, st.lists(records, max_size=5).map(tuple)),
        *(numbers, st.booleans()),
    ),
    st.builds(Waited, st.booleans()),
    st.builds(
        *(Failed, st.sampled_from(sorted(relay._KINDS)), texts, texts, numbers)
    ),
)


def told(data: bytes, piece: int = 1 << 20) -> list[Message]:
    """Return the messages in some bytes that come in pieces."""
    inbox = Assembler()
    found = []
    start = 0
    while start < len(data):
        assert inbox.wanted > 0
        some = data[start : start + min(piece, inbox.wanted)]
        start += len(some)
        message = inbox.feed(some)
        if message is not None:
            found.append(message)
            assert not inbox.begun
    return found


def framed(said: object, body: bytes = b'') -> bytes:
    head = json.dumps(said).encode()
    return HEADER.pack(b'HGFR', len(head), len(body)) + head + body


@given(st.lists(messages, max_size=4), st.integers(1, 40))
def test_messages_come_back(some: list[Message], piece: int) -> None:
    data = b''.join(part for one in some for part in relay.encode(one))
    found = told(data, piece)
    assert found == some
    assert [type(one) for one in found] == [type(one) for one in some]


@given(st.binary(max_size=200))
def test_rubbish_is_garbled_or_incomplete(data: bytes) -> None:
    try:
        assert told(data) == []
    except Garbled:
        assert data[: HEADER.size][:4] != b'HGFR'


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | texts | values
).map(lambda one: repr(one) if isinstance(one, bytes) else one)
trees = st.recursive(
    scalars,
    lambda some: st.lists(some, max_size=3) | st.dictionaries(texts, some),
    max_leaves=8,
)
FIELDS = (
    *('version', 'ledger', 'stream', 'key', 'position', 'keys', 'limit'),
    *('positions', 'timeout', 'reason', 'value', 'records', 'more'),
    *('grown', 'kind', 'message', 'hint'),
)


@given(
    st.sampled_from(sorted(relay._MAKERS)),
    st.dictionaries(st.sampled_from(FIELDS), trees),
    values,
)
def test_decoding_is_total(
    name: str, fields: dict[str, Any], body: bytes
) -> None:
    """Whatever is decoded has the right types: it can be encoded again."""
    try:
        (message,) = told(framed({**fields, 'is': name}, body))
    except Garbled:
        return
    assert told(b''.join(relay.encode(message))) == [message]


@given(messages, st.data())
def test_a_changed_message_is_garbled_or_another(
    message: Message, data: st.DataObject
) -> None:
    frame = bytearray(b''.join(relay.encode(message)))
    at = data.draw(st.integers(0, len(frame) - 1))
    frame[at] ^= data.draw(st.integers(1, 255))
    try:
        for one in told(bytes(frame)):
            relay.encode(one)
    except Garbled:
        pass


@pytest.mark.parametrize(
    'said',
    [
        *([], 1, 'Hello', None, {}, {'is': 'Nothing'}, {'is': ['Hello']}),
        {'is': 'Hello', 'version': True, 'ledger': ''},
        {'is': 'Hello', 'version': 1 << 63, 'ledger': ''},
        {'is': 'Wait', 'positions': {}, 'timeout': float('nan')},
        {'is': 'Wait', 'positions': {}, 'timeout': LONGEST_WAIT + 1},
        {'is': 'Wait', 'positions': {}, 'timeout': -1},
        {'is': 'Wait', 'positions': {'a': 1.5}, 'timeout': 1},
        {'is': 'Failed', 'kind': 'KeyError', 'message': '', 'hint': ''},
        {'is': 'Records', 'records': [[0, 'k', 1]], 'upto': 1, 'more': False},
        {'is': 'Records', 'records': [[0, 'k', -1]], 'upto': 1, 'more': False},
        {'is': 'Records', 'records': [[0, 'k']], 'upto': 1, 'more': False},
        {'is': 'Records', 'records': [], 'more': False},
    ],
)
def test_what_is_no_message(said: object) -> None:
    with pytest.raises(Garbled):
        told(framed(said))


def test_a_body_belongs_to_something() -> None:
    with pytest.raises(Garbled, match='body'):
        told(framed({'is': 'End', 'stream': 's'}, b'x'))
    none = {'is': 'Records', 'records': [], 'upto': 0, 'more': False}
    with pytest.raises(Garbled, match='shorter'):
        told(framed(none, b'x'))


def test_deep_nesting_is_garbled() -> None:
    head = b'[' * 200_000
    with pytest.raises(Garbled):
        told(HEADER.pack(b'HGFR', len(head), 0) + head)


@pytest.mark.parametrize(
    'header',
    [
        HEADER.pack(b'HGFR', LONGEST_HEAD + 1, 0),
        HEADER.pack(b'HGFR', 20, LONGEST_BODY + 1),
        HEADER.pack(b'HGFR', 0, 0),
        HEADER.pack(b'GET ', 20, 0),
    ],
)
def test_a_bad_header_is_refused_at_once(header: bytes) -> None:
    with pytest.raises(Garbled, match='header'):
        Assembler().feed(header)


def test_what_is_too_large_is_not_encoded() -> None:
    with pytest.raises(TooLarge):
        relay.encode(Append('s', 'k', bytes(LONGEST_BODY + 1)))
    with pytest.raises(TooLarge):
        relay.encode(End('s' * LONGEST_HEAD))


def test_values_are_not_copied() -> None:
    value = bytes(1 << 20)
    assert relay.encode(Append('s', 'k', value))[1] is value


def test_a_large_answer_is_told_in_portions() -> None:
    some = [Record(at, 'k', bytes(400_000)) for at in range(10)]
    said = list(relay.portions(some, 12))
    assert [one.more for one in said] == [True, True, True, False]
    assert [each for one in said for each in one.records] == some
    assert {one.upto for one in said} == {12}
    assert list(relay.portions([], 7)) == [Records((), 7)]


@pytest.mark.parametrize('kind', sorted(relay._KINDS))
def test_errors_come_back(kind: str) -> None:
    one = getattr(errors, kind)('what', 'hint')
    (said,) = told(b''.join(relay.encode(Failed.of(one))))
    assert isinstance(said, Failed)
    back = said.error()
    assert (type(back), back.message, back.hint) == (type(one), 'what', 'hint')


def test_where_the_ledger_begins_comes_back_too() -> None:
    one = errors.OutOfReach('what', 'hint', start=7)
    (said,) = told(b''.join(relay.encode(Failed.of(one))))
    assert isinstance(said, Failed)
    back = said.error()
    assert isinstance(back, errors.OutOfReach)
    assert back.start == 7


def test_an_error_from_elsewhere_becomes_what_it_is_a_kind_of() -> None:
    class Elsewhere(LedgerUnavailable):
        pass

    assert Failed.of(Elsewhere('x')).kind == 'LedgerUnavailable'
