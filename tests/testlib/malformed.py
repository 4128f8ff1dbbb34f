"""Changegroups that are put together byte by byte, and may be wrong.

    first = Change({b'a': b'hello\\n'})
    sound = Change({b'a': b'good-bye\\n'}, parent=first)
    sound.bundle()                                   # what a client pushes
    sound.spoiled('file', header(9, 9, 1)).bundle()  # with another delta

A :class:`Change` is one changeset, sent with its ancestors.  Its nodes are
those of the content that it claims to have, so that nothing is wrong but what
was spoiled.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

NULL = b'\0' * 20
PARTS = ('changeset', 'manifest', 'file')


def header(start: int, end: int, length: int) -> bytes:
    """Return the start of a hunk: these bytes become ``length`` others."""
    return b''.join(one.to_bytes(4, 'big') for one in (start, end, length))


def whole(text: bytes, before: bytes = b'') -> bytes:
    """Return the delta that makes ``text`` of ``before``."""
    return header(0, len(before), len(text)) + text


def node(text: bytes, parent: bytes = NULL) -> bytes:
    """Return the node of a revision."""
    return hashlib.sha1(NULL + parent + text).digest()


@dataclass(frozen=True)
class Change:
    """One changeset, with all its files and their flags (``l``: a link)."""

    files: Mapping[bytes, bytes]
    flags: Mapping[bytes, bytes] = field(default_factory=dict)
    raw_manifest: bytes | None = None
    deltas: Mapping[str, bytes] = field(default_factory=dict)
    parent: Change | None = None

    def spoiled(self, part: str, delta: bytes) -> Change:
        """Return the same with another delta for one of PARTS."""
        assert part in PARTS
        return replace(self, deltas={part: delta})

    @property
    def manifest(self) -> Revision:
        """The manifest."""
        text = self.raw_manifest
        if text is None:
            text = b''.join(
                b'%s\0%s%s\n'
                % (
                    path,
                    self.file(path).node.hex().encode(),
                    self.flags.get(path, b''),
                )
                for path in sorted(self.files)
            )
        return Revision(text, self.parent.manifest if self.parent else None)

    @property
    def changeset(self) -> Revision:
        """The changeset itself."""
        paths = b''.join(path + b'\n' for path in sorted(self.files))
        its = self.manifest.node.hex().encode()
        text = b'%s\nann\n0 0\n%s\na change' % (its, paths)
        return Revision(text, self.parent.changeset if self.parent else None)

    def file(self, path: bytes) -> Revision:
        """Return one of the files, which differs from that of the parent."""
        known = self.parent is not None and path in self.parent.files
        before = self.parent.file(path) if known and self.parent else None
        return Revision(self.files[path], before)

    @property
    def hex(self) -> str:
        """The hash of the changeset."""
        return self.changeset.node.hex()

    def group(self) -> bytes:
        """Return the changegroup, of version 01."""
        changes: list[Change] = [self]
        while changes[0].parent is not None:
            changes.insert(0, changes[0].parent)
        return b''.join(_sections(changes))

    def bundle(self) -> bytes:
        """Return the changegroup as a bundle of the oldest kind."""
        return b'HG10UN' + self.group()


@dataclass(frozen=True)
class Revision:
    """One version of something, after another."""

    text: bytes
    parent: Revision | None = None

    @property
    def node(self) -> bytes:
        """Its hash."""
        return node(self.text, self.parent.node if self.parent else NULL)

    def chunk(self, link: bytes, delta: bytes | None) -> bytes:
        """Return how it is sent, by default as it should be."""
        parent = self.parent
        if delta is None:
            delta = whole(self.text, parent.text if parent else b'')
        first = parent.node if parent else NULL
        return _chunk(self.node + first + NULL + link + delta)


def _sections(changes: list[Change]) -> Iterator[bytes]:
    for one in changes:
        yield _revision(one, 'changeset', one.changeset)
    yield _chunk(b'')
    for one in changes:
        yield _revision(one, 'manifest', one.manifest)
    yield _chunk(b'')
    for path in sorted({path for one in changes for path in one.files}):
        yield _chunk(path)
        for one in changes:
            if path in one.files:
                yield _revision(one, 'file', one.file(path))
        yield _chunk(b'')
    yield _chunk(b'')


def _revision(change: Change, part: str, revision: Revision) -> bytes:
    return revision.chunk(change.changeset.node, change.deltas.get(part))


def _chunk(data: bytes) -> bytes:
    return struct.pack('>l', len(data) + 4 if data else 0) + data
