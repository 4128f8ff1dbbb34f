"""What changesets have done to files, read from the store.

The history of a file is mostly short, and is in a file of its own: to open it
as Mercurial does takes several times as long as to read it.  So a revision is
taken out of such a file as it is stored, as a whole or as the difference to
its first parent.  Whatever is stored in another way is asked of Mercurial.

Such a difference may be what a client has sent, and need not be made of lines:
that it is, the text of the parent tells.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mercurial import mdiff
from mercurial.node import nullid, nullrev
from mercurial.utils import storageutil

from ..fleet import compat
from . import hunks

_LOGS_KEPT = 64
# What Mercurial keeps in one file with the index.
_LARGEST = 1 << 17
_ENTRY = 64

Unpack = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Stored:
    """A revision as it is stored: a text, or a delta to its first parent.

    ``size`` is that of its content, if known without reading it.
    """

    chunk: bytes
    size: int | None
    parent_rev: int
    parents: tuple[bytes, bytes]

    @property
    def is_whole(self) -> bool:
        """Whether it is a text."""
        return self.size is None


class Small:
    """A history that is in one file, with its index in between."""

    def __init__(self, data: bytes, index: Any) -> None:
        self._data = data
        self._index = index
        self._last: tuple[int, bytes] = nullrev, b''

    def find(self, node: bytes) -> Stored | None:
        """Return a revision, if it is there and stored in such a way."""
        index = self._index
        rev = index.get_rev(node)
        if rev is None:
            return None
        place, length, size, base, _link, first, second = index[rev][:7]
        if place & 0xFFFF or size < 0 or base != (rev if first < 0 else first):
            return None
        chunk = self._chunk(rev)
        if len(chunk) != length:
            return None
        parents = self._node(first), self._node(second)
        return Stored(chunk, None if first < 0 else size, first, parents)

    def text(self, rev: int, unpack: Unpack) -> bytes:
        """Return a text, with what Mercurial may have put before it."""
        asked = rev
        deltas: list[bytes] = []
        known, text = self._last
        while rev != known:
            base = self._index[rev][3]
            chunk = bytes(unpack(self._chunk(rev)))
            if base in (rev, nullrev):
                text = chunk
                break
            deltas.insert(0, chunk)
            rev = base
        if deltas:
            text = mdiff.patches(text, deltas)
        if len(text) <= _LARGEST:
            # The next that is asked for is mostly made of it.
            self._last = asked, text
        return text

    def _node(self, rev: int) -> bytes:
        node: bytes = nullid if rev == nullrev else self._index[rev][7]
        return node

    def _chunk(self, rev: int) -> bytes:
        place, length = self._index[rev][:2]
        start = (place >> 16) + (rev + 1) * _ENTRY
        return self._data[start : start + length]


class FileLogs:
    """The files' histories, of which some are kept."""

    def __init__(self, repo: Any) -> None:
        self._repo = repo
        self._small: dict[bytes, Small | None] = {}
        self._open: dict[bytes, Any] = {}
        self._decompressors: dict[bytes, Any] = {}
        self._unpack = compat.unpacker(repo.changelog)

    def stored(self, name: bytes, node: bytes) -> Stored | None:
        """Return a revision as it is stored; None where Mercurial knows."""
        if self._unpack is None:
            return None
        small = self._small_one(name)
        return small.find(node) if small else None

    def text(self, stored: Stored, node: bytes) -> bytes | None:
        """Return the content of what is stored as a whole, if it is sound."""
        raw = self._unpacked(stored)
        if storageutil.hashrevisionsha1(raw, *stored.parents) != node:
            return None
        content: bytes = storageutil.filtermetadata(raw)
        return content

    def came(self, name: bytes, stored: Stored) -> bytes | None:
        """Return the lines that are new in what is stored as a delta.

        None, if it is not made of lines.
        """
        small = self._small_one(name)
        if small is None:
            return None
        old = small.text(stored.parent_rev, self._unpack)
        return hunks.lines(old, self._unpacked(stored))

    def of(self, name: bytes) -> Any:
        """Return the history of a file as Mercurial has it."""
        log = self._open.get(name)
        if log is None:
            _make_room(self._open)
            log = self._open[name] = self._repo.file(name)
            self._share(log)
        return log

    def _small_one(self, name: bytes) -> Small | None:
        small = self._small.get(name)
        if small is None and name not in self._small:
            small = self._read(name)
            _make_room(self._small)
            self._small[name] = small
        return small

    def _read(self, name: bytes) -> Small | None:
        path = self._repo.svfs.join(b'data/%s.i' % name)
        try:
            with open(path, 'rb', buffering=0) as file:
                size = os.fstat(file.fileno()).st_size
                # Until a transaction is closed it may be large all the same.
                data = file.read(size) if size <= _LARGEST else b''
        except FileNotFoundError:
            return None
        index = compat.inline_index(data)
        return None if index is None else Small(data, index)

    def _unpacked(self, stored: Stored) -> bytes:
        unpack: Any = self._unpack
        return bytes(unpack(stored.chunk))

    def _share(self, log: Any) -> None:
        """Let all histories use one decompressor: to make one takes long."""
        inner: Any = getattr(log._revlog, '_inner', None)
        if isinstance(getattr(inner, '_decompressors', None), dict):
            inner._decompressors = self._decompressors


def _make_room(kept: dict[bytes, Any]) -> None:
    if len(kept) >= _LOGS_KEPT:
        del kept[next(iter(kept))]
