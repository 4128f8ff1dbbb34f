"""The warm server: what it bounds, whom it outlives, and who cannot harm it."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hgext3rd.fleetctl import process
from hgext3rd.warmserver import request, server
from testlib.warmbare import HG, Bare

ROOT = Path(__file__).parents[2]
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
_LAUNCH = """\
import os, sys
os.environ['LISTEN_FDS'] = sys.argv[1]
os.environ['LISTEN_PID'] = str(os.getpid())
os.dup2(int(sys.argv[2]), 3)
os.execv(sys.argv[3], sys.argv[3:])
"""


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
    made.connect(bare.path)
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


def test_told_again_while_it_starts_anew_it_does_not_end(bare: Bare) -> None:
    assert bare.process is not None
    for _time in range(40):
        bare.process.send_signal(signal.SIGHUP)
        # So that they fall into every part of a start.
        time.sleep(0.02)
    bare.until('one', lambda: bare.stages() == ['serving'])
    assert bare.process.poll() is None
    assert bare.status()['handovers'] > 1
    for pid in (bare.process.pid, server_of(bare)):
        said = Path(f'/proc/{pid}/status').read_text()
        assert int(said.partition('SigBlk:')[2].split()[0], 16) == 0
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


# -- service managers --------------------------------------------------------


def test_the_socket_may_be_given(tmp_path: Path) -> None:
    bare = Bare(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(bare.path)
        listener.listen(100)
        number = listener.fileno()
        launch = [sys.executable, '-c', _LAUNCH, '1', str(number)]
        for _time in range(2):
            bare.start(launch, [number])
            serves_next(bare)
            bare.hg('warmserver::reload', hgrc=True)
            bare.until('next', lambda: bare.status()['handovers'] == 1)
            bare.until('one', lambda: bare.stages() == ['serving'])
            serves_next(bare)
            bare.stop()
            # It belongs to who has opened it.
            assert os.path.exists(bare.path)


@pytest.mark.parametrize(
    ('kind', 'count'),
    [(socket.SOCK_STREAM, '1'), (socket.SOCK_SEQPACKET, '2')],
)
def test_another_socket_is_refused(
    tmp_path: Path, kind: socket.SocketKind, count: str
) -> None:
    bare = Bare(tmp_path)
    with socket.socket(socket.AF_UNIX, kind) as listener:
        done = subprocess.run(
            [
                *(sys.executable, '-c', _LAUNCH, count),
                *(str(listener.fileno()), HG, 'warmserver::serve'),
            ],
            env={'HGRCPATH': str(bare.hgrc), 'PATH': '/usr/bin:/bin'},
            pass_fds=[listener.fileno()],
            capture_output=True,
            text=True,
        )
    assert done.returncode == 255
    assert 'given another socket than it can use' in done.stderr


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    analyze = shutil.which('systemd-analyze')
    if analyze is None:
        pytest.skip('optional: systemd is not installed')
    units = []
    for path in sorted((ROOT / 'deploy' / 'systemd').iterdir()):
        text = path.read_text().replace('/opt/hgfleet/bin/hg', HG)
        units.append(tmp_path / path.name)
        units[-1].write_text(text)
    done = subprocess.run(
        [analyze, 'verify', '--man=no', *units],
        env={'PATH': '/usr/bin:/bin', 'SYSTEMD_UNIT_PATH': f'{tmp_path}:'},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, '')
