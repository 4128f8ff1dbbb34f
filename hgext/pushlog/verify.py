"""Whether a pushlog is whole: the laws of ``store`` that hold for it.

All of it is read, whatever the node shows.  The command says what each
problem is; what to do about any of them is to rebuild the pushlog.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from .store import FILE, RECORD, USERS

MOST = 20
"""After so many problems the rest is probably the same one."""

_BLOCK = RECORD.size * 4096


def problems(repo: Any) -> list[str]:
    """Return what is wrong with the pushlog, at most :data:`MOST` things."""
    return list(islice(_problems(repo.unfiltered()), MOST))


def _problems(repo: Any) -> Iterator[str]:
    lines = repo.svfs.tryread(USERS).split(b'\n')
    known = len(lines) - 1
    yield from _in_users(lines)
    before: tuple[int, ...] = (0,) * 6
    seen = 0  # users of the pushes so far
    for record in _records(repo.svfs):
        number, user = before[0] + 1, record[3]
        yield from _in_record(before, record)
        possible = min(seen + 1, known)
        if user >= possible:
            yield (
                f'push {number} is of user {user}, but only {possible} '
                'users can be listed by then'
            )
        seen = max(seen, user + 1)
        before = (number, *record[1:])
    yield from _at_end(repo, before[1] + before[2])
    if seen < known:
        yield f'user {seen} is listed, but never pushed'


def _in_record(
    before: tuple[int, ...], record: tuple[int, ...]
) -> Iterator[str]:
    id, first, count, _user, time, reserved = record
    number, end = before[0] + 1, before[1] + before[2]
    if id != number:
        yield f'push {number} has the id {id}'
    if first != end:
        yield f'push {number} starts at revision {first}, not at {end}'
    if count < 1:
        yield f'push {number} has no changesets'
    if number > 1 and time < before[4]:
        yield f'push {number} is older than the one before it'
    if reserved:
        yield f'push {number} has {reserved} where zero is reserved'


def _at_end(repo: Any, end: int) -> Iterator[str]:
    rest = _size(repo.svfs) % RECORD.size
    if rest:
        yield f'{rest} bytes follow the last record'
    revisions = len(repo.changelog)
    if end != revisions:
        yield (
            f'the pushes cover {end} changesets, '
            f'but the repository has {revisions}'
        )


def _in_users(lines: list[bytes]) -> Iterator[str]:
    if lines[-1]:
        yield 'the last user has no end of line'
    seen = set()
    for index, line in enumerate(lines[:-1]):
        try:
            user = line.decode('utf-8')
        except UnicodeDecodeError:
            yield f'user {index} is not UTF-8: {line!r}'
            continue
        if not user or user in seen:
            yield f'user {index} is {user!r} and should not be there'
        seen.add(user)


def _records(svfs: Any) -> Iterator[tuple[int, ...]]:
    try:
        file = svfs(FILE, b'rb')
    except FileNotFoundError:
        return
    with file:
        while block := file.read(_BLOCK):
            whole = len(block) - len(block) % RECORD.size
            yield from RECORD.iter_unpack(block[:whole])


def _size(svfs: Any) -> int:
    try:
        size: int = svfs.stat(FILE).st_size
    except FileNotFoundError:
        return 0
    return size
