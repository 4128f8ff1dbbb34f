"""Sums over files that nothing else vouches for.

Changesets, manifests and files are named by their hash, and heads, bookmarks
and phases are in the digest.  What is left is a handful of files of which a
power cut may take a part unnoticed; the record of what was applied holds
their length and CRC-32.  A file that is only appended to is summed on from
where it was.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Sum:
    """The length and the CRC-32 of a file."""

    size: int = 0
    crc: int = 0

    def then(self, more: bytes) -> Sum:
        """Return the sum of the file with ``more`` at its end."""
        return Sum(self.size + len(more), zlib.crc32(more, self.crc))


def encode(sums: Mapping[str, Sum]) -> dict[str, list[int]]:
    """Return what JSON can hold."""
    return {name: [one.size, one.crc] for name, one in sorted(sums.items())}


def decode(body: Any) -> dict[str, Sum]:
    """Return the sums; ValueError or TypeError when there are none in it."""
    found = {}
    for name, (size, crc) in dict(body).items():
        if not isinstance(size, int) or not isinstance(crc, int):
            raise TypeError(f'the sum of {name!r} is no number')
        found[str(name)] = Sum(size, crc)
    return found


def difference(stated: Mapping[str, Sum], actual: Mapping[str, Sum]) -> str:
    """Return which file is not as it should be, or ''."""
    for name in sorted({*stated, *actual}):
        should, is_ = stated.get(name), actual.get(name)
        if should is None:
            return f'{name} should not be there'
        if is_ is None:
            return f'{name} is missing'
        if should != is_:
            return (
                f'{name} has {is_.size} bytes with the sum {is_.crc:08x}, '
                f'not {should.size} with {should.crc:08x}'
            )
    return ''
