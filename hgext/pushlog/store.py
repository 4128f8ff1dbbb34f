"""The pushlog's two files, and how they are read and appended to.

Both lie in the repository's store, are only ever appended to, and have the
same bytes on every node, since they are a function of the ledger:

``fleet-pushlog``
    one record of 32 bytes for each push, big-endian:

    ======  ====  ====================================================
    offset  size  content
    ======  ====  ====================================================
    0       4     push id: 1 for the first record, then one more each
    4       4     revision number of the push's first changeset
    8       4     number of changesets, at least 1
    12      4     index of the user's line in ``fleet-pushlog-users``
    16      8     time in milliseconds since 1970, signed; never less
                  than the record before has
    24      8     reserved: zero
    ======  ====  ====================================================

``fleet-pushlog-users``
    one user per line (UTF-8), in the order of their first push.  A line's
    index is its number, counted from 0.

The ranges of revisions follow each other without a gap.  Therefore a push
is found by its id with one read, and by a revision or a time with a binary
search; the whole file is never loaded for that.

Appending belongs to a Mercurial transaction, which notes both lengths and
cuts the files back when it is aborted or recovered.  A reader may come at
any moment of it: it leaves half a record alone, and stops at the last push
whose changesets are all there.  On a node that shows less than it has, it
stops where the node's view of the repository does, see :func:`limit`.
"""

from __future__ import annotations

import os
import struct
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from sys import byteorder
from typing import Any

from ..fleet.core.errors import FleetError

FILE = b'fleet-pushlog'
USERS = b'fleet-pushlog-users'

RECORD = struct.Struct('>IIIIqQ')
_BLOCK = 4096  # records read at once when many are wanted
_MOST = 2**32 - 1
_FARTHEST = 2**63 - 1


class PushlogDamaged(FleetError):
    """The pushlog is not what the repository's history makes it."""


class PushRefused(FleetError):
    """The push does not follow the last one that is recorded."""


@dataclass(frozen=True)
class Push:
    """One push: ``count`` changesets from revision ``first`` on.

    ``time`` is in milliseconds since 1970.
    """

    id: int
    user: str
    time: int
    first: int
    count: int

    @property
    def date(self) -> int:
        """The time in whole seconds since 1970."""
        return self.time // 1000

    @property
    def end(self) -> int:
        """The revision after the push's last one."""
        return self.first + self.count

    @property
    def revisions(self) -> range:
        """The revision numbers of the push's changesets."""
        return range(self.first, self.end)


def limit(repo: Any) -> int | None:
    """Return the id of the last push to show; None when all may be shown."""
    view = getattr(repo.unfiltered(), '_fleetview', None)
    return None if view is None else int(view.push_id)


def read(repo: Any) -> Pushlog:
    """Return the pushlog as far as it may be shown through ``repo``."""
    # The changelog first: pushes that land later are then left out.
    revisions = len(repo.unfiltered().changelog)
    return Pushlog(repo.svfs, revisions, limit(repo))


def record(repo: Any, tr: Any, push: Push) -> None:
    """Append a push in the transaction that adds its changesets.

    Raises PushRefused when the push does not follow the last one, and
    PushlogDamaged when there is no telling; nothing is written then.
    """
    svfs = repo.unfiltered().svfs
    with Pushlog(svfs) as log:
        if log.torn:
            raise damaged('it ends with half a record')
        last = log.last()
        users = log.lines() if last else []
    reason = refusal(last, push)
    if reason:
        raise PushRefused(
            f'push {push.id} of {push.user[:100]!r} cannot be recorded: '
            f'{reason}',
            'see "hg help pushlog::verify" for how to examine the pushlog',
        )
    user = push.user.encode()
    if user not in users:
        _append(svfs, tr, USERS, line(push.user))
        users.append(user)
    _append(svfs, tr, FILE, pack(push, users.index(user)))


def refusal(last: Push | None, push: Push) -> str:
    """Return why ``push`` cannot come after ``last``, or ''."""
    id, first, time = (last.id, last.end, last.time) if last else (0, 0, None)
    if push.id != id + 1:
        return f'the push after {id} must have the id {id + 1}'
    if push.first != first:
        return f'it must start at revision {first}, not {push.first}'
    if push.count < 1 or push.end > _MOST or push.id > _MOST:
        return f'it cannot have {push.count} changesets'
    if time is not None and push.time < time:
        return f'its time, {push.time} ms, is before that of the last push'
    if not -_FARTHEST <= push.time <= _FARTHEST:
        return f'{push.time} ms is no time'
    try:
        named = push.user != '' and '\n' not in push.user and line(push.user)
    except UnicodeEncodeError:
        named = False
    return '' if named else 'it has no proper user'


def pack(push: Push, user: int) -> bytes:
    """Return the record of a push whose user has that index."""
    return RECORD.pack(push.id, push.first, push.count, user, push.time, 0)


def line(user: str) -> bytes:
    """Return the line of a user."""
    return user.encode() + b'\n'


def damaged(what: str) -> PushlogDamaged:
    """Return the error for a pushlog that cannot be right."""
    return PushlogDamaged(
        f'the pushlog is damaged: {what}',
        'run "hg pushlog::rebuild" to make it anew from the ledger',
    )


def _append(svfs: Any, tr: Any, name: bytes, data: bytes) -> None:
    with svfs(name, b'ab') as file:
        # First the note of the length, so that an abort cuts it back.
        tr.add(name, file.tell())
        file.write(data)


class Pushlog:
    """A pushlog as it was when it was opened; a context manager.

    Pushes that end after ``revisions`` changesets, or have an id greater
    than ``upto``, are left out.  Everything raises PushlogDamaged when a
    record cannot be right.
    """

    def __init__(
        self, svfs: Any, revisions: int | None = None, upto: int | None = None
    ) -> None:
        self.torn = False
        """Whether the file ends with half a record."""
        self._fd = -1
        self._svfs = svfs
        self._lines: list[bytes] | None = None
        self._size = 0
        try:
            self._fd = os.open(svfs.join(FILE), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        self._size, rest = divmod(os.fstat(self._fd).st_size, RECORD.size)
        self.torn = rest != 0
        if upto is not None:
            self._size = max(0, min(self._size, upto))
        if revisions is not None:
            self._size = self._complete(revisions)

    def _complete(self, revisions: int) -> int:
        """Return how many pushes have all their changesets."""
        if self._size and _end(self._record(self._size - 1)) <= revisions:
            return self._size
        return self._search(lambda record: _end(record) > revisions)

    def close(self) -> None:
        """Let go of the file; harmless when repeated."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Pushlog:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Push]:
        return self.between(0, self._size)

    def last(self) -> Push | None:
        """Return the newest push, or None when there is none."""
        return self.by_id(self._size)

    def by_id(self, id: int) -> Push | None:
        """Return the push with this id, or None."""
        if not 1 <= id <= self._size:
            return None
        return self._push(self._record(id - 1), id)

    def of_revision(self, revision: int) -> Push | None:
        """Return the push that brought a revision, or None."""
        if revision < 0:
            return None
        return self.by_id(
            1 + self._search(lambda record: _end(record) > revision)
        )

    def between(self, after: int, upto: int) -> Iterator[Push]:
        """Yield the pushes with ``after`` < id <= ``upto``, by id."""
        low, high = max(after, 0), min(upto, self._size)
        for start in range(low, high, _BLOCK):
            data = self._bytes(start, min(start + _BLOCK, high))
            for id, record in enumerate(RECORD.iter_unpack(data), start + 1):
                yield self._push(record, id)

    def until(self, early: Callable[[int], bool]) -> int:
        """Return the id of the last push whose date is ``early``, or 0.

        ``early`` is asked about dates in whole seconds; it must be true up
        to some date, and false from then on.
        """
        return self._search(lambda record: not early(record[4] // 1000))

    def by_user(
        self,
        wanted: Callable[[str], bool],
        after: int = 0,
        upto: int | None = None,
    ) -> Iterator[Push]:
        """Yield the pushes of the users for whom ``wanted`` is true, by id.

        Only those with ``after`` < id <= ``upto``.
        """
        users = enumerate(self.users())
        indexes = {index for index, user in users if wanted(user)}
        low, high = max(after, 0), self._size
        high = high if upto is None else min(upto, high)
        for start in range(low, high if indexes else low, _BLOCK):
            data = self._bytes(start, min(start + _BLOCK, high))
            for at, index in enumerate(_column(data, 3)):
                if index in indexes:
                    record = RECORD.unpack_from(data, at * RECORD.size)
                    yield self._push(record, start + at + 1)

    def tips(self) -> Iterator[int]:
        """Yield the last revision of each push, by id."""
        for start in range(0, self._size, _BLOCK):
            data = self._bytes(start, min(start + _BLOCK, self._size))
            for first, count in zip(
                _column(data, 1), _column(data, 2), strict=True
            ):
                yield first + count - 1

    def users(self) -> list[str]:
        """Return everybody who ever pushed, by their first push.

        Users whose first push is not shown may be among them.
        """
        return [_user(each) for each in self.lines()]

    def lines(self) -> list[bytes]:
        """Return the lines of the users' file, without their ends."""
        if self._lines is None:
            # What follows the last end of line is still being written.
            self._lines = self._svfs.tryread(USERS).split(b'\n')[:-1]
        return self._lines

    def _push(self, record: tuple[int, ...], id: int) -> Push:
        known, first, count, user, time, _reserved = record
        lines = self.lines()
        if known != id or user >= len(lines):
            raise damaged(f'the record of push {id} cannot be right')
        return Push(id, _user(lines[user]), time, first, count)

    def _record(self, index: int) -> tuple[int, ...]:
        return RECORD.unpack(self._bytes(index, index + 1))

    def _bytes(self, start: int, end: int) -> bytes:
        size = (end - start) * RECORD.size
        data = os.pread(self._fd, size, start * RECORD.size)
        if len(data) != size:
            raise damaged(f'it ended before push {end} while it was read')
        return data

    def _search(self, after: Callable[[tuple[int, ...]], bool]) -> int:
        """Return the index of the first record for which it is true."""
        low, high = 0, self._size
        while low < high:
            middle = (low + high) // 2
            if after(self._record(middle)):
                high = middle
            else:
                low = middle + 1
        return low


def _user(line: bytes) -> str:
    return line.decode('utf-8', 'surrogateescape')


def _end(record: tuple[int, ...]) -> int:
    return record[1] + record[2]


def _column(data: bytes, field: int) -> array[int]:
    """Return one of the four-byte fields of all records in ``data``."""
    fields = array('I', data)
    if byteorder == 'little':
        fields.byteswap()
    return fields[field :: RECORD.size // 4]
