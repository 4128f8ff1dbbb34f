"""Servers for chg: how many there are, when they change, how they end."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from testlib import chg
from testlib.chgplace import Place, Raw, alive, place, until

_CODE = """\
import os, sys, time
from mercurial import registrar
cmdtable = {}
command = registrar.command(cmdtable)
VERSION = %d
def extsetup(ui):
    if 'chgunix' in sys.argv:
        with open('LOADED', 'a') as file:
            file.write('x')
@command(b'version-of-it', [], norepo=True)
def version(ui):
    ui.write(b'%%d %%d\\n' %% (VERSION, os.getpid()))
@command(b'wait', [], norepo=True)
def wait(ui):
    ui.write(b'waiting\\n')
    ui.flush()
    time.sleep(600)
"""


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    try:
        with place(tmp_path) as made:
            rewrite(made, 1)
            made.configure('[extensions]', f'code = {tmp_path}/code.py')
            yield made
    except chg.Missing as reason:
        pytest.skip(str(reason))


def test_the_client_of_debian(tmp_path: Path) -> None:
    try:
        with place(tmp_path, debian=True) as here:
            _all_it_can(here)
    except chg.Missing as reason:
        pytest.skip(f'optional: {reason}')


def _all_it_can(here: Place) -> None:
    rewrite(here, 1)
    here.configure('[extensions]', f'code = {here.folder}/code.py')
    assert version(here) == 1
    rewrite(here, 2)
    assert version(here) == 2
    first = here.link()
    other = ('--config', 'alias.x=version')
    assert here.hg(*other, 'version-of-it').split()[0] == '2'
    assert here.link() != first
    here.hg('init', 'repo')
    (here.folder / 'repo' / 'file').write_text('1\n')
    editor = {'HGEDITOR': 'echo text >'}
    here.hg('-R', 'repo', 'commit', '-qA', **editor)
    said = here.hg('-R', 'repo', 'log', '-T', '{desc}')
    assert said == 'text'
    paged = ('--pager', 'on', '--config', 'pager.pager=sed s/^/paged:/')
    formatted = ('--config', 'ui.formatted=yes')
    said = here.hg(*paged, *formatted, '-R', 'repo', 'log', '-T', '{desc}\n')
    assert said == 'paged:text\n'
    client = here.start('wait')
    assert client.stdout
    assert client.stdout.readline() == 'waiting\n'
    client.send_signal(signal.SIGINT)
    _out, err = client.communicate()
    assert 'interrupted!' in err


def rewrite(here: Place, version: int) -> None:
    draft = here.folder / 'draft.py'
    text = _CODE.replace('LOADED', str(here.folder / 'loaded'))
    # Python takes files of one second and one size to be the same.
    draft.write_text(text % version + '#' * version + '\n')
    draft.rename(here.folder / 'code.py')


def version(here: Place) -> int:
    return int(here.hg('version-of-it').split()[0])


def test_twenty_clients_start_one_server(here: Place) -> None:
    clients = [here.start('version-of-it') for _ in range(20)]
    said = [one.communicate()[0] for one in clients]
    assert [one.returncode for one in clients] == [0] * 20
    assert {one.split()[0] for one in said} == {'1'}
    # Each request has had a process of its own.
    assert len({one.split()[1] for one in said}) == 20
    assert len(here.servers()) == 1
    # Not even have others loaded their extensions.
    assert (here.folder / 'loaded').read_text() == 'x'


def test_a_server_is_renewed_under_load(here: Place) -> None:
    assert version(here) == 1
    newest = 1
    wrong: list[object] = []
    done = threading.Event()

    def asks() -> None:
        while not done.is_set():
            least = newest
            code, out, err = here.ask('version-of-it')
            if code or err or int(out.split()[0]) < least:
                wrong.append((least, code, out, err))

    threads = [threading.Thread(target=asks) for _ in range(4)]
    for one in threads:
        one.start()
    try:
        for number in range(2, 7):
            rewrite(here, number)
            newest = number
            assert version(here) == number
    finally:
        done.set()
        for one in threads:
            one.join()
    assert not wrong
    assert version(here) == 6
    assert len(here.servers()) == 1


def test_the_client_is_not_told_of_a_renewal(here: Place) -> None:
    assert version(here) == 1
    (before,) = here.servers()
    rewrite(here, 2)
    _code, out, err = here.ask('version-of-it', CHGDEBUG='1')
    assert out.split()[0] == '2'
    assert 'instruction' not in err
    assert 'start cmdserver' not in err
    until(lambda: not alive(before.pid))
    (after,) = here.servers()
    assert after.pid != before.pid
    _code, out, err = here.ask('version-of-it', CHGDEBUG='1')
    assert 'instruction' not in err


def test_a_signal_reaches_a_command_that_was_handed_over(here: Place) -> None:
    assert version(here) == 1
    rewrite(here, 2)
    client = here.start('wait')
    assert client.stdout
    assert client.stdout.readline() == 'waiting\n'
    client.send_signal(signal.SIGINT)
    _out, err = client.communicate()
    assert 'interrupted!' in err
    assert client.returncode == 255


def test_the_link_follows_use(here: Place) -> None:
    other = ('--config', 'alias.x=version')
    here.hg('version-of-it')
    first = here.link()
    here.hg(*other, 'version-of-it')
    second = here.link()
    assert first != second
    _code, _out, err = here.ask('version-of-it', CHGDEBUG='1')
    assert err.count('instruction: redirect') == 1
    assert here.link() == first
    _code, _out, err = here.ask('version-of-it', CHGDEBUG='1')
    assert 'instruction' not in err
    assert len(here.servers()) == 2


def test_another_configuration_costs_no_client_a_start(here: Place) -> None:
    here.hg('version-of-it')
    other = ('--config', 'alias.x=version')
    _code, _out, err = here.ask(*other, 'version-of-it', CHGDEBUG='1')
    assert 'start cmdserver' not in err


def test_those_not_used_for_longest_end(here: Place) -> None:
    with here.rc.open('a') as file:
        file.write('[warmserver]\nchg-servers = 3\n')
    for number in range(6):
        here.hg('--config', f'alias.x={number}', 'version-of-it')
        key = here.link()
        # When a server was used it writes down itself.
        until(lambda key=key: any(
            one.key == key and one.requests for one in here.servers()
        ))  # fmt: skip
    until(lambda: len(here.servers()) <= 3)
    for number in (3, 4, 5):
        _code, _out, err = here.ask(
            *('--config', f'alias.x={number}', 'version-of-it'), CHGDEBUG='1'
        )
        assert 'start cmdserver' not in err
    assert len(here.servers()) == 3


def test_it_ends_when_its_socket_is_gone(here: Place) -> None:
    here.hg('version-of-it')
    (one,) = here.servers()
    os.unlink(here.address.parent / f'server-{one.key}')
    until(lambda: not alive(one.pid))
    assert version(here) == 1


def test_it_ends_when_nobody_comes(here: Place) -> None:
    with here.rc.open('a') as file:
        file.write('[chgserver]\nidletimeout = 1\n')
    here.hg('version-of-it')
    # It may have ended by now.
    found = here.servers()
    until(lambda: not any(alive(one.pid) for one in found))
    until(lambda: not here.servers())
    until(lambda: not list(here.address.parent.glob('server-*')))


def test_it_ends_when_told_to(here: Place) -> None:
    here.hg('version-of-it')
    (one,) = here.servers()
    os.kill(one.pid, signal.SIGTERM)
    until(lambda: not alive(one.pid))
    assert version(here) == 1


def test_killed_it_is_started_again(here: Place) -> None:
    here.hg('version-of-it')
    (one,) = here.servers()
    os.kill(one.pid, signal.SIGKILL)
    until(lambda: not alive(one.pid))
    assert version(here) == 1


def test_a_command_that_outlives_it_is_in_nobodys_way(here: Place) -> None:
    here.hg('version-of-it')
    client = here.start('wait')
    assert client.stdout
    assert client.stdout.readline() == 'waiting\n'
    (one,) = here.servers()
    os.kill(one.pid, signal.SIGKILL)
    until(lambda: not alive(one.pid))
    assert version(here) == 1
    client.send_signal(signal.SIGINT)
    client.communicate()


def test_a_command_keeps_nothing_that_servers_need(here: Place) -> None:
    missing = f'gone = {here.folder}/gone.py'
    with here.rc.open('a') as file:
        file.write(f'[extensions]\n{missing}\n')
    # With an extension that is missing, each but the first is handed over.
    for _time in range(2):
        assert here.ask('version-of-it')[0] == 0
    client = here.start('wait')
    assert client.stdout
    assert client.stdout.readline() == 'waiting\n'
    try:
        locks = list(Path(f'{here.address}.d').glob('*.lock'))
        assert locks
        for path in locks:
            with path.open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        client.send_signal(signal.SIGINT)
        client.communicate()


def test_workers_that_wait_end_with_it(here: Place) -> None:
    here.hg('version-of-it')
    (one,) = here.servers()
    until(lambda: here.servers()[0].idle)
    children = Path(f'/proc/{one.pid}/task/{one.pid}/children').read_text()
    waiting = [int(pid) for pid in children.split()]
    assert waiting
    os.kill(one.pid, signal.SIGKILL)
    until(lambda: not any(map(alive, waiting)))


def test_rubbish_costs_nobody_anything(here: Place) -> None:
    here.hg('version-of-it')
    said = (b'\n', b'nonsense\n', b'setenv\n\0', b'setumask2\n\0\0\0\1x')
    links = []
    for one in said:
        raw = Raw(here.address)
        assert b'runcommand' in raw.frame()[1]
        raw.link.sendall(one)
        links.append(raw)
    with Raw(here.address) as long:
        long.link.sendall(b'x' * 100_000)
        assert version(here) == 1
    for raw in links:
        with raw:
            raw.link.shutdown(socket.SHUT_WR)
            written, _result = raw.result()
            assert b'Traceback' not in written


def test_half_a_request_is_not_waited_for(here: Place) -> None:
    here.hg('version-of-it')
    for said in (b'', b'runcomm', b'runcommand\n\0\0\0\x63vers'):
        with Raw(here.address) as raw:
            raw.frame()
            raw.link.sendall(said)
            # The server hangs up.
            assert raw.frame() == (b'', b'')


def test_more_clients_than_workers_wait(here: Place) -> None:
    with here.rc.open('a') as file:
        file.write('[warmserver]\nchg-workers = 2\n')
    clients = [here.start('version-of-it') for _ in range(12)]
    said = [one.communicate() for one in clients]
    assert [one.returncode for one in clients] == [0] * 12, said


def test_what_there_is_can_be_asked(here: Place) -> None:
    def asked() -> list[dict[str, object]]:
        words = ('warmserver::status', '--chg', '-T', 'json')
        said = subprocess.run(
            [chg.HG, *words],
            env=here.env,
            capture_output=True,
            text=True,
        )
        found: list[dict[str, object]] = json.loads(said.stdout)
        assert said.returncode == (0 if found else 1), said.stderr
        return found

    assert asked() == []
    here.hg('version-of-it')
    (one,) = asked()
    assert here.link() == one['key']
    assert alive(int(str(one['pid'])))
    assert one['requests']
    here.hg('--config', 'alias.x=version', 'version-of-it')
    assert len(asked()) == 2


def test_workers_that_wait_for_each_other_go_on(here: Place) -> None:
    again = f'NESTED=1 {here.client} version -q'
    hook = f'pre-version-of-it = [ "$NESTED" ] || {again}'
    with here.rc.open('a') as file:
        file.write(f'[warmserver]\nchg-workers = 1\n[hooks]\n{hook}\n')
    assert here.hg('version-of-it').split()[-2] == '1'


@pytest.mark.skipif(os.geteuid() != 0, reason='optional: needs root')
def test_another_user_is_not_served(here: Place) -> None:
    here.hg('version-of-it')
    # A path that others may walk, unlike the one to the folder of a test.
    with tempfile.TemporaryDirectory() as open_to_all:
        os.chmod(open_to_all, 0o755)
        door = Path(open_to_all, 'server')
        os.link(here.address.resolve(), door)
        door.chmod(0o777)
        with Raw(door) as raw:
            assert b'runcommand' in raw.frame()[1]
        assert _as_nobody(door) == b''


def _as_nobody(door: Path) -> bytes:
    """Return what another user is told there."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.setgroups([])
            os.setuid(65534)
            os.write(writing, Raw(door).frame()[1])
        except OSError as problem:
            os.write(writing, f'{problem}'.encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(pid, 0)
    with open(reading, 'rb') as file:
        return file.read()
