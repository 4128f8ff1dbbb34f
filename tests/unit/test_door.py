"""The settings of [pash], and what becomes of them in sshd's configuration."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from mercurial import ui as uimod

from fleetpash import door, sshd
from fleetpash.door import Door
from hgext3rd.fleet import settings
from hgext3rd.fleet.core.errors import SettingError
from hgext3rd.fleet.core.sshkey import Limits
from hgext3rd.fleetctl import doctor, founding, plan
from hgext3rd.fleetctl.layout import Layout
from hgext3rd.fleetctl.plan import Fleet, Record, Tools
from testlib import hgrepo as _no_hgrc_of_this_machine  # noqa: F401


def read(tmp_path: Path, *lines: str) -> Door:
    hgrc = tmp_path / 'hgrc'
    hgrc.write_text('\n'.join(['[pash]', *lines]))
    ui = uimod.ui.load()
    # A setting that is not declared may not be asked for.
    ui.setconfig(b'devel', b'all-warnings', True)
    settings.declare(ui)
    ui.readconfig(bytes(hgrc), trust=True)
    return door.read(ui)


def written(door: Door, audited: tuple[str, str] | None = None) -> list[str]:
    return sshd.sshd_config(
        port=8022,
        account='hg',
        host_key='/data/key',
        hg='/v/bin/hg',
        hgrc='/data/rc',
        directory='file:///data/users.toml',
        python='/v/bin/python',
        door=door,
        audited=audited,
    ).splitlines()


def look_up(*more: str) -> str:
    script = os.path.join(os.path.dirname(sshd.__file__), 'sshkeys.py')
    words = ' '.join(['--directory file:///data/users.toml', *more])
    python = f'/usr/bin/env -i /v/bin/python -I -S {script}'
    return f'{python} --hg /v/bin/hg --hgrc /data/rc {words} %t %k'


def test_nothing_set_is_nothing_written(tmp_path: Path) -> None:
    assert read(tmp_path) == Door()
    lines = written(read(tmp_path))
    assert f'AuthorizedKeysCommand {look_up()}' in lines
    assert lines[-1] == 'ClientAliveCountMax 4'
    text = '\n'.join(lines)
    for word in ('Revoked', 'Trusted', 'Principals', '--key-types', '--rsa'):
        assert word not in text


def test_what_is_the_default_is_not_written(tmp_path: Path) -> None:
    types = 'key-types = rsa ecdsa, sk-ecdsa, ed25519, sk-ed25519'
    assert written(read(tmp_path, types, 'rsa-bits = 3072')) == written(Door())


def test_everything_set(tmp_path: Path) -> None:
    its = read(
        tmp_path,
        'key-types = rsa, ed25519',
        'rsa-bits = 4096',
        'revoked = /etc/revoked',
        'trusted-user-ca = /etc/ca.pub',
    )
    limits = Limits(frozenset({'rsa', 'ed25519'}), 4096)
    assert its == Door(limits, '/etc/revoked', '/etc/ca.pub')
    lines = written(its, ('syslog:///dev/log', 'hg1'))
    more = (
        '--key-types ed25519,rsa --rsa-bits 4096',
        '--audit syslog:///dev/log --node hg1',
    )
    by_key = f'AuthorizedKeysCommand {look_up(*more)}'
    by_name = f'AuthorizedPrincipalsCommand {look_up(*more, "--certificate")}'
    for line in (
        *(by_key, 'AuthorizedKeysCommandUser hg'),
        *(by_name, 'AuthorizedPrincipalsCommandUser hg'),
        *('RevokedKeys /etc/revoked', 'TrustedUserCAKeys /etc/ca.pub'),
        'AuthorizedPrincipalsFile /nonexistent',
    ):
        assert lines.count(line) == 1
    assert lines.index(by_name) < lines.index(by_key)


@pytest.mark.parametrize(
    'line',
    [
        'key-types = dss',
        'rsa-bits = 1024',
        'revoked = none',
        'revoked = keys/revoked',
        'trusted-user-ca = ~/ca.pub',
    ],
)
def test_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(SettingError, match=r'^pash\.') as caught:
        read(tmp_path, line)
    assert caught.value.hint


@pytest.mark.parametrize('item', ['revoked', 'trusted-user-ca'])
def test_paths_are_words(tmp_path: Path, item: str) -> None:
    with pytest.raises(SettingError, match='cannot be a word'):
        written(read(tmp_path, f'{item} = /etc/a b'))


def test_the_doctor_tells_of_files_that_cannot_be_read(tmp_path: Path) -> None:
    layout = Layout(str(tmp_path))
    for name, role in (('hg1', 'primary'), ('web1', 'mirror')):
        hgrc = Path(layout.node(name).hgrc)
        hgrc.parent.mkdir(parents=True)
        hgrc.write_text(
            f'[fleet]\nnode = {name}\nrole = {role}\nroot = /r\nstate = /s\n'
            'ledger = sqlite:///l\nblobs = file:///b\n'
            f'[pash]\nrevoked = {tmp_path}/revoked\n'
            f'trusted-user-ca = {tmp_path}/ca.pub\n'
        )
    one, two = doctor.door(layout, 'hg1')
    assert one.about == two.about == 'hg1'
    assert 'pash.revoked: nobody gets in' in one.what
    assert 'No such file' in one.what
    assert 'pash.trusted-user-ca: no certificate is accepted' in two.what
    assert doctor.door(layout, 'web1') == []
    for name in ('revoked', 'ca.pub'):
        (tmp_path / name).write_text('')
    assert doctor.door(layout, 'hg1') == []


# Mercurial leaves the files that it includes to the collector.
@pytest.mark.filterwarnings('ignore::ResourceWarning')
@pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')
def test_up_writes_what_the_nodes_are_told(tmp_path: Path) -> None:
    layout = Layout(str(tmp_path))
    (tmp_path / 'ssh').mkdir()
    (tmp_path / 'client').mkdir()
    Path(f'{layout.host_key}.pub').write_text('ssh-ed25519 AAAA')
    tools = Tools(hg='/v/hg', python='/v/python', sshd='/bin/true')
    record = Record()
    fleet = Fleet(layout, record, tuple(plan.nodes(record)), tools, {})

    def lines() -> list[str]:
        founding.furnish(fleet, 'hg')
        return Path(layout.sshd('hg1')).read_text().splitlines()

    (before,) = [one for one in lines() if 'sshkeys.py' in one]
    assert f'--directory file://{layout.users}' in before
    assert before.endswith(f'--warm {layout.node("hg1").warm} %t %k')
    Path(layout.local).write_text(
        '[fleet]\ndirectory = ldap:///etc/ldap.toml\n'
        '[pash]\nrsa-bits = 4096\nrevoked = /etc/revoked\n'
    )
    found = lines()
    assert 'RevokedKeys /etc/revoked' in found
    (after,) = [one for one in found if 'sshkeys.py' in one]
    place = f'file://{layout.node("hg1").state}/audit.log'
    assert '--directory ldap:///etc/ldap.toml' in after
    assert f'--rsa-bits 4096 --audit {place} --node hg1 %t %k' in after
