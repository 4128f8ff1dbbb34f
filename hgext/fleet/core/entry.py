"""Entries: what the ledger's records mean, and their bytes.

A record's bytes are a 16-byte header, a JSON object (UTF-8, sorted keys),
and an optional inline payload up to the end:

    ======  ====  =====================================================
    offset  size  content
    ======  ====  =====================================================
    0       4     ``HGFE``
    4       4     version of the format, big-endian (now 1)
    8       4     length of the JSON object in bytes, big-endian
    12      4     CRC-32 of the JSON object, big-endian
    ======  ====  =====================================================

The payload is checked by the size and SHA-256 that the JSON object states,
whether it is inline or a blob.  The key of a record is the repository's
name, or :data:`FENCE_KEY` for entries that concern a node.
"""

from __future__ import annotations

import enum
import hashlib
import json
import struct
import zlib
from dataclasses import dataclass
from typing import Any

from .errors import BlobCorrupt, EntryUnreadable

VERSION = 1
FENCE_KEY = '!fence'

_HEADER = struct.Struct('>4sIII')
_MAGIC = b'HGFE'


class Kind(enum.Enum):
    """What an entry does."""

    CREATE = 'create'
    PUSH = 'push'
    CONFIG = 'config'
    DELETE = 'delete'
    SNAPSHOT = 'snapshot'
    FENCE = 'fence'
    RESYNC = 'resync'


@dataclass(frozen=True)
class Record:
    """One record of a stream: its offset, its key, and its bytes."""

    offset: int
    key: str
    value: bytes


@dataclass(frozen=True)
class Payload:
    """Bytes that belong to an entry: inline, or a blob of that name."""

    sha256: str
    size: int
    inline: bytes | None = None

    @classmethod
    def of(cls, data: bytes) -> Payload:
        """Return the inline payload with these bytes."""
        return cls(hashlib.sha256(data).hexdigest(), len(data), data)


@dataclass(frozen=True)
class Entry:
    """One change to one repository (or, for a fence, to one node).

    ``seq`` numbers the repository's valid entries from 1; ``prev`` is the
    number it builds on.  ``node`` made the entry, on behalf of ``user``.
    ``time`` is in milliseconds since 1970 and never goes back within a
    repository.  ``push_id`` is the repository's last push id after the
    entry, ``changesets`` how many the entry adds.  ``digest`` is the state
    that applying the entry must lead to.  ``text`` is the hgrc of ``create``
    and ``config`` and the node's name of ``fence``.  ``source`` is the name
    of Mercurial's transaction.
    """

    kind: Kind
    repo: str
    seq: int
    prev: int
    node: str
    user: str
    time: int
    push_id: int = 0
    changesets: int = 0
    digest: str = ''
    source: str = ''
    text: str | None = None
    payload: Payload | None = None

    @property
    def key(self) -> str:
        """The key under which the record is filed."""
        return FENCE_KEY if self.kind is Kind.FENCE else self.repo


def encode(entry: Entry) -> bytes:
    """Return the bytes of a record."""
    meta: dict[str, Any] = {
        'kind': entry.kind.value,
        'repo': entry.repo,
        'seq': entry.seq,
        'prev': entry.prev,
        'node': entry.node,
        'user': entry.user,
        'time': entry.time,
        'push_id': entry.push_id,
        'changesets': entry.changesets,
        'digest': entry.digest,
        'source': entry.source,
        'text': entry.text,
    }
    tail = b''
    if entry.payload is not None:
        inline = entry.payload.inline
        meta['payload'] = {
            'sha256': entry.payload.sha256,
            'size': entry.payload.size,
            'inline': inline is not None,
        }
        tail = inline or b''
    body = json.dumps(meta, sort_keys=True, separators=(',', ':')).encode()
    header = _HEADER.pack(_MAGIC, VERSION, len(body), zlib.crc32(body))
    return header + body + tail


def decode(key: str, value: bytes) -> Entry:
    """Return the entry that a record holds.

    Raises EntryUnreadable when the record is damaged, of another format, or
    filed under a key that is not its own.
    """
    meta, tail = _split(value)
    try:
        kind = Kind(meta['kind'])
    except (KeyError, ValueError):
        raise EntryUnreadable(
            f'the entry is of kind {str(meta.get("kind"))[:40]!r}, '
            'which this version does not know',
            'upgrade hgfleet on this node',
        ) from None
    entry = _entry(kind, meta, tail)
    misfiled = (kind is Kind.FENCE) is not (key == FENCE_KEY)
    if misfiled or entry.key != key:
        # Under the key of fences it would be of all repositories.
        raise EntryUnreadable(
            f'the entry for {entry.key!r} is filed under {key[:240]!r}'
        )
    return entry


def _split(value: bytes) -> tuple[dict[str, Any], bytes]:
    if len(value) < _HEADER.size or value[:4] != _MAGIC:
        raise EntryUnreadable('the record is not an entry')
    _magic, version, length, crc = _HEADER.unpack_from(value)
    if version != VERSION:
        raise EntryUnreadable(
            f'the entry has format {version}; this version reads {VERSION}',
            'upgrade hgfleet on this node',
        )
    body = value[_HEADER.size : _HEADER.size + length]
    if len(body) != length or zlib.crc32(body) != crc:
        raise EntryUnreadable('the entry is damaged: its checksum is wrong')
    try:
        meta = json.loads(body)
    except (ValueError, RecursionError):
        meta = None
    if not isinstance(meta, dict):
        raise EntryUnreadable('the entry is damaged: it is not an object')
    return meta, value[_HEADER.size + length :]


_FIELDS: dict[str, type] = {
    'repo': str,
    'seq': int,
    'prev': int,
    'node': str,
    'user': str,
    'time': int,
    'push_id': int,
    'changesets': int,
    'digest': str,
    'source': str,
}


def _entry(kind: Kind, meta: dict[str, Any], tail: bytes) -> Entry:
    for name, of in _FIELDS.items():
        if type(meta.get(name)) is not of:
            raise EntryUnreadable(f'the entry has no proper {name!r}')
    text = meta.get('text')
    if text is not None and not isinstance(text, str):
        raise EntryUnreadable("the entry has no proper 'text'")
    return Entry(
        kind=kind,
        text=text,
        payload=_payload(meta.get('payload'), tail),
        **{name: meta[name] for name in _FIELDS},
    )


def _payload(stated: object, tail: bytes) -> Payload | None:
    if stated is None:
        return None
    if not isinstance(stated, dict):
        raise EntryUnreadable("the entry has no proper 'payload'")
    sha256, size = stated.get('sha256'), stated.get('size')
    if not isinstance(sha256, str) or type(size) is not int:
        raise EntryUnreadable("the entry has no proper 'payload'")
    inline = tail if stated.get('inline') else None
    return Payload(sha256, size, inline)


def check_inline(payload: Payload) -> bytes:
    """Return the inline bytes; BlobCorrupt when they are not as stated."""
    data = payload.inline or b''
    actual = hashlib.sha256(data).hexdigest()
    if len(data) != payload.size or actual != payload.sha256:
        raise BlobCorrupt(
            f'the inline payload should have {payload.size} bytes with '
            f'SHA-256 {payload.sha256}, but has {len(data)} with {actual}'
        )
    return data
