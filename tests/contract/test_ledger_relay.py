"""The relay as a process: killed, stopped, replaced, and gone around."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager

import pytest

from hgext3rd.fleet.adapters import (
    ledger_relay,
    open_ledger,
    open_near_ledger,
    unixsocket,
)
from hgext3rd.fleet.adapters.ledger_relay import (
    NearLedger,
    RelayUnfit,
)
from hgext3rd.fleet.adapters.ledger_sqlite import SqliteLedger
from hgext3rd.fleet.core import relay as frames
from hgext3rd.fleet.core.errors import (
    LedgerFull,
    LedgerUnavailable,
    OutcomeUnknown,
)
from testlib.relays import NoRelay, relaying

E0 = 'entries-0'
SOON = 120.0


@pytest.fixture
def direct(tmp_path):
    return f'sqlite://{tmp_path}/ledger.db'


def values(url):
    with closing(open_ledger(url)) as ledger:
        return [record.value for record in ledger.read(E0, 0)]


@contextmanager
def through(folder, url, failpoint=''):
    """A relay, and the ledger through it."""
    with (
        relaying(folder, url, failpoint) as relay,
        closing(open_ledger(relay.url)) as ledger,
    ):
        yield relay, ledger


@contextmanager
def nearby(folder, url, failpoint=''):
    """A relay, and the ledger through it or around it."""
    with (
        relaying(folder, url, failpoint) as relay,
        closing(open_near_ledger(url, str(relay.socket))) as ledger,
    ):
        assert isinstance(ledger, NearLedger)
        yield relay, ledger


def fill(ledger):
    for _ in range(1000):
        ledger.append(E0, 'k', bytes(16384))


def until(done):
    deadline = time.monotonic() + SOON
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class Locked:
    """The SQLite file, locked against appends."""

    def __init__(self, url):
        self._path = url.removeprefix('sqlite://')

    def __enter__(self):
        open_ledger(f'sqlite://{self._path}').close()
        self._database = sqlite3.connect(self._path, isolation_level=None)
        self._database.execute('BEGIN IMMEDIATE')
        return self

    def __exit__(self, *_problem):
        self._database.close()


class Appending:
    """An append in another thread; ``outcome`` is its offset or error."""

    def __init__(self, url, value):
        self.outcome = None
        self._ledger = None
        self._thread = threading.Thread(target=self._run, args=(url, value))
        self._thread.start()
        size = len(value)
        until(lambda: self._ledger and self._ledger._link.sent > size)

    def _run(self, url, value):
        with closing(open_ledger(url)) as self._ledger:
            try:
                self.outcome = self._ledger.append(E0, 'k', value)
            except LedgerUnavailable as error:
                self.outcome = error
            except OutcomeUnknown as error:
                self.outcome = error

    def join(self):
        self._thread.join(SOON)
        return self.outcome


# kills: what the client says against what the ledger holds


def test_killed_before_the_append(tmp_path, direct):
    with through(tmp_path, direct) as (relay, ledger):
        assert ledger.append(E0, 'k', b'kept') == 0
        relay.process.kill()
        relay.process.wait()
        with pytest.raises(RelayUnfit, match='append to entries-0'):
            ledger.append(E0, 'k', b'lost')
    assert values(direct) == [b'kept']


@pytest.mark.parametrize(
    ('failpoint', 'held'),
    [('relay.before', []), ('relay.appended', [b'value'])],
)
def test_killed_around_the_append(tmp_path, direct, failpoint, held):
    with through(tmp_path, direct, failpoint) as (relay, ledger):
        with pytest.raises(OutcomeUnknown, match='append to entries-0'):
            ledger.append(E0, 'k', b'value')
        assert relay.process.wait() == -signal.SIGKILL
        with pytest.raises(RelayUnfit):
            ledger.end(E0)
    assert values(direct) == held


def test_killed_during_the_append(tmp_path, direct):
    with relaying(tmp_path, direct) as relay, Locked(direct):
        appending = Appending(relay.url, b'value')
        relay.process.kill()
        assert isinstance(appending.join(), OutcomeUnknown)
    assert values(direct) == []


@pytest.mark.parametrize('size', [1, 4 << 20])
def test_killed_at_any_moment(tmp_path, direct, act, size):
    """What was acknowledged is there, once each, in order."""
    for life in range(4):
        before = len(values(direct))
        with relaying(tmp_path, direct) as relay:
            actor = act('append', relay.url, E0, f'life{life}', 0, size)
            assert actor.stdout.readline() == 'ready\n'
            for _ in range(3 * life):
                actor.stdout.readline()
            relay.process.kill()
            seen = [line for line in actor.stdout if line.endswith('\n')]
            assert actor.wait() == 1
        after = values(direct)
        acknowledged = 3 * life + len(seen)
        assert len(after) - before - acknowledged in (0, 1)
        assert [value.split() for value in after[before:]] == [
            [b'life%d' % life, b'%d' % number]
            for number in range(len(after) - before)
        ]


def test_stopped_it_counts_as_gone(tmp_path, direct, monkeypatch):
    with through(tmp_path, direct) as (relay, ledger):
        relay.process.send_signal(signal.SIGSTOP)
        monkeypatch.setattr(ledger_relay, 'SILENCE', 0.2)
        monkeypatch.setattr(ledger_relay, 'GREETING', 0.2)
        with pytest.raises(OutcomeUnknown, match='silent'):
            ledger.append(E0, 'k', b'value')
        with pytest.raises(RelayUnfit, match='silent'):
            ledger.read(E0, 0)
        around = open_near_ledger(direct, str(relay.socket))
        with closing(around):
            assert isinstance(around, SqliteLedger)
            assert around.append(E0, 'k', b'direct') == 0


# stopping and starting


def test_told_to_stop_it_goes(tmp_path, direct):
    with through(tmp_path, direct) as (relay, idle):
        idle.append(E0, 'k', b'value')
        relay.process.terminate()
        assert relay.process.wait(SOON) == 0
        assert not relay.socket.exists()
        with pytest.raises(RelayUnfit, match='No such file'):
            idle.end(E0)
        with pytest.raises(RelayUnfit):
            open_ledger(relay.url)
    assert values(direct) == [b'value']


def test_who_waits_does_not_keep_it_from_stopping(tmp_path, direct, act):
    with relaying(tmp_path, direct) as relay:
        actor = act('listen', relay.url, E0)
        assert actor.stdout.readline() == 'ready\n'
        relay.process.terminate()
        assert relay.process.wait(SOON) == 0


def test_the_socket_is_for_its_owner_and_replaces_a_dead_one(tmp_path, direct):
    with relaying(tmp_path, direct) as relay:
        state = relay.socket.stat()
        assert stat.S_ISSOCK(state.st_mode)
        assert stat.S_IMODE(state.st_mode) == 0o600
    # It was killed.
    assert relay.socket.exists()
    (tmp_path / 'state' / 'ledger.sock.new').write_text('left over')
    with relaying(tmp_path, direct) as relay:
        with closing(open_ledger(relay.url)) as ledger:
            assert ledger.append(E0, 'k', b'') == 0
        assert sorted(os.listdir(tmp_path / 'state')) == [
            *('ledger.sock', 'relay.lock'),
        ]


def test_a_client_outlives_its_relay(tmp_path, direct):
    with relaying(tmp_path, direct) as relay:
        ledger = open_ledger(relay.url)
        ledger.append(E0, 'k', b'')
    with closing(ledger):
        with pytest.raises(RelayUnfit):
            ledger.end(E0)
        with relaying(tmp_path, direct):
            assert ledger.append(E0, 'k', b'') == 1


def test_there_is_one_relay(tmp_path, direct):
    with through(tmp_path, direct) as (_relay, ledger):
        with (
            pytest.raises(NoRelay, match='running already'),
            relaying(tmp_path, direct),
        ):
            pass
        assert ledger.end(E0) == 0


def test_a_relay_of_a_relay_is_refused(tmp_path):
    itself = f'relay://{tmp_path}/state/ledger.sock'
    with (
        pytest.raises(NoRelay, match='makes no sense'),
        relaying(tmp_path, itself),
    ):
        pass


# what the ledger says


def test_errors_are_those_of_the_ledger(tmp_path):
    (tmp_path / 'ledger.db').write_text('not a ledger')
    url = f'sqlite://{tmp_path}/ledger.db'
    with pytest.raises(LedgerUnavailable) as plain:
        open_ledger(url)
    with (
        through(tmp_path, url) as (_relay, ledger),
        pytest.raises(LedgerUnavailable) as caught,
    ):
        ledger.append(E0, 'k', b'')
    assert type(caught.value) is type(plain.value)
    assert caught.value.message == plain.value.message
    assert caught.value.hint == plain.value.hint


def test_a_full_disk(tmp_path, small_disk):
    url = f'sqlite://{small_disk}/ledger.db'
    with through(tmp_path, url) as (_relay, ledger):
        with pytest.raises(LedgerFull, match='no room'):
            fill(ledger)
        kept = ledger.end(E0)
        assert len(ledger.read(E0, 0)) == kept > 0


def test_large_values(tmp_path, direct):
    some = [os.urandom(1 << 10) * (5 << 10), b'', os.urandom(1 << 20)] * 3
    with through(tmp_path, direct) as (_relay, ledger):
        for value in some:
            ledger.append(E0, 'k', value)
        found = ledger.read(E0, 0)
    assert [record.value for record in found] == some


def test_many_who_wait_block_nobody(tmp_path, direct, act):
    with relaying(tmp_path, direct) as relay:
        actors = [act('listen', relay.url, E0, 'members') for _ in range(12)]
        for actor in actors:
            assert actor.stdout.readline() == 'ready\n'
        with closing(open_ledger(relay.url)) as ledger:
            for number in range(3):
                assert ledger.end(E0) == number
                assert ledger.append(E0, 'k', b'') == number
                for actor in actors:
                    assert actor.stdout.readline().startswith(f'{E0} {number}')


# near: the relay if it is there


@pytest.fixture
def near(tmp_path, direct):
    """A relay, and a ledger that is asked through it."""
    with nearby(tmp_path, direct) as (relay, ledger):
        assert isinstance(ledger, NearLedger)
        yield relay, ledger


def test_without_a_relay_the_ledger_itself_is_opened(tmp_path, direct):
    path = str(tmp_path / 'ledger.sock')
    with closing(open_near_ledger(direct, path)) as ledger:
        assert isinstance(ledger, SqliteLedger)
    unixsocket.listen(path, 1).close()
    with closing(open_near_ledger(direct, path)) as ledger:
        assert isinstance(ledger, SqliteLedger)


def test_a_relay_of_another_ledger_is_not_asked(tmp_path, near, direct):
    other = f'sqlite://{tmp_path}/other.db'
    with closing(open_near_ledger(other, str(near[0].socket))) as ledger:
        assert isinstance(ledger, SqliteLedger)
        assert ledger.append(E0, 'k', b'other') == 0
    assert values(direct) == []


def test_after_the_relay_has_gone_the_ledger_itself_is_asked(near, direct):
    relay, ledger = near
    assert ledger.append(E0, 'k', b'near') == 0
    relay.process.kill()
    relay.process.wait()
    assert ledger.append(E0, 'k', b'direct') == 1
    assert [one.value for one in ledger.read(E0, 0)] == [b'near', b'direct']
    assert ledger.end(E0) == 2
    assert ledger.wait({E0: 0}, SOON)
    assert not ledger.wait({E0: 2}, 0)
    assert values(direct) == [b'near', b'direct']


def test_while_waiting_the_relay_goes(near, direct):
    relay, ledger = near
    timer = threading.Timer(0.1, relay.process.kill)
    timer.start()
    assert not ledger.wait({E0: 0}, 1.0)
    timer.join()
    assert ledger.append(E0, 'k', b'') == 0


def test_what_is_too_large_for_a_relay(near, direct, monkeypatch):
    _relay, ledger = near
    monkeypatch.setattr(frames, 'LONGEST_BODY', 1000)
    assert ledger.append(E0, 'k', bytes(2000)) == 0
    assert values(direct) == [bytes(2000)]


def test_uncertainty_is_not_tried_again(tmp_path, direct):
    with nearby(tmp_path, direct, 'relay.appended') as (_relay, ledger):
        with pytest.raises(OutcomeUnknown):
            ledger.append(E0, 'k', b'value')
        assert ledger.end(E0) == 1
        assert ledger.append(E0, 'k', b'more') == 1


def test_an_error_of_the_ledger_is_no_reason_to_go_around(tmp_path):
    (tmp_path / 'ledger.db').write_text('not a ledger')
    url = f'sqlite://{tmp_path}/ledger.db'
    with nearby(tmp_path, url) as (_relay, ledger):
        with pytest.raises(LedgerUnavailable):
            ledger.end(E0)
        assert ledger._direct is None


def test_a_client_imports_no_driver(near):
    code = """
import sys
from hgext3rd.fleet import adapters
ledger = adapters.open_near_ledger(*sys.argv[1:])
ledger.append('entries-0', 'k', b'')
print(type(ledger).__name__, 'sqlite3' in sys.modules, 'asyncio' in sys.modules)
"""
    relay, _ledger = near
    url = f'sqlite://{relay.socket.parent.parent}/ledger.db'
    said = subprocess.check_output(
        [sys.executable, '-c', code, url, str(relay.socket)], text=True
    )
    assert said.split() == ['NearLedger', 'False', 'False']
