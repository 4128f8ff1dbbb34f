"""Mercurial's binary deltas: which lines go, and which come.

A delta is a run of hunks, each three big-endian numbers (start, end, length)
and that many bytes which replace what was from start to end.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_HEADER = struct.Struct('>lll')


def hunks(delta: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield (start, end, replacement), as offsets of the old text."""
    place = 0
    while place < len(delta):
        start, end, length = _HEADER.unpack_from(delta, place)
        place += _HEADER.size
        yield start, end, delta[place : place + length]
        place += length


def apply(text: bytearray, delta: bytes) -> tuple[bytes, bytes]:
    """Change the text by a delta; return what went, and what came."""
    shift = 0
    old, new = [], []
    for start, end, data in hunks(delta):
        start += shift
        end += shift
        old.append(bytes(text[start:end]))
        new.append(data)
        text[start:end] = data
        shift += len(data) - (end - start)
    return b''.join(old), b''.join(new)
