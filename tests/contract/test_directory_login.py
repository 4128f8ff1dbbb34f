"""Logging in with the directory in LDAP, and while that is away."""

from __future__ import annotations

import contextlib
import json
import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
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

    def told(self) -> list[tuple[str, str, str]]:
        """Return who, what and which decision are in the audit."""
        text = (self._hgrc.parent / 'state' / 'audit.log').read_text()
        lines = [json.loads(line) for line in text.splitlines()]
        fields = ('who', 'event', 'decision')
        return [tuple(line[field] for field in fields) for line in lines]


def _run(argv: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv,
        env={'PATH': os.environ['PATH']},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


class _Babble(socketserver.StreamRequestHandler):
    """Somebody who talks, but neither TLS nor LDAP."""

    def handle(self) -> None:
        self.connection.settimeout(1)
        with contextlib.suppress(OSError):
            self.connection.recv(1000)
            self.wfile.write(b'\x30\x0c\x02\x01\x01\x61\x07 what?\n' * 99)


@contextlib.contextmanager
def babbling(port: int) -> Iterator[None]:
    """Have somebody else at a server's port."""
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    with socketserver.ThreadingTCPServer(('127.0.0.1', port), _Babble) as one:
        thread = threading.Thread(target=one.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            one.shutdown()


@pytest.mark.parametrize('how', ['gone', 'frozen', 'rubbish'])
def test_logins(how: str, tmp_path: Path) -> None:
    try:
        slapd.program()
    except slapd.Missing as problem:
        pytest.skip(str(problem))
    stack = contextlib.ExitStack()
    with stack, serving(tmp_path, [ANN, BOB]) as server:
        door = Door(tmp_path, toml(server, tmp_path, *NAMES))
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
        # From here on nobody is worth waiting for.
        toml(server, tmp_path, 'patience = 2', *NAMES)
        if how == 'frozen':
            server.freeze()
        else:
            server.stop()
        if how == 'rubbish':
            stack.enter_context(babbling(server.tls))
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
        told = door.told()
        assert told[-4:] == [
            ('ann', 'cached', 'allowed'),
            ('ann', 'login', 'allowed'),
            ('bob@example.org', 'login', 'failed'),
            ('eve', 'login', 'failed'),
        ]
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
