"""Limits, certificates and answers from memory, as the look-up has them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fleetpash import sshkeys
from hgext3rd.fleet import adapters, keyholder
from hgext3rd.fleet.adapters.directory_file import add_user, disable
from hgext3rd.fleet.audit import AuditFailed
from hgext3rd.fleet.core import sshkey
from hgext3rd.fleet.core.errors import SettingError
from hgext3rd.fleet.core.sshkey import Limits
from hgext3rd.fleet.ports import User
from testlib.sshcert import made, string

from .test_sshkey import ed25519, rsa

ANN = ed25519()
OLD = rsa(2048)

LookUp = Callable[..., str]


@pytest.fixture
def path(tmp_path: Path) -> str:
    name = str(tmp_path / 'users.toml')
    add_user(name, 'ann', [ANN], [])
    add_user(name, 'old', [OLD], [])
    add_user(name, 'gone', [], [])
    disable(name, 'gone')
    return name


@pytest.fixture(params=[False, True], ids=['file', 'index'])
def look_up(
    path: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> LookUp:
    """Return the user of a key or certificate, with more options."""
    if request.param:
        monkeypatch.setattr(keyholder, 'QUIET', -1e9)

    def ask(text: str, *more: str) -> str:
        where = ['--directory', f'file://{path}']
        argv = ['--hg', '/h', '--hgrc', '/r', *where, *more, *text.split()]
        sshkeys.answer(argv)
        told = sshkeys.answer(argv)
        return told.partition('"')[2].partition('"')[0].rpartition(' ')[2]

    return ask


def test_a_key_outside_of_the_limits(
    look_up: LookUp, capsys: pytest.CaptureFixture[str]
) -> None:
    assert look_up(ANN) == 'ann'
    assert capsys.readouterr().err == ''
    assert look_up(OLD) == ''
    said = capsys.readouterr().err.splitlines()
    assert said[0] == (
        'hgfleet: old does not get in by a key: RSA keys of 2048 bits are '
        'not accepted here'
    )
    assert look_up(OLD, '--rsa-bits', '2048') == 'old'
    assert look_up(ANN, '--rsa-bits', '2048') == 'ann'
    assert look_up(ANN, '--key-types', 'ecdsa,rsa') == ''
    assert look_up(OLD, '--key-types', 'ecdsa,rsa') == ''
    assert look_up(ANN, '--key-types', 'ed25519') == 'ann'
    assert look_up(OLD) == ''


def test_a_key_of_nobody_is_not_spoken_of(
    look_up: LookUp, capsys: pytest.CaptureFixture[str]
) -> None:
    assert look_up(rsa(1024)) == ''
    assert look_up('ssh-dss AAAA') == ''
    assert look_up(made()) == ''
    assert capsys.readouterr().err == ''


def test_limits_that_make_no_sense_let_nobody_in(look_up: LookUp) -> None:
    for more in (['--key-types', 'dss'], ['--rsa-bits', '1024']):
        with pytest.raises(SettingError, match=r'pash\.'):
            look_up(ANN, *more)


def test_the_index_is_another_one_when_the_defaults_change() -> None:
    """Raise the number in ``sshkeys.state`` with these."""
    state = sshkeys.state(Path('/').stat()).split()[0]
    types = ' '.join(sorted(Limits().types))
    assert (state, types, Limits().rsa_bits, sshkey.FEWEST_RSA_BITS) == (
        'hgfleet-index-2',
        'ecdsa-256 ecdsa-384 ecdsa-521 ed25519 rsa sk-ecdsa sk-ed25519',
        3072,
        2048,
    )


WEAK = ('ssh-rsa-cert-v01@openssh.com', (b'\3', b'\0' + b'\xff' * 256))


@pytest.mark.parametrize(
    ('certificate', 'name', 'said'),
    [
        (made(), 'ann', ''),
        (made(principals=(b'ann', b'webmasters')), 'ann', ''),
        (made(principals=(b'eve',)), '', 'none of its principals is a user'),
        (made(principals=()), '', 'none of its principals is a user'),
        (made(principals=(b'gone',)), '', 'gone is locked out'),
        (made(principals=(b'ann', b'gone')), '', 'several users: ann, gone'),
        (made(principals=(b'ann', b'old')), '', 'several users: ann, old'),
        (made(*WEAK), '', 'RSA keys of 2048 bits'),
        (made(role=2), '', 'certificate of a host'),
        (made(critical=string(b'force-command', b'')), '', 'of its own'),
        (ANN, '', 'no type of certificate'),
    ],
)
def test_certificates(
    look_up: LookUp,
    certificate: str,
    name: str,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert look_up(certificate, '--certificate') == name
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == (2 if said else 0)
    assert all(said in line for line in lines)


def test_the_line_of_a_certificate(path: str) -> None:
    where = ['--directory', f'file://{path}', '--certificate']
    certificate = made().split()
    told = sshkeys.answer(['--hg', '/h', '--hgrc', '/r', *where, *certificate])
    assert told.startswith('restrict,command="')
    assert told.endswith(' --hg /h --hgrc /r ann" ann\n')
    assert told.count('\n') == 1


def test_what_is_said_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    keyholder.say('a\nb\x1b[1m\0\x85\u2028\xe9\udcff')
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith('hgfleet: a?b')
    assert line.isascii()
    assert line.isprintable()


class _Away:
    """A directory that answers from memory, since it is away."""

    def __init__(self, told: Callable[[str, float], None]) -> None:
        self._told = told

    def owner(self, _key: str) -> User:
        return self.user('ann')

    def user(self, name: str) -> User:
        self._told(name, 12.3)
        return User(name, frozenset(), name != 'gone', (ANN, OLD))

    def users(self) -> Iterator[User]:
        raise AssertionError('all users are asked for')


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    def opened(_url: str, told: Any = None) -> _Away:
        return _Away(told)

    monkeypatch.setattr(adapters, 'open_directory', opened)
    where = ['--directory', 'ldap:///etc/hgfleet/ldap.toml']
    return ['--hg', '/h', '--hgrc', '/r', *where]


def test_an_answer_from_memory_is_audited(
    away: list[str], tmp_path: Path
) -> None:
    log = tmp_path / 'audit.log'
    argv = [*away, '--audit', f'file://{log}', '--node', 'hg1']
    assert sshkeys.answer([*argv, *ANN.split()])
    (line,) = log.read_text().splitlines()
    said = json.loads(line)
    del said['time']
    assert said == {
        'node': 'hg1',
        'event': 'cached',
        'who': 'ann',
        'what': 'key',
        'decision': 'allowed',
        'reason': 'the directory is away; proven 12 s ago',
    }
    assert sshkeys.answer([*argv, '--certificate', *made().split()])
    _line, line = log.read_text().splitlines()
    assert json.loads(line)['what'] == 'certificate'
    # Whoever is turned away is not.
    gone = made(principals=(b'gone',))
    assert not sshkeys.answer([*argv, *OLD.split()])
    assert not sshkeys.answer([*argv, '--certificate', *gone.split()])
    assert len(log.read_text().splitlines()) == 2


def test_nobody_gets_in_without_a_trace(
    away: list[str], tmp_path: Path
) -> None:
    where = f'file://{tmp_path}/nothing/audit.log'
    argv = [*away, '--audit', where, '--node', 'hg1']
    with pytest.raises(AuditFailed):
        sshkeys.answer([*argv, *ANN.split()])


def test_syslog_hears_of_it_where_there_is_no_audit(
    away: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert sshkeys.answer([*away, *ANN.split()])
    said = capsys.readouterr().err
    assert said == 'hgfleet: ann: the directory is away; proven 12 s ago\n'


@pytest.mark.parametrize(
    'more',
    [
        ['--audit', 'file:///x'],
        ['--node', 'hg1'],
        ['--warm', '/a', '--warm', '/b'],
        ['--rsa-bits'],
        ['--other', 'x'],
        ['--certificate', 'x'],
    ],
)
def test_other_options_are_refused(away: list[str], more: list[str]) -> None:
    with pytest.raises(SettingError, match='called with other arguments'):
        sshkeys.answer([*away, *more, *ANN.split()])
