"""Which files two manifests differ in, for many changesets in a row.

Where history is linear, which it mostly is, a manifest is stored as the
difference to the one before.  So the text of one manifest is kept, and those
differences are applied to it in its place; nothing is parsed but the lines
that change.  What the sides of a merge have done is seen by comparing texts.
A repository with a manifest for each folder is asked in Mercurial's own,
slower way.
"""

from __future__ import annotations

import hashlib
from itertools import pairwise
from typing import Any

from mercurial import scmutil
from mercurial.node import hex

from . import hunks

Line = bytes
"""A file revision's node, in 40 digits, and the flags."""

Differences = dict[bytes, tuple[Line | None, Line | None]]
"""For each file: how it was, and how it is."""

_KEPT = 3


class Manifests:
    """The manifests of one repository, by their nodes."""

    def __init__(self, repo: Any) -> None:
        self._repo = repo
        self._log = repo.manifestlog
        self._flat = not scmutil.istreemanifest(repo)
        self._store = self._log.getstorage(b'')
        self._texts: dict[int, bytearray] = {}
        self._looked_at: dict[int, bytes] = {}
        self._disordered: set[int] = set()
        self._folders: tuple[bytes, set[bytes]] = b'', set()

    def between(self, old: bytes, new: bytes) -> Differences:
        """Return what differs; how it is in ``new`` comes second."""
        if old == new:
            return {}
        if not self._flat:
            return self._slowly(old, new)
        before, after = self._store.rev(old), self._store.rev(new)
        if after in self._texts:
            seen = hunks.between(self._look(before), bytes(self._texts[after]))
        else:
            text = self._text(before)
            delta = self._store.revdiff(before, after)
            seen = hunks.apply(text, delta) or hunks.between(
                self._look(before), bytes(text)
            )
            if not _in_order(text, hunks.places(delta)):
                self._disordered.add(after)
            self._keep(after, text)
        went, came = seen
        gone, there = _lines(went), _lines(came)
        return {
            path: (gone.get(path), there.get(path))
            for path in {**gone, **there}
            if gone.get(path) != there.get(path)
        }

    def is_ordered(self, node: bytes) -> bool:
        """Tell whether its names are in order where they were compared.

        Mercurial does not read a manifest in which they are not, or in which
        one is there twice.
        """
        return self._store.rev(node) not in self._disordered

    def is_sound(self, node: bytes) -> bool:
        """Tell whether a manifest's text has the hash that it is called by."""
        if not self._flat:
            return True
        rev = self._store.rev(node)
        text = self._text(rev)
        self._keep(rev, text)
        parents = sorted(self._store.parents(node))
        summed = hashlib.sha1(parents[0] + parents[1])
        summed.update(text)
        return summed.digest() == node

    def alike(self, node: bytes, path: bytes) -> list[bytes]:
        """Return other names in a manifest that differ only by case."""
        wanted = path.lower()
        if not self._flat:
            names = self._log[node].read()
            return [
                one for one in names if one.lower() == wanted and one != path
            ]
        rev = self._store.rev(node)
        text = self._text(rev)
        self._keep(rev, text)
        lower = b'\n' + text.lower()
        needle = b'\n%s\0' % wanted
        found = []
        at = lower.find(needle)
        while at >= 0:
            found.append(bytes(text[at : at + len(path)]))
            at = lower.find(needle, at + 1)
        return [one for one in found if one != path]

    def in_the_way(self, node: bytes, path: bytes) -> bytes | None:
        """Return a file that cannot be there together with ``path``.

        It is where that needs a folder, or needs one where that is.
        """
        if not self._flat:
            return None  # of one name there is a file or a folder
        if self._folders[0] != node:
            self._folders = node, set()
        known = self._folders[1]
        rev = self._store.rev(node)
        text = self._text(rev)
        self._keep(rev, text)
        at = _place(text, path + b'/')
        if text.startswith(path + b'/', at):
            return bytes(text[at : text.find(b'\0', at)])
        folder = path.rpartition(b'/')[0]
        while folder and folder not in known:
            if text.startswith(folder + b'\0', _place(text, folder + b'\0')):
                return folder
            known.add(folder)
            folder = folder.rpartition(b'/')[0]
        return None

    def paths(self, node: bytes) -> list[bytes]:
        """Return all names in a manifest."""
        if not self._flat:
            return list(self._log[node].read())
        rev = self._store.rev(node)
        text = self._text(rev)
        self._keep(rev, text)
        return [
            line.partition(b'\0')[0] for line in bytes(text).split(b'\n')[:-1]
        ]

    def _text(self, rev: int) -> bytearray:
        """Return a text, which is changed from now on."""
        text = self._texts.pop(rev, None)
        if text is None:
            store = self._store
            text = bytearray(store.rawdata(store.node(rev)))
        return text

    def _look(self, rev: int) -> bytes:
        """Return a text, and keep it as it is: the next merge may need it."""
        text = self._looked_at.pop(rev, None)
        if text is None:
            moving = self._texts.get(rev)
            store = self._store
            text = bytes(moving or store.rawdata(store.node(rev)))
        self._looked_at[rev] = text
        if len(self._looked_at) > _KEPT:
            del self._looked_at[next(iter(self._looked_at))]
        return text

    def _keep(self, rev: int, text: bytearray) -> None:
        self._texts[rev] = text
        if len(self._texts) > _KEPT:
            del self._texts[next(iter(self._texts))]

    def _slowly(self, old: bytes, new: bytes) -> Differences:
        before, after = self._log[old].read(), self._log[new].read()
        return {
            path: (
                hex(was[0]) + was[1] if was[0] else None,
                hex(now[0]) + now[1] if now[0] else None,
            )
            for path, (was, now) in before.diff(after).items()
        }


def _in_order(text: bytearray, places: list[tuple[int, int]]) -> bool:
    """Tell whether names ascend in these places, and next to them."""
    for start, stop in places:
        begin = text.rfind(b'\n', 0, start) + 1
        begin = text.rfind(b'\n', 0, max(begin - 1, 0)) + 1
        for _line in range(2):
            stop = text.find(b'\n', stop) + 1 or len(text)
        lines = bytes(text[begin:stop]).removesuffix(b'\n').split(b'\n')
        names = [line.partition(b'\0')[0] for line in lines]
        if any(one >= other for one, other in pairwise(names)):
            return False
    return True


def _place(text: bytearray, start: bytes) -> int:
    """Return where the first line is that is not less than ``start``."""
    low, high = 0, len(text)
    while low < high:
        line = text.rfind(b'\n', 0, (low + high) // 2) + 1
        end = text.find(b'\n', line) + 1 or len(text)
        if text[line:end] < start:
            low = end
        else:
            high = line
    return low


def _lines(text: bytes) -> dict[bytes, Line]:
    parts = [line.partition(b'\0') for line in text.split(b'\n') if line]
    return {path: rest for path, _nul, rest in parts}
