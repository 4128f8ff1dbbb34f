"""Entries: what is encoded comes back, and nothing else is taken for one."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import replace

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from hgext3rd.fleet.core import entry as entries
from hgext3rd.fleet.core.entry import (
    FENCE_KEY,
    Entry,
    Kind,
    Payload,
    check_inline,
    decode,
    encode,
)
from hgext3rd.fleet.core.errors import BlobCorrupt, EntryUnreadable

HEADER = 16

# What edge.text makes of any bytes, lone surrogates included.
texts = st.binary(max_size=12).map(
    lambda data: data.decode('utf-8', 'surrogateescape')
)
numbers = st.integers(-(2**70), 2**70)
payloads = st.none() | st.builds(
    Payload,
    sha256=texts,
    size=numbers,
    inline=st.none() | st.binary(max_size=40),
)


def of_kind(kind: Kind) -> st.SearchStrategy[Entry]:
    return st.builds(
        Entry,
        kind=st.just(kind),
        repo=texts,
        seq=numbers,
        prev=numbers,
        node=texts,
        user=texts,
        time=numbers,
        push_id=numbers,
        changesets=numbers,
        digest=texts,
        source=texts,
        text=st.none() | texts,
        payload=payloads,
    )


anything = st.sampled_from(list(Kind)).flatmap(of_kind)

PUSH = Entry(
    kind=Kind.PUSH,
    repo='demo',
    seq=2,
    prev=1,
    node='p1',
    user='ann',
    time=1700000000000,
    push_id=1,
    changesets=1,
    digest='d' * 64,
    source='serve',
    payload=Payload.of(b'payload'),
)


def packed(
    body: bytes, version: int = 1, magic: bytes = b'HGFE', tail: bytes = b''
) -> bytes:
    header = struct.pack('>4sIII', magic, version, len(body), zlib.crc32(body))
    return header + body + tail


def changed(**fields: object) -> bytes:
    """A record like that of PUSH, well formed, but with these fields."""
    value = encode(PUSH)
    length = struct.unpack_from('>I', value, 8)[0]
    meta = json.loads(value[HEADER : HEADER + length])
    for name, content in fields.items():
        if content is ...:
            del meta[name]
        else:
            meta[name] = content
    return packed(json.dumps(meta).encode(), tail=b'payload')


@given(anything)
@example(replace(PUSH, payload=Payload.of(b'')))
@example(replace(PUSH, payload=Payload('', 0)))
def test_what_is_encoded_comes_back(entry: Entry) -> None:
    assert decode(entry.key, encode(entry)) == entry


@given(anything)
def test_the_bytes_depend_only_on_the_entry(entry: Entry) -> None:
    assert encode(entry) == encode(replace(entry))


def test_the_format_does_not_change_unnoticed() -> None:
    value = encode(replace(PUSH, payload=Payload('ab', 7), text='x'))
    assert value == (
        b'HGFE\0\0\0\1\x00\x00\x01\x11\xaf\x6a\x88\x93'
        b'{"changesets":1,"digest":"' + b'd' * 64 + b'","kind":"push",'
        b'"node":"p1","payload":{"inline":false,"sha256":"ab","size":7},'
        b'"prev":1,"push_id":1,"repo":"demo","seq":2,"source":"serve",'
        b'"text":"x","time":1700000000000,"user":"ann"}'
    )


def test_an_entry_is_filed_under_its_repository_and_a_fence_apart() -> None:
    assert PUSH.key == 'demo'
    assert replace(PUSH, kind=Kind.FENCE).key == FENCE_KEY
    # No repository can have that name.
    assert not FENCE_KEY[0].isalnum()


def test_what_is_no_fence_is_not_filed_as_one() -> None:
    """Else it would count for all repositories that have come as far."""
    entry = replace(PUSH, kind=Kind.DELETE, repo=FENCE_KEY)
    with pytest.raises(EntryUnreadable, match='is filed under'):
        decode(entry.key, encode(entry))


@given(anything, texts)
def test_under_another_key_it_is_refused(entry: Entry, key: str) -> None:
    assume(key != entry.key)
    with pytest.raises(EntryUnreadable, match='is filed under'):
        decode(key, encode(entry))


@given(anything, st.data())
def test_one_damaged_byte_is_noticed(entry: Entry, data: st.DataObject) -> None:
    value = bytearray(encode(entry))
    length = struct.unpack_from('>I', value, 8)[0]
    place = data.draw(st.integers(0, HEADER + length - 1))
    value[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(EntryUnreadable):
        decode(entry.key, bytes(value))


@given(st.data())
def test_a_damaged_payload_is_noticed(data: st.DataObject) -> None:
    content = data.draw(st.binary(min_size=1, max_size=40))
    value = bytearray(encode(replace(PUSH, payload=Payload.of(content))))
    place = data.draw(st.integers(len(value) - len(content), len(value) - 1))
    value[place] ^= data.draw(st.integers(1, 255))
    found = decode('demo', bytes(value)).payload
    assert found is not None
    with pytest.raises(BlobCorrupt, match='SHA-256'):
        check_inline(found)


@given(anything, st.data())
def test_a_cut_off_record_is_noticed(entry: Entry, data: st.DataObject) -> None:
    entry = replace(entry, payload=Payload.of(b'payload'))
    value = encode(entry)
    value = value[: data.draw(st.integers(0, len(value) - 1))]
    with pytest.raises((EntryUnreadable, BlobCorrupt)):
        check_inline(decode(entry.key, value).payload or Payload('', 0))


@given(st.binary(max_size=60))
@example(b'')
@example(b'HGFE')
def test_arbitrary_bytes_are_refused(value: bytes) -> None:
    for damaged in (value, packed(value), encode(PUSH)[:HEADER] + value):
        with pytest.raises(EntryUnreadable):
            decode('demo', damaged)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([kind.value for kind in Kind]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(
    st.sampled_from(['kind', 'payload', 'text', *entries._FIELDS]),
    json_values,
)
def test_any_value_in_any_field_is_taken_or_refused(
    name: str, content: object
) -> None:
    try:
        found = decode('demo', changed(**{name: content}))
    except EntryUnreadable:
        return
    for field, of in entries._FIELDS.items():
        assert type(getattr(found, field)) is of
    assert found.text is None or isinstance(found.text, str)
    assert decode('demo', encode(found)) == found


@given(json_values)
def test_any_json_is_taken_or_refused(content: object) -> None:
    with pytest.raises(EntryUnreadable):
        decode('demo', packed(json.dumps(content).encode()))


@pytest.mark.parametrize(
    'body',
    [
        b'[' * 200_000,
        b'{"kind":' * 100_000,
        b'9' * 5_000,
        b'\xff',
        '{"kind":"push"'.encode('utf-16'),
    ],
    ids=['deep list', 'deep object', 'long number', 'bytes', 'half utf-16'],
)
def test_monstrous_json_is_refused(body: bytes) -> None:
    with pytest.raises(EntryUnreadable):
        decode('demo', packed(body))


@pytest.mark.parametrize(
    'fields',
    [
        {'seq': True},
        {'seq': 1.0},
        {'seq': '1'},
        {'prev': ...},
        {'repo': None},
        {'node': 5},
        {'text': 5},
        {'payload': 'x'},
        {'payload': {}},
        {'payload': {'sha256': 'x', 'size': True}},
        {'payload': {'sha256': 5, 'size': 5}},
    ],
    ids=str,
)
def test_a_field_of_the_wrong_type_is_refused(
    fields: dict[str, object],
) -> None:
    (name,) = fields
    with pytest.raises(EntryUnreadable, match=f"no proper '{name}'"):
        decode('demo', changed(**fields))


def test_an_unknown_kind_says_to_upgrade() -> None:
    with pytest.raises(EntryUnreadable, match="of kind 'merge'") as caught:
        decode('demo', changed(kind='merge'))
    assert 'upgrade' in caught.value.hint


@pytest.mark.parametrize('kind', [['push'], {}, None, 1, ...], ids=str)
def test_a_kind_that_is_no_word_is_refused(kind: object) -> None:
    with pytest.raises(EntryUnreadable, match='of kind'):
        decode('demo', changed(kind=kind))


def test_a_newer_format_says_to_upgrade() -> None:
    value = encode(PUSH)
    newer = value[:4] + struct.pack('>I', 2) + value[8:]
    with pytest.raises(EntryUnreadable, match='has format 2') as caught:
        decode('demo', newer)
    assert 'upgrade' in caught.value.hint


def test_what_a_newer_version_adds_is_passed_over() -> None:
    assert decode('demo', changed(colour='blue')) == PUSH


def test_the_inline_payload_is_as_stated() -> None:
    assert check_inline(Payload.of(b'x')) == b'x'
    assert check_inline(Payload.of(b'')) == b''
    with pytest.raises(BlobCorrupt, match='should have 2 bytes'):
        check_inline(replace(Payload.of(b'x'), size=2))
    with pytest.raises(BlobCorrupt, match='SHA-256 0000'):
        check_inline(replace(Payload.of(b'x'), sha256='0' * 64))
    with pytest.raises(BlobCorrupt, match='but has 0'):
        check_inline(replace(Payload.of(b'x'), inline=None))
