"""The warm server: what it bounds, whom it outlives, and who cannot harm it."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hgext3rd.fleet.adapters import unixsocket
from hgext3rd.fleetctl import process
from hgext3rd.warmserver import request, server, status
from testlib.warmbare import HG, Bare

KEY = b'pushkey\nnamespace 9\nbookmarkskey 1\nbold 0\nnew 40\n' + b'0' * 40
GREETING = b'capabilities: '
_HOOKS = """\
[hooks]
prepushkey.limits = ulimit -n; ulimit -v; ulimit -t; nice; umask
"""
_LIMITS = """\
[warmserver]
files = 77
memory = 2 GB
cpu = 99
nice = 3
umask = 026
"""
_ONE = '[warmserver]\nworkers = 1\nspare = 0\n'


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Bare]:
    with Bare(tmp_path) as bare:
        yield bare


@pytest.fixture
def narrow(tmp_path: Path) -> Iterator[Bare]:
    with Bare(tmp_path, _ONE) as bare:
        yield bare


@contextlib.contextmanager
def greeted(bare: Bare) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a session that has greeted, and waits for its client."""
    with bare.begin('rw') as one:
        say(one, b'hello\n')
        assert one.stdout is not None
        length = int(one.stdout.readline())
        assert one.stdout.read(length).startswith(GREETING)
        yield one


def say(one: subprocess.Popen[bytes], said: bytes) -> None:
    assert one.stdin is not None
    one.stdin.write(said)
    one.stdin.flush()


def link(bare: Bare) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    unixsocket.connect(made, bare.path)
    return made


def ask(one: socket.socket, packet: bytes) -> None:
    with open(os.devnull, 'r+b') as null:
        socket.send_fds(one, [packet], [null.fileno()] * 3)


def serves_next(bare: Bare) -> None:
    """Have one session, which the server must serve."""
    served = bare.count('outcome.served')
    assert bare.session('rw', b'hello\n').output.count(GREETING) == 1
    bare.until('served', lambda: bare.count('outcome.served') == served + 1)


def children(pid: int) -> list[process.Process]:
    return process.descendants([pid])


def server_of(bare: Bare) -> int:
    (one,) = bare.status()['servers']
    return int(one['pid'])


# -- limits ------------------------------------------------------------------


def test_a_session_has_the_limits_that_are_configured(tmp_path: Path) -> None:
    with Bare(tmp_path, _HOOKS + _LIMITS) as bare:
        least = os.nice(0) + 3
        for _time in range(3):
            said = bare.served('rw', KEY).error
            assert said == b'77\n2097152\n99\n%d\n0026\n' % least
        cold = bare.session('rw', KEY, warm=False).error
        assert cold == said


def test_without_any_they_are_those_of_the_server(tmp_path: Path) -> None:
    with Bare(tmp_path, _HOOKS) as bare:
        cold = bare.session('rw', KEY, warm=False)
        assert bare.served('rw', KEY) == cold


@pytest.mark.parametrize(
    'wrong', ['umask = 8', 'umask = 1777', 'nice = 20', 'files = -1']
)
def test_a_limit_that_is_none_is_refused(tmp_path: Path, wrong: str) -> None:
    bare = Bare(tmp_path, f'[warmserver]\n{wrong}\n')
    done = subprocess.run(
        [HG, 'warmserver::serve'],
        env={'HGRCPATH': str(bare.hgrc), 'PATH': '/usr/bin:/bin'},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 255
    assert f'warmserver.{wrong.split()[0]}' in done.stderr
    assert not os.listdir(bare.state)


def test_workers_are_each_used_once(bare: Bare) -> None:
    bare.until('spare', lambda: bare.status()['servers'][0]['spare'] == 3)
    before = {one.pid for one in children(server_of(bare))}
    serves_next(bare)
    bare.until('spare', lambda: bare.status()['servers'][0]['spare'] == 3)
    after = {one.pid for one in children(server_of(bare))}
    assert len(before - after) == len(after - before) == 1
    assert bare.count('worker.spare') == 1


def spare(bare: Bare) -> int:
    return int(bare.status()['servers'][0]['spare'])


def test_what_workers_rehearse_in_may_be_removed(bare: Bare) -> None:
    bare.until('spare', lambda: spare(bare) == 3)
    shutil.rmtree(bare.state / 'warm')
    serves_next(bare)
    bare.until('spare', lambda: spare(bare) == 3)
    assert 'failed' not in bare.log()


def test_a_rehearsal_that_fails_is_no_session(bare: Bare) -> None:
    bare.until('spare', lambda: spare(bare) == 3)
    inside = bare.state / 'warm' / 'practice' / '.hg' / 'requires'
    inside.write_text('of-another-version\n')
    serves_next(bare)
    bare.until('failure', lambda: 'a rehearsal failed: ' in bare.log())
    assert 'of-another-version' in bare.log()
    for _time in range(4):
        serves_next(bare)
    assert not bare.count('outcome.killed')
    # It is not tried again and again.
    assert bare.log().count('failed') == 1


def test_only_sessions_are_in_the_audit(bare: Bare) -> None:
    """Workers rehearse a login, and more, of nobody."""
    bare.until('spare', lambda: bare.status()['servers'][0]['spare'] == 3)
    serves_next(bare)
    bare.until('spare', lambda: bare.status()['servers'][0]['spare'] == 3)
    lines = (bare.state / 'audit.log').read_text().splitlines()
    events = [json.loads(line)['event'] for line in lines]
    assert events == ['login'], lines


def test_above_the_limit_one_waits_its_turn(narrow: Bare) -> None:
    with greeted(narrow) as first, narrow.begin('rw') as second:
        say(second, b'hello\n')
        # Not one of these is served while the first is.
        with link(narrow) as third:
            ask(third, b'hgfleet 1\x0022\0ann\0hg')
            assert narrow.status()['servers'][0]['serving'] == 1
            third.close()
        first.communicate()
        output, _error = second.communicate()
    assert output.count(GREETING) == 1
    narrow.until('two', lambda: narrow.count('outcome.served') == 2)
    assert narrow.count('outcome.busy') == 0


# -- whom it outlives --------------------------------------------------------


def test_a_worker_that_is_killed_takes_only_its_session(narrow: Bare) -> None:
    with greeted(narrow) as one:
        (worker,) = children(server_of(narrow))
        process.send(worker, signal.SIGKILL)
        one.communicate()
        assert one.returncode == 70
    narrow.until('killed', lambda: narrow.count('outcome.killed') == 1)
    assert 'user=ann repo=rw outcome=killed' in narrow.log()
    serves_next(narrow)


def test_a_server_that_is_killed_is_replaced(bare: Bare) -> None:
    os.kill(server_of(bare), signal.SIGKILL)
    assert bare.session('rw', b'hello\n').output.count(GREETING) == 1
    bare.until('another', lambda: bare.stages() == ['serving'])
    serves_next(bare)


def test_a_master_that_is_killed_leaves_nothing(bare: Bare) -> None:
    assert bare.process is not None
    below = children(bare.process.pid)
    with greeted(bare) as one:
        bare.process.kill()
        bare.process.wait()
        # What is under way goes on, without anybody who watches.
        say(one, b'heads\n')
        output, _error = one.communicate()
        assert (output, one.returncode) == (b'41\n' + b'0' * 40 + b'\n', 0)
    assert bare.session('rw', b'hello\n').output.count(GREETING) == 1
    bare.until('all end', lambda: not any(map(process.is_alive, below)))
    bare.start()
    serves_next(bare)


def test_a_session_outlives_its_server(bare: Bare) -> None:
    with greeted(bare) as one:
        bare.hg('warmserver::reload', hgrc=True)
        stages = ['draining', 'serving']
        bare.until('both', lambda: sorted(bare.stages()) == stages)
        serves_next(bare)
        say(one, b'heads\n')
        output, _error = one.communicate()
        assert (output, one.returncode) == (b'41\n' + b'0' * 40 + b'\n', 0)
    bare.until('one', lambda: bare.stages() == ['serving'])
    # Of both servers.
    assert bare.count('outcome.served') == 2
    assert bare.status()['handovers'] == 1


def _settled(bare: Bare) -> bool:
    """Tell whether it has started anew twice, and hears every signal.

    All that it is told during one start lead to one more, so it may have to
    be told again.
    """
    assert bare.process is not None
    try:
        said = bare.status()
        (one,) = said['servers']
        masks = [
            Path(f'/proc/{pid}/status').read_text().partition('SigBlk:')[2]
            for pid in (bare.process.pid, one['pid'])
        ]
    except (status.NotRunning, OSError, ValueError):
        return False
    if said['handovers'] < 2 and one['stage'] == 'serving':
        bare.process.send_signal(signal.SIGHUP)
        return False
    blocked = [int(mask.split()[0], 16) for mask in masks]
    return one['stage'] == 'serving' and blocked == [0, 0]


def is_renewed(bare: Bare) -> bool:
    """Tell whether the master has executed itself anew."""
    assert bare.process is not None
    environ = Path(f'/proc/{bare.process.pid}/environ').read_bytes()
    return b'HGFLEET_ESTATE=' in environ


def test_told_again_while_it_starts_anew_it_does_not_end(bare: Bare) -> None:
    assert bare.process is not None
    for _time in range(40):
        bare.process.send_signal(signal.SIGHUP)
        # So that they fall into every part of a start.
        time.sleep(0.02)
    bare.until('one', lambda: _settled(bare))
    assert bare.process.poll() is None
    serves_next(bare)
    bare.process.send_signal(signal.SIGHUP)
    bare.process.send_signal(signal.SIGTERM)
    assert bare.process.wait() == 0


def test_told_to_stop_it_lets_sessions_end(bare: Bare) -> None:
    assert bare.process is not None
    with greeted(bare) as one:
        bare.hg('warmserver::stop', hgrc=True)
        bare.until('gone', lambda: not os.path.exists(bare.path))
        say(one, b'heads\n')
        one.communicate()
        assert one.returncode == 0
    assert bare.process.wait() == 0
    assert 'outcome=served status=0' in bare.log()


def test_what_cannot_start_does_not_end_what_serves(bare: Bare) -> None:
    broken = bare.folder / 'broken.py'
    broken.write_text('import os\nif "HGFLEET_SERVER" in os.environ:\n')
    broken.write_text(broken.read_text() + '    os._exit(9)\n')
    with bare.hgrc.open('a') as file:
        file.write(f'[extensions]\nbroken = {broken}\n')
    for _time in range(2):
        assert bare.session('rw', b'hello\n').output.count(GREETING) == 1
    bare.until('a failure', lambda: 'has ended (exit code 9)' in bare.log())
    assert bare.session('rw', b'hello\n').output.count(GREETING) == 1
    broken.write_text('')
    bare.until('a success', lambda: bare.log().count('serving sessions') == 2)
    serves_next(bare)


def test_settings_that_end_no_session_do_not_end_it_either(bare: Bare) -> None:
    good = bare.hgrc.read_text()
    with greeted(bare) as one:
        bare.hgrc.write_text(f'{good}[warmserver]\nworkers = many\n')
        assert bare.session('rw', b'hello\n').output.count(GREETING) == 1
        bare.until('no', lambda: 'cannot start anew (exit' in bare.log())
        bare.until('none', lambda: 'that was starting has ended' in bare.log())
        assert bare.session('rw', b'hello\n').output.count(GREETING) == 1
        say(one, b'heads\n')
        assert one.communicate()[0].endswith(b'0' * 40 + b'\n')
    bare.hgrc.write_text(good)
    # By who has the same code as what serves.
    bare.until('next', lambda: bare.status()['handovers'] == 1)
    bare.until('one', lambda: bare.stages() == ['serving'])
    serves_next(bare)


def test_no_other_server_begins_while_it_starts_anew(bare: Bare) -> None:
    with (bare.state / 'warm.lock').open() as locked:
        other = threading.Thread(
            target=fcntl.flock, args=(locked, fcntl.LOCK_SH)
        )
        other.start()
        try:
            bare.hg('warmserver::reload', hgrc=True)
            bare.until('anew', functools.partial(is_renewed, bare))
            serves_next(bare)
            assert other.is_alive()
        finally:
            bare.stop()
            other.join()


# -- who cannot harm it ------------------------------------------------------


def test_ten_thousand_connections_keep_nobody_out(bare: Bare) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.ExitStack() as stack:
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        count = min(10_000, hard - 200)
        for number in range(count):
            stack.enter_context(link(bare))
            if number % 1000 == 999:
                serves_next(bare)
        bare.until(
            'forgotten',
            lambda: bare.count('outcome.silent') >= count - server.WAITING,
        )
        serves_next(bare)
    assert bare.count('outcome.busy') == bare.count('outcome.stale') == 0


def test_nobody_is_forked_for_who_has_left(narrow: Bare) -> None:
    with greeted(narrow) as one:
        # The only worker is busy, so these wait; and they leave.
        for _time in range(20):
            with link(narrow) as gone:
                ask(gone, b'hgfleet 1')
        one.communicate()
    narrow.until('all seen', lambda: narrow.count('outcome.left') == 20)
    # Whoever had read that would have said so.
    assert not narrow.count('outcome.nonsense')
    serves_next(narrow)


def test_neither_does_rubbish(narrow: Bare) -> None:
    with contextlib.ExitStack() as stack:
        for number in range(300):
            one = stack.enter_context(link(narrow))
            ask(one, bytes([number % 256]) * (1 + number * 200))
            if number % 50 == 49:
                serves_next(narrow)
        # Whoever says half of it, or goes away, is no trouble either.
        stack.enter_context(link(narrow)).send(b'hgfleet 1\x0022\0ann\0hg')
        with link(narrow) as gone:
            ask(gone, b'hgfleet 1\x0022\0ann\0hg')
        serves_next(narrow)
    narrow.until('refused', lambda: narrow.count('outcome.nonsense') == 301)
    assert narrow.count('outcome.busy') == 0


def test_who_does_not_go_on_holds_up_nobody_for_long(bare: Bare) -> None:
    with contextlib.ExitStack() as stack:
        for _time in range(10):
            one = stack.enter_context(link(bare))
            ask(one, b'hgfleet 1\x0022\0ann\0hg -R rw serve --stdio')
            assert one.recv(100) == request.READY
        serves_next(bare)
        bare.until('left', lambda: bare.count('outcome.left') == 10)


def limit_for(pid: int, free: int) -> int:
    """Return a limit of descriptors that leaves so many to a process."""
    used = set(map(int, os.listdir(f'/proc/{pid}/fd')))
    limit = 0
    while free:
        free -= limit not in used
        limit += 1
    return limit


def test_where_nothing_can_be_forked_sessions_go_on_alone(
    tmp_path: Path,
) -> None:
    with Bare(tmp_path, '[warmserver]\nspare = 0\n') as bare:
        pid = server_of(bare)
        kind = resource.RLIMIT_NOFILE
        before = resource.prlimit(pid, kind)
        # Enough for a connection, but not for a worker's leash.
        limit = limit_for(pid, 2)
        resource.prlimit(pid, kind, (limit, before[1]))
        assert bare.session('rw', b'hello\n').output.count(GREETING) == 1
        bare.until('busy', lambda: bare.count('outcome.busy') == 1)
        assert 'cannot fork: Too many open files' in bare.log()
        resource.prlimit(pid, kind, before)
        serves_next(bare)
        assert server_of(bare) == pid


class Full(Bare):
    """A server whose log is on a full disk, or a pipe that nobody empties."""

    def log(self) -> str:
        return ''


@pytest.fixture(params=['disk', 'pipe'])
def full(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Bare]:
    path = tmp_path / 'log'
    with contextlib.ExitStack() as stack:
        if request.param == 'disk':
            path.symlink_to('/dev/full')
        else:
            os.mkfifo(path)
            for flags in (os.O_RDONLY, os.O_WRONLY):
                end = os.open(path, flags | os.O_NONBLOCK)
                stack.callback(os.close, end)
            with contextlib.suppress(BlockingIOError):
                while os.write(end, b'.' * 4096):
                    pass
        with Full(tmp_path) as bare:
            yield bare


def test_a_log_that_cannot_be_written_is_nobodys_business(full: Bare) -> None:
    first = server_of(full)
    cold = full.session('rw', b'hello\n', warm=False)
    for _time in range(3):
        assert full.served('rw', b'hello\n') == cold
    assert server_of(full) == first
    full.hg('warmserver::reload', hgrc=True)
    full.until('next', lambda: full.status()['handovers'] == 1)
    full.until('one', lambda: full.stages() == ['serving'])
    serves_next(full)


@pytest.mark.parametrize('times', [1, 2])
def test_a_socket_that_is_removed_is_made_again(bare: Bare, times: int) -> None:
    with greeted(bare) as one:
        for _time in range(times):
            os.unlink(bare.path)
            bare.until('there', lambda: os.path.exists(bare.path))
            bare.until('one', lambda: 'serving' in bare.stages())
            serves_next(bare)
        say(one, b'heads\n')
        assert one.communicate()[0].endswith(b'0' * 40 + b'\n')


def test_where_another_server_listens_it_ends(bare: Bare) -> None:
    assert bare.process is not None
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other:
        other.bind(f'{bare.path}.other')
        os.rename(f'{bare.path}.other', bare.path)
        assert bare.process.wait() == 0
    assert os.path.exists(bare.path)
