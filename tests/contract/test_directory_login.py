"""Logging in with the directory in LDAP, and while that is away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fleetpash
from testlib import slapd
from testlib.sshcert import made

from .test_directory import ANN, BOB, key
from .test_directory_ldap import NAMES, serving, toml

HG = str(Path(sys.executable).with_name('hg'))
PASH = fleetpash.__path__[0]
_HGRC = """\
[extensions]
fleetpash =
[fleet]
root = {folder}/repos
state = {folder}/state
directory = {url}
[access]
** = staff:write
"""


class Door:
    """What sshd runs: the look-up of a key, and then the session."""

    def __init__(self, folder: Path, url: str) -> None:
        self._hgrc = folder / 'primary.rc'
        self._hgrc.write_text(_HGRC.format(folder=folder, url=url))
        self._url = url
        self.audit = folder / 'look-up.log'

    def look_up(self, *key: str) -> subprocess.CompletedProcess[str]:
        """Ask who holds a key, or who is in a certificate."""
        about = ['--hg', HG, '--hgrc', str(self._hgrc)]
        about += ['--audit', f'file://{self.audit}', '--node', 'hg1']
        return _run(
            [
                *(sys.executable, '-I', '-S', f'{PASH}/sshkeys.py', *about),
                *('--directory', self._url, *' '.join(key).split()),
            ]
        )

    def greet(self, user: str) -> subprocess.CompletedProcess[str]:
        """Ask for nothing as a user."""
        about = ['--hg', HG, '--hgrc', str(self._hgrc)]
        return _run(
            [sys.executable, '-I', '-S', f'{PASH}/pash.py', *about, user]
        )


def _run(argv: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv,
        env={'PATH': os.environ['PATH']},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize('how', ['gone', 'frozen'])
def test_logins(how: str, tmp_path: Path) -> None:
    try:
        slapd.program()
    except slapd.Missing as problem:
        pytest.skip(str(problem))
    with serving(tmp_path, [ANN, BOB]) as server:
        door = Door(tmp_path, toml(server, tmp_path, 'patience = 2', *NAMES))
        found = door.look_up(key(1))
        assert found.stdout.endswith(f' ann" {key(1)}\n'), found.stderr
        assert door.look_up(key(3)).stdout == ''
        assert door.look_up(key(9)).stdout == ''
        signed = door.look_up('--certificate', made())
        assert signed.stdout.endswith(' ann" ann\n'), signed.stderr
        two = made(principals=(b'ann', b'bob@example.org'))
        assert door.look_up('--certificate', two).stdout == ''
        assert not door.audit.exists()
        greeted = door.greet('ann')
        assert 'your groups:  ops, staff' in greeted.stdout, greeted.stderr
        locked = door.greet('bob@example.org')
        assert 'is locked out' in locked.stderr
        if how == 'gone':
            server.stop()
        else:
            server.freeze()
        proven = door.look_up(key(1))
        assert proven.stdout == found.stdout, proven.stderr
        again = door.look_up('--certificate', made())
        assert again.stdout == signed.stdout, again.stderr
        lines = door.audit.read_text().splitlines()
        assert len(lines) == 2
        for line in map(json.loads, lines):
            assert (line['event'], line['who']) == ('cached', 'ann')
            assert line['decision'] == 'allowed'
        nobody = made(principals=(b'eve',))
        assert door.look_up('--certificate', nobody).returncode == 1
        assert door.greet('ann').stdout == greeted.stdout
        for person in ('bob@example.org', 'eve'):
            refused = door.greet(person)
            assert refused.returncode == 75
            assert 'the directory' in refused.stderr
            assert 'try again' in refused.stderr
            assert 'Traceback' not in refused.stderr
        unknown = door.look_up(key(9))
        assert (unknown.returncode, unknown.stdout) == (1, '')


def test_no_password_to_be_read(tmp_path: Path) -> None:
    try:
        slapd.program()
    except slapd.Missing as problem:
        pytest.skip(str(problem))
    with serving(tmp_path, [ANN]) as server:
        secret = f'password-file = "{tmp_path}/nothing"'
        door = Door(tmp_path, toml(server, tmp_path, secret))
        refused = door.greet('ann')
        assert refused.returncode != 0
        assert 'cannot read' in refused.stderr
        assert f'{tmp_path}/nothing' in refused.stderr
