"""The ledger, read without any of the code under test.

The format of records and the rule of validity are those that the manual of
``hgext3rd.fleet.core.entry`` and ``core.ledger`` state, written down here a
second time: a checker that shared their code would share their mistakes.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import topic
from .topic import Topic

Source = Path | Topic
"""Where a ledger is: the file of SQLite, or the topic in Kafka."""

# kind -> whether the repository must exist before, and exists afterwards
_FITS = {
    'create': (False, True),
    'push': (True, True),
    'config': (True, True),
    'delete': (True, False),
}
_FENCE = '!fence'
_LIST = '!snapshot/'


@dataclass(frozen=True)
class Page:
    """A record of the ledger that is an entry; ``valid`` if it counts."""

    stream: str
    offset: int
    valid: bool
    kind: str
    repo: str
    seq: int
    prev: int
    node: str
    user: str
    time: int
    push_id: int
    changesets: int
    digest: str
    text: str | None


@dataclass(frozen=True)
class Book:
    """Everything in the ledger, in the order of each stream."""

    pages: tuple[Page, ...]

    def valid(self, repo: str) -> list[Page]:
        """Return the entries of a repository that count, in order."""
        return [page for page in self.pages if page.valid and page.repo == repo]

    def by_user(self, user: str) -> list[Page]:
        """Return what was written on behalf of a user, valid or not."""
        return [page for page in self.pages if page.user == user]

    def repos(self) -> set[str]:
        """Return the repositories that any entry is about."""
        return {page.repo for page in self.pages}

    def last(self, repo: str) -> int:
        """Return the number of a repository's last valid entry, or 0."""
        valid = self.valid(repo)
        return valid[-1].seq if valid else 0

    def exists(self, repo: str) -> bool:
        """Tell whether a repository exists at the end."""
        valid = self.valid(repo)
        return bool(valid) and _FITS[valid[-1].kind][1]

    def present(self, repo: str) -> list[Page]:
        """Return the valid entries since the repository was last created."""
        valid = self.valid(repo)
        for at in reversed(range(len(valid))):
            if valid[at].kind == 'create':
                return valid[at:]
        return []


def records(ledger: Source) -> list[tuple[str, int, str, bytes]]:
    """Return (stream, offset, key, value) of every record of entries."""
    if isinstance(ledger, Topic):
        return topic.records(ledger)
    with connect(ledger) as database:
        rows = database.execute(
            'SELECT stream, offset, key, value FROM records '
            "WHERE stream LIKE 'entries-%' ORDER BY stream, offset"
        ).fetchall()
    database.close()
    return [(str(s), int(o), str(k), bytes(v)) for s, o, k, v in rows]


def connect(ledger: Path) -> sqlite3.Connection:
    """Open the file of the ledger itself."""
    return sqlite3.connect(ledger, timeout=30, isolation_level=None)


@contextmanager
def held(file: Path) -> Iterator[None]:
    """Let nobody else write to a file of the ledger."""
    database = connect(file)
    database.execute('BEGIN IMMEDIATE')
    try:
        yield
    finally:
        database.execute('ROLLBACK')
        database.close()


def read(ledger: Source, repo: str = '') -> Book:
    """Return the whole ledger, or what concerns ``repo``, judged."""
    return Book(tuple(_judge(records(ledger), repo)))


def _judge(
    rows: list[tuple[str, int, str, bytes]], repo: str
) -> Iterator[Page]:
    known: dict[str, tuple[int, bool]] = {}
    following: dict[str, int] = {}
    fenced: set[tuple[str, str]] = set()
    for stream, offset, key, value in rows:
        assert offset == following.get(stream, 0), f'{stream} has a gap'
        following[stream] = offset + 1
        if (repo and key not in (repo, _FENCE)) or key.startswith(_LIST):
            continue
        meta = decode(value)
        if key == _FENCE:
            one = (stream, meta['text'])
            (fenced.discard if meta['source'] == 'unfence' else fenced.add)(one)
            continue
        assert meta['repo'] == key, f'{stream} {offset} has the key {key}'
        seq, exists = known.get(key, (0, False))
        needs, leaves = _FITS[meta['kind']]
        valid = (meta['prev'], meta['seq'], exists) == (seq, seq + 1, needs)
        valid = valid and (stream, meta['node']) not in fenced
        if valid:
            known[key] = (seq + 1, leaves)
        fields = {
            name: meta[name]
            for name in Page.__dataclass_fields__
            if name in meta
        }
        yield Page(stream=stream, offset=offset, valid=valid, **fields)


def decode(value: bytes) -> dict[str, Any]:
    """Return the JSON object of a record."""
    assert value[:8] == b'HGFE\0\0\0\1', value[:8]
    length = int.from_bytes(value[8:12], 'big')
    body = value[16 : 16 + length]
    assert zlib.crc32(body) == int.from_bytes(value[12:16], 'big')
    meta: dict[str, Any] = json.loads(body)
    return meta


def encode(meta: dict[str, Any], payload: bytes = b'') -> bytes:
    """Return the record that holds this JSON object and payload."""
    body = json.dumps(meta).encode()
    sizes = (1, len(body), zlib.crc32(body))
    return (
        b'HGFE'
        + b''.join(size.to_bytes(4, 'big') for size in sizes)
        + body
        + payload
    )
