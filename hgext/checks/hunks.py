"""Mercurial's binary deltas: which lines go, and which come.

A delta is a run of hunks, each three big-endian numbers (start, end, length)
and that many bytes which replace what was from start to end.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from mercurial import mdiff

_HEADER = struct.Struct('>lll')
_LINE_END = ord('\n')


def hunks(delta: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield (start, end, replacement), as offsets of the old text."""
    place = 0
    while place < len(delta):
        start, end, length = _HEADER.unpack_from(delta, place)
        place += _HEADER.size
        yield start, end, delta[place : place + length]
        place += length


def lines(text: bytes, delta: bytes) -> bytes | None:
    """Return which lines come, if the delta is made of lines of the text.

    What others send may be another one.
    """
    came = []
    done, size = 0, len(text)
    try:
        for start, end, data in hunks(delta):
            last = end == size
            if not (
                done <= start <= end <= size
                and (start == 0 or text[start - 1] == _LINE_END)
                and (start == end or last or text[end - 1] == _LINE_END)
                and (not data or last or data[-1] == _LINE_END)
            ):
                return None
            came.append(data)
            done = end
    except struct.error:
        return None
    return b''.join(came)


def apply(text: bytearray, delta: bytes) -> tuple[bytes, bytes] | None:
    """Change the text by a delta; return which lines went, and which came.

    None, when it is changed but not by whole lines: what others send may be
    such a delta.
    """
    shift = 0
    whole = True
    old, new = [], []
    for start, end, data in hunks(delta):
        start += shift
        end += shift
        whole = (
            whole
            and (start == 0 or text[start - 1] == _LINE_END)
            and (start == end or text[end - 1] == _LINE_END)
            and (not data or data[-1] == _LINE_END)
        )
        old.append(bytes(text[start:end]))
        new.append(data)
        text[start:end] = data
        shift += len(data) - (end - start)
    return (b''.join(old), b''.join(new)) if whole else None


def places(delta: bytes) -> list[tuple[int, int]]:
    """Return where in the new text the replacements are."""
    found = []
    shift = 0
    for start, end, data in hunks(delta):
        found.append((start + shift, start + shift + len(data)))
        shift += len(data) - (end - start)
    return found


def between(old: bytes, new: bytes) -> tuple[bytes, bytes]:
    """Return which lines went from one text to another, and which came."""
    went, there = [], []
    for start, end, data in hunks(mdiff.textdiff(old, new)):
        went.append(old[start:end])
        there.append(data)
    return b''.join(went), b''.join(there)
