"""What sshd is told about a key, and when the index may answer."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fleetpash import pash, sshd, sshkeys
from hgext3rd.fleet import keyholder
from hgext3rd.fleet.adapters.directory_file import add_user, disable
from hgext3rd.fleet.core.errors import (
    DirectoryUnavailable,
    FleetError,
    SettingError,
)

ANN = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI' + 'A' * 42 + 'E'
ZOE = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI' + 'A' * 42 + 'I'
EVE = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI' + 'A' * 42 + 'M'

Age = Callable[[], None]


@pytest.fixture
def path(tmp_path: Path) -> str:
    name = str(tmp_path / 'users.toml')
    add_user(name, 'ann', [ANN], [])
    add_user(name, 'zoe', [ZOE], [])
    disable(name, 'zoe')
    return name


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyholder, 'QUIET', -1e9)


def arguments(path: str, key: str) -> list[str]:
    where = ['--hg', '/bin/hg', '--hgrc', '/x.rc', '--directory']
    return [*where, f'file://{path}', *key.split()]


def owner(path: str, key: str) -> str:
    told = sshkeys.answer(arguments(path, key))
    assert told == '' or told.endswith(f'" {key}\n')
    return told.partition('"')[2].partition('"')[0].rpartition(' ')[2]


def test_the_line(path: str) -> None:
    told = sshkeys.answer(arguments(path, ANN))
    script = os.path.join(os.path.dirname(sshkeys.__file__), 'pash.py')
    assert told == (
        f'restrict,command="{sys.executable} -I -S {script}'
        f' --hg /bin/hg --hgrc /x.rc ann" {ANN}\n'
    )


def test_owners(path: str) -> None:
    assert [owner(path, key) for key in (ANN, ZOE, EVE)] == ['ann', '', '']


@pytest.mark.usefixtures('quiet')
def test_the_index_says_the_same(path: str) -> None:
    assert sshkeys.recall(path, ANN) is None
    assert owner(path, EVE) == ''
    assert [sshkeys.recall(path, key) for key in (ANN, ZOE, EVE)] == [
        'ann',
        '',
        '',
    ]
    assert [owner(path, key) for key in (ANN, ZOE, EVE)] == ['ann', '', '']
    assert os.stat(path + sshkeys.INDEX).st_mode & 0o777 == 0o600
    assert sorted(os.listdir(os.path.dirname(path))) == [
        'users.toml',
        'users.toml.index',
    ]


@pytest.mark.usefixtures('quiet')
def test_a_part_of_a_key_is_not_the_key(path: str) -> None:
    owner(path, ANN)
    text = ANN.split()[1]
    for part in (ANN[:-1], ANN[1:], 'ssh-ed25519 A', f'{text} ann'):
        assert sshkeys.recall(path, part) == ''


@pytest.mark.usefixtures('quiet')
def test_a_change_outdates_the_index(path: str) -> None:
    assert owner(path, ANN) == 'ann'
    disable(path, 'ann')
    assert sshkeys.recall(path, ANN) is None
    assert owner(path, ANN) == ''
    assert sshkeys.recall(path, ANN) == ''
    text = Path(path).read_text()
    with open(path, 'r+') as file:  # in place, same length, old times
        file.write(text.replace('false', 'true ', 1))
    os.utime(path, (0, 0))
    assert owner(path, ANN) == 'ann'


@pytest.mark.usefixtures('quiet')
def test_an_unreadable_directory_is_not_remembered(path: str) -> None:
    assert owner(path, ANN) == 'ann'
    os.rename(path, path + '.away')
    with pytest.raises(DirectoryUnavailable):
        owner(path, ANN)
    Path(path).write_text('nonsense')
    with pytest.raises(SettingError):
        owner(path, ANN)


def test_no_index_of_a_file_that_may_change_unseen(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyholder, 'QUIET', keyholder.QUIET + 600)
    assert owner(path, ANN) == 'ann'
    assert not os.path.exists(path + sshkeys.INDEX)


@pytest.mark.usefixtures('quiet')
def test_no_index_of_a_file_that_changed_while_it_was_read(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyholder.Index, 'quiet', lambda self: 'another')
    assert owner(path, ANN) == 'ann'
    assert os.listdir(os.path.dirname(path)) == ['users.toml']


@pytest.mark.usefixtures('quiet')
@pytest.mark.parametrize('mode', [0o620, 0o602, 0o666])
def test_an_index_that_others_may_write(path: str, mode: int) -> None:
    owner(path, ANN)
    os.chmod(path + sshkeys.INDEX, mode)
    assert sshkeys.recall(path, ANN) is None
    assert owner(path, ANN) == 'ann'
    assert os.stat(path + sshkeys.INDEX).st_mode & 0o777 == 0o600


@pytest.mark.usefixtures('quiet')
def test_an_index_of_somebody_else(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner(path, ANN)
    uid = os.stat(path + sshkeys.INDEX).st_uid
    if uid == 0:
        os.chown(path + sshkeys.INDEX, 12345, -1)
    else:
        monkeypatch.setattr(sshkeys.posix, 'geteuid', lambda: uid + 1)
    assert sshkeys.recall(path, ANN) is None


@pytest.mark.usefixtures('quiet')
@pytest.mark.parametrize('content', [b'', b'\xff', b'x\n' + ANN.encode()])
def test_a_damaged_index(path: str, content: bytes) -> None:
    Path(path + sshkeys.INDEX).write_bytes(content)
    assert owner(path, ANN) == 'ann'
    assert sshkeys.recall(path, ANN) == 'ann'


@pytest.mark.parametrize(
    'argv',
    [
        [],
        ['x'] * 8,
        arguments('/x', ANN)[:-1],
        [*arguments('/x', ANN), 'more'],
        arguments('/x', 'ssh-ed25519 A\nB'),
        arguments('/x', 'ssh-ed25519 A"B'),
        ['--hg', '/a b', *arguments('/x', ANN)[2:]],
    ],
)
def test_refused(argv: list[str], path: str) -> None:
    argv = [one.replace('file:///x', f'file://{path}') for one in argv]
    with pytest.raises(SettingError):
        sshkeys.answer(argv)


def test_as_sshd_runs_it(path: str) -> None:
    def run(*more: str) -> subprocess.CompletedProcess[str]:
        script = os.path.join(os.path.dirname(sshkeys.__file__), 'sshkeys.py')
        python = [sys.executable, '-I', '-S', script]
        return subprocess.run(
            ['/usr/bin/env', '-i', *python, *more],
            capture_output=True,
            text=True,
        )

    known = run(*arguments(path, ANN))
    assert (known.returncode, known.stderr) == (0, '')
    assert known.stdout.startswith('restrict,command="')
    unknown = run(*arguments(path, EVE))
    assert (unknown.returncode, unknown.stdout, unknown.stderr) == (0, '', '')
    os.unlink(path)
    broken = run(*arguments(path, ANN))
    assert (broken.returncode, broken.stdout) == (1, '')
    assert broken.stderr.startswith('hgfleet: cannot read the file of users')
    assert len(broken.stderr.splitlines()) == 1


# The other texts that are handed to sshd and ssh.

SERVER = {
    'port': 8022,
    'account': 'hg',
    'host_key': '/data/key',
    'hg': '/v/bin/hg',
    'hgrc': '/data/rc',
    'directory': 'file:///data/users.toml',
}
CLIENT = {
    'port': 8022,
    'account': 'hg',
    'identity': '/data/id',
    'known_hosts': '/data/known',
}


@pytest.mark.parametrize('bad', ['', 'a b', 'a"b', '$(id)', '-x', 'a\nb', '%h'])
@pytest.mark.parametrize('item', ['account', 'host_key', 'hg', 'directory'])
def test_sshd_config_refuses(item: str, bad: str) -> None:
    with pytest.raises(SettingError, match='cannot be a word'):
        sshd.sshd_config(**{**SERVER, item: bad})  # type: ignore[arg-type]


@pytest.mark.parametrize('item', ['account', 'identity', 'known_hosts'])
def test_ssh_config_refuses(item: str) -> None:
    with pytest.raises(FleetError):
        sshd.ssh_config(**{**CLIENT, item: 'a b'})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ('says', 'penalties'),
    [
        ('OpenSSH_9.2p1 Debian-2+deb12u10, OpenSSL 3.0.19', False),
        ('OpenSSH_9.8p1, OpenSSL 3.3.1', True),
        ('OpenSSH_10.0p2 Debian-7, OpenSSL 3.5.1', True),
        ('unknown option -- V\nOpenSSH_8.4p1 Debian-5, usage: sshd', False),
        ('nothing', False),
    ],
)
def test_penalties(tmp_path: Path, says: str, penalties: bool) -> None:
    program = tmp_path / 'sshd'
    program.write_text(f"#!/bin/sh\necho '{says}' >&2; exit 1\n")
    program.chmod(0o755)
    assert sshd.has_penalties(str(program)) is penalties


def test_spared() -> None:
    told = sshd.sshd_config(**SERVER, spared='127.0.0.1,::1')  # type: ignore[arg-type]
    assert 'PerSourcePenaltyExemptList 127.0.0.1,::1\n' in told
    assert 'Penalt' not in sshd.sshd_config(**SERVER)  # type: ignore[arg-type]


def test_known_hosts() -> None:
    assert sshd.known_hosts(public_key=f'{ANN} a comment\n') == (
        f'{sshd.ALIAS} {ANN}\n'
    )


def test_the_environment_is_built_from_nothing() -> None:
    outer = {
        b'HOME': b'/home/hg',
        b'SSH_ORIGINAL_COMMAND': b'\xff',
        b'SSH_CLIENT': b'::1 1 2',
        b'PATH': b'/evil',
        b'HGRCPATH': b'/evil',
        b'PYTHONPATH': b'/evil',
        b'LD_PRELOAD': b'/evil',
        b'HGFLEET_COMMAND': b'evil',
    }
    built = pash.environment('/data/rc', outer)
    assert b'evil' not in b' '.join(built.values())
    assert built[b'HGFLEET_COMMAND'] == b'\xff'
    assert built[b'HGRCPATH'] == b'/data/rc'
    assert set(built) - {b'SSH_CLIENT', b'HOME'} == set(
        pash.environment('/data/rc', {})
    )
