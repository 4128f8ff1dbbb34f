"""Answers of a directory that were proven, for when it does not answer.

A :class:`Memory` is a small SQLite database.  It holds who was found, and
when; which user held a key, as a hint where to look; until when a directory
that has not answered is left alone; and whose last access was noted today.
Everything is per machine, bounded, and may be deleted at any time.

:class:`Remembering` asks a directory, and falls back to the memory when that
is unavailable.  Who was not found is never remembered, and whoever is found
to be gone or disabled is forgotten at once, as is who held a key that nobody
holds.  So during an outage those who
were there within ``keep`` seconds get in, as they were then, and nobody else.

A memory that cannot be opened, or that others could have written, is none.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from ..core import sshkey
from ..core.errors import DirectoryUnavailable
from ..ports import Clock, Directory, User

REST = 5.0
"""Seconds in which a directory that has not answered is not asked again."""

_BUSY = 0.3
_SCHEMA = """
create table if not exists proven
    (name text primary key, user text not null, at real not null);
create table if not exists holder
    (key text primary key, name text not null, at real not null);
create table if not exists note
    (name text primary key, at real not null);
"""

Told = Callable[[str, float], None]
"""Called with a user's name, and the age in seconds of what is used."""


class Memory:
    """The database at ``path``; at most ``most`` rows a table."""

    def __init__(self, path: str, most: int, clock: Clock) -> None:
        self._path = path
        self._most = most
        self._clock = clock
        self._made: sqlite3.Connection | None = None

    def recall(self, name: str, keep: float) -> tuple[User, float] | None:
        """Return a user, and how old that is, if proven recently enough."""
        found = self._first('select user, at from proven where name = ?', name)
        if found is None:
            return None
        age = self._clock.wall() - found[1]
        # A clock that was set back makes nothing younger than it is.
        if not -60 <= age <= keep:
            return None
        with contextlib.suppress(ValueError, TypeError, KeyError):
            fields = json.loads(found[0])
            fields['groups'] = frozenset(fields['groups'])
            fields['keys'] = tuple(fields['keys'])
            return User(**fields), max(0.0, age)
        return None

    def holder(self, key: str) -> str | None:
        """Return who held a key when it was last seen."""
        found = self._first('select name from holder where key = ?', key)
        return str(found[0]) if found else None

    def keep(self, user: User) -> None:
        """Note that a user is there, or is not allowed in any more."""
        if not user.enabled:
            self.forget(user.name)
            return
        fields = {**asdict(user), 'groups': sorted(user.groups)}
        row = (user.name, json.dumps(fields), self._clock.wall())
        self._put('proven', [row])

    def hold(self, held: dict[str, str]) -> None:
        """Note who holds which keys."""
        now = self._clock.wall()
        self._put('holder', [(key, name, now) for key, name in held.items()])

    def forget(self, name: str) -> None:
        """Forget a user."""

        def edit(base: sqlite3.Connection) -> None:
            base.execute('delete from proven where name = ?', (name,))
            base.execute('delete from holder where name = ?', (name,))

        self._change(edit)

    def drop(self, key: str) -> None:
        """Forget who held a key."""
        self._change(
            lambda base: base.execute(
                'delete from holder where key = ?', (key,)
            )
        )

    def noted(self, what: str) -> float | None:
        """Return how many seconds ago something was noted."""
        found = self._first('select at from note where name = ?', what)
        if found is None:
            return None
        age = self._clock.wall() - found[0]
        return float(age) if age >= 0 else None

    def note(self, what: str) -> None:
        """Note that something happened just then."""
        self._put('note', [(what, self._clock.wall())])

    def close(self) -> None:
        """Let go of the file; harmless when repeated."""
        made, self._made = self._made, None
        if made is not None:
            made.close()

    def _put(self, table: str, rows: list[tuple[object, ...]]) -> None:
        """Put rows, and take the oldest away when there are too many."""
        marks = ', '.join('?' * len(rows[0])) if rows else ''

        def edit(base: sqlite3.Connection) -> None:
            base.executemany(
                f'insert or replace into {table} values ({marks})', rows
            )
            base.execute(
                f'delete from {table} where rowid in (select rowid from '
                f'{table} order by at desc limit -1 offset ?)',
                (self._most,),
            )

        if rows:
            self._change(edit)

    def _first(self, query: str, value: str) -> tuple[Any, ...] | None:
        with contextlib.suppress(sqlite3.Error, OSError):
            row = self._base().execute(query, (value,)).fetchone()
            return row  # type: ignore[no-any-return]
        return None

    def _change(self, edit: Callable[[sqlite3.Connection], object]) -> None:
        # Without a memory all goes on, until the directory is away.
        with contextlib.suppress(sqlite3.Error, OSError):
            base = self._base()
            with base:
                edit(base)

    def _base(self) -> sqlite3.Connection:
        if self._made is None:
            opened = os.open(
                self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600
            )
            try:
                about = os.fstat(opened)
            finally:
                os.close(opened)
            if about.st_uid != os.geteuid() or about.st_mode & 0o022:
                raise PermissionError(f'{self._path} is writable by others')
            made = sqlite3.connect(self._path, timeout=_BUSY)
            made.executescript(_SCHEMA)
            self._made = made
        return self._made


def _untold(_name: str, _age: float) -> None:
    """Tell nobody."""


class Remembering:
    """A directory that falls back to what was proven before.

    ``told`` hears of each use of the memory.
    """

    def __init__(self, inner: Directory, memory: Memory, keep: float) -> None:
        self.told: Told = _untold
        self._inner = inner
        self._memory = memory
        self._keep = keep

    def user(self, name: str) -> User | None:
        """Return the user of that name, or None."""
        try:
            user = self._asked(lambda: self._inner.user(name))
        except DirectoryUnavailable as problem:
            return self._recalled(name, problem)
        if user is None:
            self._memory.forget(name)
        else:
            self._memory.keep(user)
        return user

    def owner(self, key: str) -> User | None:
        """Return the user who holds a public key (``type base64``)."""
        key = sshkey.canonical(key) or ''
        if not key:
            return None
        try:
            user = self._asked(lambda: self._inner.owner(key))
        except DirectoryUnavailable as problem:
            name = self._memory.holder(key)
            if name is None:
                raise
            user = self._recalled(name, problem)
            if key not in user.keys:
                raise
            return user
        if user is None:
            self._memory.drop(key)
        else:
            self._memory.keep(user)
            self._memory.hold(dict.fromkeys(user.keys, user.name))
        return user

    def users(self) -> Iterator[User]:
        """Yield every user, by name."""
        return self._inner.users()

    def seen(self, name: str) -> None:
        """Note that a user has logged in."""
        self._inner.seen(name)

    def close(self) -> None:
        """Let go of files and connections; harmless when repeated."""
        self._inner.close()
        self._memory.close()

    def _asked(self, ask: Callable[[], User | None]) -> User | None:
        rested = self._memory.noted('away')
        if rested is not None and rested < REST:
            raise DirectoryUnavailable(
                f'the directory has not answered {rested:.0f} s ago',
                'try again in some seconds',
            )
        try:
            return ask()
        except DirectoryUnavailable:
            self._memory.note('away')
            raise

    def _recalled(self, name: str, problem: DirectoryUnavailable) -> User:
        """Return a proven user; raises ``problem`` when there is none."""
        found = self._memory.recall(name, self._keep)
        if found is None:
            raise problem
        user, age = found
        self.told(name, age)
        return user
