"""What can go wrong with the SQLite files, and how it is told."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing

import pytest

from hgext3rd.fleet.adapters import streamfile
from hgext3rd.fleet.adapters.ledger_sqlite import SqliteLedger
from hgext3rd.fleet.core.errors import (
    LedgerFull,
    LedgerUnavailable,
    OutcomeUnknown,
    SettingError,
)

E0 = 'entries-0'


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / 'ledger.db')


@pytest.fixture
def ledger(path):
    with closing(SqliteLedger(path)) as ledger:
        yield ledger


class Faulty:
    """A connection that fails at one statement, as often as told."""

    def __init__(self, real, statement, message, times=1):
        self.real = real
        self.statement = statement
        self.message = message
        self.times = times

    def execute(self, sql, *rest):
        if self.times and sql.startswith(self.statement):
            self.times -= 1
            raise sqlite3.OperationalError(self.message)
        return self.real.execute(sql, *rest)

    def __getattr__(self, name):
        return getattr(self.real, name)


def fail(monkeypatch, statement, message):
    """Let the next connection fail once; those after it are sound."""
    real = streamfile._connect

    def connect(path):
        monkeypatch.setattr(streamfile, '_connect', real)
        return Faulty(real(path), statement, message)

    monkeypatch.setattr(streamfile, '_connect', connect)


def append_until_full(ledger):
    for number in range(1000):
        try:
            assert ledger.append(E0, 'k', bytes(16384)) == number
        except LedgerFull as error:
            return number, error
    raise AssertionError('it was never full')


def test_entries_are_synced_and_members_need_not_be(ledger):
    ledger.append('members', 'k', b'')
    for streams, level in ((ledger._entries, 2), (ledger._members, 1)):
        with streams._session('test') as database:
            assert database.execute('PRAGMA synchronous').fetchone() == (level,)
            mode = database.execute('PRAGMA journal_mode').fetchone()
            assert mode == ('wal',)


def test_reads_use_an_index_and_nothing_is_sorted(ledger):
    ledger.append(E0, 'k', b'')
    with ledger._entries._session('test') as database:
        plans = [
            database.execute(f'EXPLAIN QUERY PLAN {sql}', values).fetchall()
            for sql, values in (
                (streamfile._READ, (E0, 0, 9)),
                (streamfile._READ_KEY, (E0, 'k', 0, 9)),
                (streamfile._END, (E0,)),
            )
        ]
    texts = [' '.join(row[3] for row in plan) for plan in plans]
    assert 'by_offset (stream=? AND offset>?)' in texts[0]
    assert 'by_key (stream=? AND key=? AND offset>?)' in texts[1]
    assert 'COVERING INDEX' in texts[2]
    assert not any('SCAN' in text or 'TEMP' in text for text in texts)


def test_members_stays_small(ledger):
    for number in range(50):
        ledger.append('members', 'node', b'%d' % number)
    (record,) = ledger.read('members', 0)
    assert (record.offset, record.value) == (49, b'49')


@pytest.mark.parametrize(
    ('message', 'error'),
    [
        ('disk I/O error', OutcomeUnknown),
        ('something new', OutcomeUnknown),
        ('database or disk is full', LedgerFull),
        ('database is locked', LedgerUnavailable),
    ],
)
def test_a_failing_commit(path, monkeypatch, message, error):
    fail(monkeypatch, 'COMMIT', message)
    SqliteLedger(path).close()
    fail(monkeypatch, 'COMMIT', message)
    with closing(SqliteLedger(path)) as ledger:
        with pytest.raises(error, match=r'append.*ledger\.db') as caught:
            ledger.append(E0, 'k', b'lost')
        assert caught.value.hint
        assert ledger.append(E0, 'k', b'kept') == 0
        assert ledger.read(E0, 0)[0].value == b'kept'


@pytest.mark.parametrize(
    ('message', 'error', 'words'),
    [
        ('database or disk is full', LedgerFull, 'no room'),
        ('disk I/O error', LedgerUnavailable, 'disk I/O error'),
        ('file is not a database', LedgerUnavailable, 'not a database'),
    ],
)
@pytest.mark.parametrize('statement', ['BEGIN IMMEDIATE', 'INSERT'])
def test_a_failure_before_commit(
    path, monkeypatch, statement, message, error, words
):
    SqliteLedger(path).close()
    fail(monkeypatch, statement, message)
    with closing(SqliteLedger(path)) as ledger:
        with pytest.raises(error, match=words) as caught:
            ledger.append(E0, 'k', b'lost')
        assert caught.value.hint
        assert ledger.end(E0) == 0
        assert ledger.append(E0, 'k', b'kept') == 0


def test_an_io_error_on_a_full_disk_means_full(path, monkeypatch):
    SqliteLedger(path).close()
    fail(monkeypatch, 'BEGIN', 'disk I/O error')
    with closing(SqliteLedger(path)) as ledger:
        monkeypatch.setattr(streamfile.StreamFile, '_no_room', lambda _: True)
        with pytest.raises(LedgerFull):
            ledger.append(E0, 'k', b'')


def test_a_lock_is_not_waited_for_for_ever(ledger, path, monkeypatch):
    monkeypatch.setattr(streamfile, 'PATIENCE', 0.2)
    ledger.append('members', 'k', b'')
    with closing(SqliteLedger(path)) as other:
        with other._entries._session('test') as database:
            database.execute('BEGIN IMMEDIATE')
            with closing(SqliteLedger(path)) as third:
                with pytest.raises(LedgerUnavailable, match='locked'):
                    third.append(E0, 'k', b'')
                assert third.read(E0, 0) == []
            database.execute('ROLLBACK')
        assert other.append(E0, 'k', b'') == 0


def test_a_limit_of_pages_is_full(ledger):
    with ledger._entries._session('test') as database:
        database.execute('PRAGMA max_page_count = 60')
    kept, _ = append_until_full(ledger)
    assert kept > 0
    with pytest.raises(LedgerFull):
        ledger.append(E0, 'k', bytes(16384))
    assert len(ledger.read(E0, 0)) == ledger.end(E0) == kept
    with ledger._entries._session('test') as database:
        database.execute('PRAGMA max_page_count = 1000')
    assert ledger.append(E0, 'k', bytes(16384)) == kept


def test_a_limit_of_file_size_loses_nothing(path, act):
    actor = act('fill', f'sqlite://{path}', 1 << 20)
    said = [line.split() for line in actor.stdout]
    assert actor.wait() == 0
    # SQLite calls this an I/O error, and while committing one cannot tell.
    failures = {words[0] for words in said} - {'kept'}
    assert failures
    assert failures <= {'LedgerFull', 'LedgerUnavailable', 'OutcomeUnknown'}
    kept = [int(words[1]) for words in said if words[0] == 'kept']
    assert kept == sorted(set(kept))
    assert kept
    with closing(SqliteLedger(path)) as ledger:
        offsets = [record.offset for record in ledger.read(E0, 0)]
        assert offsets == list(range(ledger.end(E0)))
        assert set(kept) <= set(offsets)
        assert ledger.append(E0, 'k', b'more') == len(offsets)


def test_a_full_disk(small_disk):
    ballast = small_disk / 'ballast'
    ballast.write_bytes(bytes(2 << 20))
    path = str(small_disk / 'ledger.db')
    with closing(SqliteLedger(path)) as ledger:
        kept, error = append_until_full(ledger)
        assert 'no room' in str(error)
        assert str(small_disk) in error.hint
        assert kept > 10
        for _ in range(3):
            with pytest.raises(LedgerFull):
                ledger.append(E0, 'k', bytes(200_000))
            assert len(ledger.read(E0, 0)) == ledger.end(E0) == kept
        with pytest.raises(LedgerFull):
            ledger.append('members', 'k', bytes(200_000))
        assert ledger.wait({E0: 0}, 1)
        ballast.unlink()
        assert ledger.append(E0, 'k', b'') == kept
        ledger.append('members', 'k', b'')
    with closing(SqliteLedger(path)) as ledger:
        assert len(ledger.read(E0, 0)) == kept + 1


def test_a_full_disk_at_the_start(small_disk):
    path = str(small_disk / 'ledger.db')
    with pytest.raises(OSError, match='space'):
        (small_disk / 'ballast').write_bytes(bytes(8 << 20))
    with pytest.raises(LedgerFull):
        SqliteLedger(path)
    (small_disk / 'ballast').unlink()
    assert os.listdir(small_disk) == []
    SqliteLedger(path).close()


def test_a_disk_that_is_full_before_all_is_made(small_disk):
    path = str(small_disk / 'ledger.db')
    ballast = small_disk / 'ballast'
    room = os.statvfs(small_disk)
    refused = 0
    for left in range(8 << 10, 256 << 10, room.f_frsize):
        ballast.write_bytes(bytes(room.f_bavail * room.f_frsize - left))
        try:
            SqliteLedger(path).close()
        except LedgerFull:
            refused += 1
        ballast.unlink()
        with closing(SqliteLedger(path)) as ledger:
            assert ledger.append(E0, 'k', b'') == 0
        for name in os.listdir(small_disk):
            os.unlink(small_disk / name)
    assert refused > 1


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(LedgerUnavailable, match=f'{tmp_path}/away') as caught:
        SqliteLedger(f'{tmp_path}/away/ledger.db')
    assert 'mkdir' in caught.value.hint
    assert os.listdir(tmp_path) == []


def test_a_newer_version_is_refused(path):
    SqliteLedger(path).close()
    with closing(sqlite3.connect(path)) as database:
        database.execute('PRAGMA user_version = 2')
    with pytest.raises(SettingError, match='newer version'):
        SqliteLedger(path)


def test_another_kind_of_database_is_refused(path):
    with closing(sqlite3.connect(path)) as database:
        database.execute('CREATE TABLE precious (x)')
    with pytest.raises(SettingError, match='not a ledger'):
        SqliteLedger(path)
    with closing(sqlite3.connect(path)) as database:
        assert database.execute('SELECT * FROM precious').fetchall() == []


@pytest.mark.parametrize('content', [b'', b'x' * 4096])
def test_an_empty_or_damaged_file_is_refused_and_kept(path, content):
    with open(path, 'wb') as file:
        file.write(content)
    with pytest.raises((SettingError, LedgerUnavailable)) as caught:
        SqliteLedger(path)
    assert 'backup' in caught.value.hint
    with open(path, 'rb') as file:
        assert file.read() == content


def test_damaged_members_do_not_stop_entries(ledger, path):
    ledger.append('members', 'k', b'')
    ledger.release()
    with open(f'{path}-members.db', 'r+b') as file:
        file.write(b'x' * 4096)
    with pytest.raises(LedgerUnavailable) as caught:
        ledger.read('members', 0)
    assert f'remove {path}-members.db*' in caught.value.hint
    assert ledger.append(E0, 'k', b'') == 0


def test_many_open_at_once_make_one_ledger(path, act):
    url = f'sqlite://{path}'
    actors = [act('append', url, E0, f'p{i}', 5, 10) for i in range(6)]
    said = [line for actor in actors for line in actor.stdout]
    offsets = sorted(int(line) for line in said if line != 'ready\n')
    assert offsets == list(range(30))
    folder = os.path.dirname(path)
    assert not [name for name in os.listdir(folder) if '.new-' in name]


def test_files_are_as_the_umask_says(path):
    mask = os.umask(0o002)
    try:
        with closing(SqliteLedger(path)) as ledger:
            ledger.append(E0, 'k', b'')
            ledger.append('members', 'k', b'')
            ledger.wait({E0: 0}, 0)
            modes = {
                os.path.join(folder, name)
                for folder, _, names in os.walk(os.path.dirname(path))
                for name in names
                if stat.S_IMODE(os.lstat(os.path.join(folder, name)).st_mode)
                & 0o062
                != 0o060
            }
            bells = stat.S_IMODE(os.stat(f'{path}-bells').st_mode)
    finally:
        os.umask(mask)
    assert modes == set()
    assert bells == 0o775


def test_a_link_leads_to_the_same_members_and_bells(ledger, path, tmp_path):
    link = tmp_path / 'elsewhere' / 'other.db'
    link.parent.mkdir()
    link.symlink_to(path)
    with closing(SqliteLedger(str(link))) as other:
        other.append('members', 'k', b'')
    assert ledger.end('members') == 1


def test_strange_names_of_files(tmp_path):
    path = str(tmp_path / 'a?b#c%20d e' / 'ledger.db')
    os.mkdir(os.path.dirname(path))
    with closing(SqliteLedger(path)) as ledger:
        assert ledger.append(E0, 'k', b'') == 0
    assert os.path.exists(path)


def test_a_deep_folder_has_bells_too(tmp_path, act):
    folder = tmp_path / ('d' * 100) / ('e' * 100)
    folder.mkdir(parents=True)
    url = f'sqlite://{folder}/ledger.db'
    with closing(SqliteLedger(f'{folder}/ledger.db')) as ledger:
        actor = act('listen', url, E0)
        assert actor.stdout.readline() == 'ready\n'
        assert len(os.listdir(folder / 'ledger.db-bells')) == 1
        ledger.append(E0, 'k', b'')
        assert actor.stdout.readline().startswith(E0)
