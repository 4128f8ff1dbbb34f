"""Damage to a ledger and a blob store, and how it is undone.

Each function does its damage behind everybody's back, as a disk or an
operator would, and returns what undoes it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import book
from .fleet import Fleet

Cure = Callable[[], object]


def last(fleet: Fleet, repo: str) -> tuple[str, int, bytes]:
    """Return (stream, offset, value) of the last record of a repository."""
    found = [row for row in book.records(fleet.source) if row[2] == repo]
    stream, offset, _key, value = found[-1]
    return stream, offset, value


def inject(fleet: Fleet, repo: str, value: bytes) -> Cure:
    """Add a record to a repository's stream.

    The cure is what a newer version would have seen in it: an entry that
    does nothing.
    """
    stream, _offset, before = last(fleet, repo)
    with book.connect(fleet.ledger) as database:
        database.execute('BEGIN IMMEDIATE')
        (offset,) = database.execute(
            'SELECT max(offset) + 1 FROM records WHERE stream = ?', (stream,)
        ).fetchone()
        database.execute(
            'INSERT INTO records (stream, offset, key, value) '
            'VALUES (?, ?, ?, ?)',
            (stream, offset, repo, value),
        )
    database.close()
    return lambda: overwrite(fleet, stream, offset, book.encode(_next(before)))


def _next(value: bytes, **changes: Any) -> dict[str, Any]:
    """Return the entry after one of a push, which changes nothing."""
    meta = book.decode(value)
    meta.update(
        kind='config',
        seq=meta['seq'] + 1,
        prev=meta['seq'],
        changesets=0,
        text=None,
        source='config',
    )
    meta.pop('payload', None)
    return {**meta, **changes}


def overwrite(fleet: Fleet, stream: str, offset: int, value: bytes) -> None:
    """Replace the bytes of one record."""
    with book.connect(fleet.ledger) as database:
        done = database.execute(
            'UPDATE records SET value = ? WHERE stream = ? AND offset = ?',
            (value, stream, offset),
        )
        assert done.rowcount == 1
    database.close()


def unknown_kind(fleet: Fleet, repo: str) -> Cure:
    """An entry of a kind that nobody knows."""
    value = _next(last(fleet, repo)[2], kind='merge-queue')
    return inject(fleet, repo, book.encode(value))


def unknown_version(fleet: Fleet, repo: str) -> Cure:
    """An entry in a format of the future."""
    value = book.encode(_next(last(fleet, repo)[2]))
    return inject(fleet, repo, value[:4] + b'\0\0\0\x09' + value[8:])


def no_entry(fleet: Fleet, repo: str) -> Cure:
    """A record that is no entry at all."""
    return inject(fleet, repo, b'\0' * 100)


def damaged_entry(fleet: Fleet, repo: str) -> Cure:
    """A bit of an acknowledged entry's own part is flipped."""
    return _flipped(fleet, repo, 40)


def damaged_payload(fleet: Fleet, repo: str) -> Cure:
    """A bit of an acknowledged entry's inline payload is flipped."""
    return _flipped(fleet, repo, -30)


def _flipped(fleet: Fleet, repo: str, at: int) -> Cure:
    stream, offset, value = last(fleet, repo)
    damaged = bytearray(value)
    damaged[at] ^= 1
    overwrite(fleet, stream, offset, bytes(damaged))
    return lambda: overwrite(fleet, stream, offset, value)


def senseless_payload(fleet: Fleet, repo: str) -> Cure:
    """The inline payload is as stated, but it is no bundle."""
    payload = b'HG20' + b'\xff' * 200
    return _restated(
        fleet,
        repo,
        payload,
        payload={
            'sha256': hashlib.sha256(payload).hexdigest(),
            'size': len(payload),
            'inline': True,
        },
    )


def wrong_digest(fleet: Fleet, repo: str) -> Cure:
    """The entry states another digest than it leads to."""
    value = last(fleet, repo)[2]
    length = int.from_bytes(value[8:12], 'big')
    return _restated(fleet, repo, value[16 + length :], digest='0' * 64)


def _restated(fleet: Fleet, repo: str, tail: bytes, **changes: Any) -> Cure:
    stream, offset, value = last(fleet, repo)
    changed = {**book.decode(value), **changes}
    overwrite(fleet, stream, offset, book.encode(changed, tail))
    return lambda: overwrite(fleet, stream, offset, value)


def missing_blob(fleet: Fleet, repo: str) -> Cure:
    """The blob of an acknowledged entry is not there."""
    path = blob(fleet, repo)
    aside = fleet.folder / path.name
    path.rename(aside)
    return lambda: aside.rename(path)


def damaged_blob(fleet: Fleet, repo: str) -> Cure:
    """A bit of the blob of an acknowledged entry is flipped."""
    path = blob(fleet, repo)
    data = path.read_bytes()
    path.write_bytes(data[:-30] + bytes([data[-30] ^ 1]) + data[-29:])
    return lambda: path.write_bytes(data)


def blob(fleet: Fleet, repo: str) -> Path:
    """Return the file of the payload of a repository's last entry."""
    stated = book.decode(last(fleet, repo)[2])['payload']
    assert not stated['inline'], json.dumps(stated)
    name: str = stated['sha256']
    return fleet.blobs / name[:2] / name[2:]
