"""What is measured: a fleet in a box, and plain sshds to compare it with.

    with fleet(folder / 'a') as it:        # hgfleet up, and down at the end
        it.push_url('demo'), it.ssh, it.mirrors
        with plain(it, folder / 'p') as other:
            other.url, other.ssh

The plain server's sshd has the configuration of the fleet's, with a file of
keys in place of the key look-up; its forced command is ``hg serve --stdio``
with no configuration and no extension.  The same client key opens both.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hgext3rd.fleet.core.shown import FILE
from hgext3rd.fleetctl import sockets

from .warm import Warm

HG = Path(sys.executable).with_name('hg')
HGFLEET = Path(sys.executable).with_name('hgfleet')
_PATIENCE = 300.0


@dataclass(frozen=True)
class Mirror:
    """A mirror: where it answers, and where it says what it shows."""

    name: str
    port: int
    shown: Path


@dataclass(frozen=True)
class Fleet:
    """A fleet that is up."""

    folder: Path
    mirrors: tuple[Mirror, ...]

    @property
    def ssh(self) -> Path:
        """The configuration for ``ssh -F``."""
        return self.folder / 'client' / 'ssh_config'

    def push_url(self, repo: str) -> str:
        """Return where a client pushes to."""
        return f'ssh://fleet/{repo}'

    def as_node(self, node: str = 'hg1') -> dict[str, str]:
        """Return the environment in which ``hg`` is this node."""
        hgrc = self.folder / 'nodes' / node / 'hgrc'
        return {**environment(), 'HGRCPATH': str(hgrc)}

    def create(self, names: list[str]) -> None:
        """Make repositories, and wait until every node has them."""
        with Warm(self.as_node()) as node:
            for name in names:
                node.run('replicate::create', name)
        deadline = time.monotonic() + _PATIENCE
        while any(each['lag_entries'] for each in self.status()['nodes']):
            if time.monotonic() > deadline:
                raise SystemExit(f'{self.folder}: the mirrors do not catch up')
            time.sleep(0.2)

    def status(self) -> dict[str, Any]:
        """Return what ``hgfleet status --json`` says."""
        said = _hgfleet('status', '--json', '--data', str(self.folder))
        found: dict[str, Any] = json.loads(said)
        return found


@dataclass(frozen=True)
class Plain:
    """A repository of a plain sshd."""

    url: str
    ssh: Path
    repo: Path


def environment() -> dict[str, str]:
    """Return the environment of stock programs.

    Servers may keep compiled modules, as they do in real life.
    """
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(('HG', 'PYTHON', 'SSH_'))
    }
    return {**env, 'HGRCPATH': '', 'HGPLAIN': '1', 'HGENCODING': 'utf-8'}


@contextlib.contextmanager
def fleet(folder: Path, mirrors: int = 2, ledger: str = '') -> Iterator[Fleet]:
    """Have a fleet up, with a repository ``demo``.

    With ``ledger``, the URL of a Kafka, everything is in that one.
    """
    # Being told to end must not leave it behind.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda got, _frame: sys.exit(128 + got))
    data = ('--data', str(folder))
    ports = ('--ssh-port', '0', '--http-port', '0')
    try:
        _hgfleet('up', *data, '--mirrors', str(mirrors), *ports, '--detach')
        if ledger:
            _move(folder, ledger)
        yield _seen(folder)
    finally:
        if folder.exists():
            _hgfleet('down', *data)


def _move(folder: Path, ledger: str) -> None:
    """Begin again with a ledger that is in Kafka."""
    data = ('--data', str(folder))
    _hgfleet('down', *data)
    with (folder / 'local.rc').open('a') as settings:
        settings.write(f'[fleet]\nledger = {ledger}\n')
    _hgfleet('doctor', '--fix', '--copies', '1', *data)
    shutil.rmtree(folder / 'nodes')
    _hgfleet('up', *data, '--detach')
    _hgfleet('repo', 'create', 'demo', *data)


def _seen(folder: Path) -> Fleet:
    nodes = Fleet(folder, ()).status()['nodes']
    return Fleet(
        folder,
        tuple(
            Mirror(
                name=node['name'],
                port=int(re.findall(r':(\d+)/', node['url'])[0]),
                shown=folder / 'nodes' / node['name'] / 'state' / FILE,
            )
            for node in nodes
            if node['role'] == 'mirror'
        ),
    )


def _hgfleet(*arguments: str) -> str:
    done = subprocess.run(
        [HGFLEET, *arguments],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode != 0:
        raise SystemExit(f'hgfleet {" ".join(arguments)}: {done.stdout}')
    return done.stdout


@contextlib.contextmanager
def plain(like: Fleet, folder: Path) -> Iterator[Plain]:
    """Have a plain sshd with one repository, configured as that of a fleet."""
    folder.mkdir()
    repo = folder / 'repo'
    subprocess.run([HG, 'init', repo], env=environment(), check=True)
    port = sockets.choose(())
    config = folder / 'sshd.conf'
    config.write_text(_sshd(like, folder / 'keys', port))
    public = (like.folder / 'client' / 'key.pub').read_text()
    (folder / 'keys').write_text(f'{_options(repo)} {public}')
    ssh = folder / 'ssh_config'
    ssh.write_text(
        re.sub(r'(?m)^( *Port) .*$', rf'\1 {port}', like.ssh.read_text())
    )
    with open(folder / 'sshd.log', 'wb') as log:
        server = subprocess.Popen(
            [_sshd_program(), '-D', '-e', '-f', config],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        deadline = time.monotonic() + 10
        while not sockets.greets(port):
            if server.poll() is not None or time.monotonic() > deadline:
                raise SystemExit((folder / 'sshd.log').read_text())
            time.sleep(0.02)
        yield Plain('ssh://fleet/any', ssh, repo)
    finally:
        server.terminate()
        server.wait()


def _sshd(like: Fleet, keys: Path, port: int) -> str:
    """Return the fleet's configuration of sshd, changed for plain Mercurial."""
    text = (like.folder / 'ssh' / 'hg1.conf').read_text()
    text = re.sub(r'(?m)^AuthorizedKeysCommand.*\n', '', text)
    text = re.sub(r'(?m)^Port .*$', f'Port {port}', text)
    # The file is below /tmp, whose mode is not strict.
    text = text.replace('StrictModes yes', 'StrictModes no')
    return text.replace('AuthorizedKeysFile none', f'AuthorizedKeysFile {keys}')


def _options(repo: Path) -> str:
    set_ = 'HGRCPATH= HGPLAIN=1 HGENCODING=utf-8'
    return f'restrict,command="{set_} {HG} -R {repo} serve --stdio"'


def _sshd_program() -> str:
    path = os.pathsep.join([os.environ.get('PATH', ''), '/usr/sbin', '/sbin'])
    found = shutil.which('sshd', path=path)
    if found is None:
        raise SystemExit('sshd is missing (apt-get install openssh-server)')
    return os.path.abspath(found)
