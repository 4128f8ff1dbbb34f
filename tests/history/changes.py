"""What happened to which file between two trees.

A file that went while one with the same content, or with the same name and
mostly the same lines, came elsewhere has moved. Changes that cannot stand in
any order, since a file makes room for a folder of its name or the other way
round, come first and in an order that works.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .trees import Blob, Tree

ALIKE = 0.5  # the share of common lines from which on a file has moved


@dataclass(frozen=True)
class Change:
    """One file added, changed, moved here from `source`, or removed (None)."""

    path: bytes
    blob: Blob | None
    source: bytes | None = None
    new: bool = False

    @property
    def paths(self) -> frozenset[bytes]:
        return frozenset({self.path, self.source or self.path})


@dataclass(frozen=True)
class Changes:
    """The changes that must come first, in this order, and the others."""

    first: tuple[Change, ...]
    rest: tuple[Change, ...]


def changes(old: Tree, new: Tree, salt: str) -> Changes:
    """The changes from `old` to `new`; `salt` varies the order of the rest."""
    gone = old.keys() - new.keys()
    came = new.keys() - old.keys()
    clashing = set(_clashing(gone, came))
    free_gone, free_came = gone - clashing, came - clashing
    moved = _moved(old, new, free_gone, free_came)
    rest = [
        *(
            Change(p, new[p])
            for p in new.keys() & old.keys()
            if new[p] != old[p]
        ),
        *(Change(p, new[p], moved.get(p), True) for p in free_came),
        *(Change(p, None) for p in free_gone - set(moved.values())),
    ]
    rest.sort(key=lambda change: digest(salt, change.path))
    first = [
        *(Change(p, None) for p in sorted(gone & clashing)),
        *(Change(p, new[p], None, True) for p in sorted(came & clashing)),
    ]
    return Changes(tuple(first), tuple(rest))


def digest(salt: str, path: bytes) -> bytes:
    """Bytes that look random and are the same everywhere."""
    return hashlib.sha256(salt.encode() + b'\0' + path).digest()


def _clashing(gone: set[bytes], came: set[bytes]) -> Iterator[bytes]:
    for one, other in ((gone, came), (came, gone)):
        for path in one:
            for folder in _folders(path):
                if folder in other:
                    yield path
                    yield folder


def _folders(path: bytes) -> Iterator[bytes]:
    while b'/' in path:
        path = path.rpartition(b'/')[0]
        yield path


def _moved(
    old: Tree, new: Tree, gone: set[bytes], came: set[bytes]
) -> dict[bytes, bytes]:
    """Where the files that came were before, each source used once."""
    moved: dict[bytes, bytes] = {}
    left = set(gone)
    for alike in (_same_content, _same_name):
        for path in sorted(came - moved.keys()):
            for source in sorted(left):
                if alike(path, new[path], source, old[source]):
                    moved[path] = source
                    left.remove(source)
                    break
    return moved


def _same_content(path: bytes, blob: Blob, source: bytes, was: Blob) -> bool:
    return bool(blob.data) and blob.data == was.data


def _same_name(path: bytes, blob: Blob, source: bytes, was: Blob) -> bool:
    if path.rpartition(b'/')[2] != source.rpartition(b'/')[2]:
        return False
    return likeness(was.data, blob.data) >= ALIKE


def likeness(old: bytes, new: bytes) -> float:
    """The share of lines, of the longer one, that both texts have: 0 to 1."""
    ours, theirs = _lines(old), _lines(new)
    most = max(ours.total(), theirs.total())
    return (ours & theirs).total() / most if most else 0.0


def _lines(text: bytes) -> Counter[bytes]:
    lines: Iterable[bytes] = (line.strip() for line in text.splitlines())
    return Counter(line for line in lines if line)
