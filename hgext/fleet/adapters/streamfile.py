"""Streams of records in one SQLite file.

The file is in WAL mode: readers never block, writers queue for the write
lock.  A record is a row; two indexes find it by (stream, offset) and by
(stream, key, offset), so a read costs what it returns, however long the
stream is.  The value is the last column, and SQLite keeps the long ones on
pages of their own, which nothing but the reading of that value touches.

A new file is made complete under another name and linked into place, so no
process ever meets half a ledger, and none overwrites another's.  A file that
exists but is empty or foreign is refused, never filled.

What went wrong is told by SQLite's message, since Python 3.10 gives no code.
Where COMMIT itself fails, one must think:

- *full*: the page that makes the transaction count was not written;
- *locked*: SQLite had not begun to write;
- anything else, above all a failed fsync: the page may be in the write-ahead
  log, unseen for now, and come back when the log is recovered after a crash.
  That is an OutcomeUnknown.

After an error the transaction is rolled back and the connection dropped; the
next call opens a fresh one.  Only a full disk and a lock leave it open, since
on a full disk there may be no room to open it again, even for reading.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from heapq import merge
from itertools import islice

from ..core.errors import (
    LedgerError,
    LedgerFull,
    LedgerUnavailable,
    OutcomeUnknown,
    SettingError,
)
from ..ports import Batch, Record

VERSION = 1
PATIENCE = 10.0
"""Seconds that a call waits for the write lock."""

# "hgLe", by which file(1) and this module know the file.
_APPLICATION = 0x68674C65
_LONGEST_LOG = 64 << 20
_LITTLE = 1 << 20
_PAUSE = 0.001

_SCHEMA = """
CREATE TABLE records (
    id INTEGER PRIMARY KEY,
    stream TEXT NOT NULL,
    offset INTEGER NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL
);
CREATE UNIQUE INDEX by_offset ON records (stream, offset);
CREATE INDEX by_key ON records (stream, key, offset);
"""

_END = 'SELECT max(offset) + 1 FROM records WHERE stream = ?'
_INSERT = 'INSERT INTO records (stream, offset, key, value) VALUES (?, ?, ?, ?)'
_FORGET = 'DELETE FROM records WHERE stream = ? AND key = ? AND offset < ?'
_READ = """
SELECT offset, key, value FROM records
WHERE stream = ? AND offset >= ? ORDER BY offset LIMIT ?
"""
_READ_KEY = """
SELECT offset, key, value FROM records
WHERE stream = ? AND key = ? AND offset >= ? ORDER BY offset LIMIT ?
"""

_FULL = 'database or disk is full'
_LOCKED = ('database is locked', 'database table is locked')
_DAMAGED = ('file is not a database', 'database disk image is malformed')
# These two are also what a full disk looks like when SQLite cannot make or
# stretch the small files beside the database.
_DENIED = ('unable to open database file', 'disk I/O error')


class StreamFile:
    """The streams in the file at ``path``, made when it is missing.

    ``durable``: a record survives a power cut once append has returned;
    without, the last ones may be lost, but the file is never damaged.
    ``cure`` is the hint given when the file is damaged.
    """

    def __init__(self, path: str, durable: bool, cure: str) -> None:
        self._path = path
        self._durable = durable
        self._cure = cure
        self._database: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open the file unless it is open; raises LedgerError."""
        with self._session('open the ledger'):
            pass

    def append(self, stream: str, key: str, value: bytes, alone: bool) -> int:
        """Write a record and return its offset.

        With ``alone``, older records of the same key are dropped.
        """
        doing = f'append to {stream}'
        with self._session(doing) as database:
            _begin(database)
            offset = _end(database, stream)
            database.execute(_INSERT, (stream, offset, key, value))
            if alone:
                database.execute(_FORGET, (stream, key, offset))
            try:
                database.execute('COMMIT')
            except sqlite3.Error as error:
                raise self._uncommitted(error, doing) from error
        return offset

    def read(
        self,
        stream: str,
        position: int,
        keys: Collection[str] | None,
        limit: int,
    ) -> Batch:
        """Return up to ``limit`` records from ``position`` on."""
        limit = max(limit, 0)
        with self._session(f'read {stream}') as database:
            if keys is None:
                rows = database.execute(_READ, (stream, position, limit))
                records = [Record(*row) for row in rows]
                if records or not limit:
                    upto = records[-1].offset + 1 if records else position
                else:
                    upto = min(position, _end(database, stream))
                return Batch(records, upto)
            # One snapshot for all keys: else a record of the first key could
            # be passed over for a later one of the second.
            database.execute('BEGIN')
            found = [
                database.execute(_READ_KEY, (stream, key, position, limit))
                for key in set(keys)
            ]
            records = [Record(*row) for row in islice(merge(*found), limit)]
            for cursor in found:
                cursor.close()
            if len(records) < limit:
                upto = _end(database, stream)
            else:
                upto = records[-1].offset + 1 if records else position
            database.execute('COMMIT')
            return Batch(records, upto)

    def end(self, stream: str) -> int:
        """Return the position after the last record."""
        with self._session(f'find the end of {stream}') as database:
            return _end(database, stream)

    def close(self) -> None:
        """Let go of the file; the next call opens it again."""
        database, self._database = self._database, None
        if database is not None:
            with suppress(sqlite3.Error):
                database.close()

    @contextmanager
    def _session(self, doing: str) -> Iterator[sqlite3.Connection]:
        """Lend the connection; rename errors, and drop it after any."""
        try:
            if self._database is None:
                self._database = self._connect()
            yield self._database
        except sqlite3.ProgrammingError:
            self.close()
            raise
        except sqlite3.Error as error:
            self._roll_back(keep=str(error) in (_FULL, *_LOCKED))
            raise self._failed(error, doing) from error
        except OSError as error:
            self.close()
            raise self._unmade(error) from error
        except BaseException as error:
            self._roll_back(keep=isinstance(error, LedgerFull))
            raise

    def _roll_back(self, keep: bool) -> None:
        database = self._database
        if database is not None and keep:
            with suppress(sqlite3.Error):
                if database.in_transaction:
                    database.execute('ROLLBACK')
                return
        self.close()

    def _connect(self) -> sqlite3.Connection:
        if not os.path.exists(self._path):
            self._create()
        # mode=rw: a file that has just vanished is not made anew, empty.
        database = _connect(self._path)
        try:
            level = 'FULL' if self._durable else 'NORMAL'
            database.execute(f'PRAGMA synchronous = {level}')
            database.execute(f'PRAGMA journal_size_limit = {_LONGEST_LOG}')
            self._check(database)
        except BaseException:
            database.close()
            raise
        return database

    def _check(self, database: sqlite3.Connection) -> None:
        """Refuse a file that is not a ledger, or one of a newer version."""
        (application,) = database.execute('PRAGMA application_id').fetchone()
        if application != _APPLICATION:
            raise SettingError(
                f'{self._path} is not a ledger',
                'correct ledger in the [fleet] section; if this was the '
                'ledger, restore it from a backup',
            )
        (version,) = database.execute('PRAGMA user_version').fetchone()
        if version > VERSION:
            raise SettingError(
                f'the ledger {self._path} belongs to a newer version',
                'upgrade hgfleet on this machine',
            )

    def _create(self) -> None:
        """Make an empty file of streams; harmless if another is quicker."""
        draft = f'{self._path}.new-{os.urandom(4).hex()}'
        # SQLite would make it 0644, whatever the umask grants to a group.
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        try:
            database = _connect(draft)
            try:
                database.execute('PRAGMA synchronous = OFF')
                database.execute('PRAGMA journal_mode = WAL')
                database.executescript(_SCHEMA)
                database.execute(f'PRAGMA application_id = {_APPLICATION}')
                database.execute(f'PRAGMA user_version = {VERSION}')
                # To close does so too, but does not say if it cannot.
                database.execute('PRAGMA wal_checkpoint(TRUNCATE)').fetchone()
            finally:
                database.close()
            _sync(draft)
            with suppress(FileExistsError):
                os.link(draft, self._path)
        finally:
            os.unlink(draft)
        _sync(os.path.dirname(self._path))

    def _failed(self, error: sqlite3.Error, doing: str) -> LedgerError:
        """Rename an error before which nothing was written."""
        why = str(error)
        if why == _FULL or (why in _DENIED and self._no_room()):
            return self._full(doing)
        if why in _LOCKED:
            hint = f'try again; to see who holds it: fuser -v {self._path}'
            why = f'another process has kept it locked for {PATIENCE:.0f} s'
        elif why in _DAMAGED:
            hint = self._cure
        else:
            hint = 'check that this user may write the file and its folder'
        return LedgerUnavailable(f'cannot {doing} in {self._path}: {why}', hint)

    def _uncommitted(self, error: sqlite3.Error, doing: str) -> LedgerError:
        """Rename an error of COMMIT; the module's docstring says why so."""
        if str(error) == _FULL:
            return self._full(doing)
        if str(error) in _LOCKED:
            return LedgerUnavailable(
                f'cannot {doing} in {self._path}: it is locked', 'try again'
            )
        return OutcomeUnknown(
            f'no certainty about "{doing}" in {self._path}: {error}',
            'the entry may still arrive; look before trying again',
        )

    def _unmade(self, error: OSError) -> LedgerError:
        """Rename an error of the operating system while making the file."""
        folder = os.path.dirname(self._path)
        if self._no_room():
            return self._full('make the ledger')
        if not os.path.isdir(folder):
            return LedgerUnavailable(
                f'cannot make the ledger {self._path}: there is no folder '
                f'{folder}',
                f'mount it, or make it: mkdir -p {folder}',
            )
        return LedgerUnavailable(
            f'cannot make the ledger {self._path}: {error.strerror}',
            f'check that this user may write to {folder}',
        )

    def _full(self, doing: str) -> LedgerFull:
        folder = os.path.dirname(self._path)
        return LedgerFull(
            f'cannot {doing}: there is no room for {self._path}',
            f'free some space on the file system of {folder}',
        )

    def _no_room(self) -> bool:
        """Tell whether the file system is as good as full."""
        try:
            state = os.statvfs(os.path.dirname(self._path))
        except OSError:
            return False
        out_of_files = state.f_files > 0 and state.f_favail == 0
        return out_of_files or state.f_bavail * state.f_frsize < _LITTLE


def _connect(path: str) -> sqlite3.Connection:
    quoted = path.replace('%', '%25').replace('?', '%3f').replace('#', '%23')
    return sqlite3.connect(
        f'file:{quoted}?mode=rw',
        uri=True,
        timeout=PATIENCE,
        isolation_level=None,
        check_same_thread=False,
    )


def _begin(database: sqlite3.Connection) -> None:
    """Take the write lock, trying every millisecond.

    SQLite alone soon tries only every 100 ms, and a writer among other busy
    ones would starve for seconds.
    """
    deadline = time.monotonic() + PATIENCE
    database.execute('PRAGMA busy_timeout = 0')
    try:
        while True:
            try:
                database.execute('BEGIN IMMEDIATE')
                return
            except sqlite3.OperationalError as error:
                if str(error) not in _LOCKED or time.monotonic() > deadline:
                    raise
            time.sleep(_PAUSE)
    finally:
        database.execute(f'PRAGMA busy_timeout = {PATIENCE * 1000:.0f}')


def _end(database: sqlite3.Connection, stream: str) -> int:
    (end,) = database.execute(_END, (stream,)).fetchone()
    return end or 0


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
