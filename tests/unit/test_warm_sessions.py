"""A session of the warm server is that of ``hg serve --stdio``, to the byte."""

from __future__ import annotations

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

import pytest

import fleetpash
from testlib.stdio import HELLO, NULL, call, push, starred

HG = str(Path(sys.executable).with_name('hg'))
PASH = os.path.join(fleetpash.__path__[0], 'pash.py')
PLAIN = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(('HG', 'PYTHON'))
}

_HGRC = """\
[extensions]
fleetpash =
warmserver =
[fleet]
root = {folder}/repos
state = {folder}/state
directory = file://{folder}/users.toml
[access]
ro = ann:read, *:read
** = staff:write
[hooks]
pretxnclose.say = echo "closing for $USER"
pretxnclose.no = python:{folder}/no.py:no
prepushkey.say = echo "key $HG_KEY"
"""

_HOOK = """\
def no(ui, repo, **_):
    refuses = any(b'refuse' in repo[r].description() for r in repo.revs('tip'))
    ui.warn(b'refused\\n' if refuses else b'fine\\n')
    return refuses
"""


@dataclass
class Server:
    """Where the repositories are, and a server that is up."""

    folder: Path
    bundles: dict[str, bytes]

    def run(self, said: bytes, repo: str, warm: bool) -> tuple[object, ...]:
        """Return all that a session leads to."""
        repos = self.folder / 'repos'
        shutil.rmtree(repos, ignore_errors=True)
        shutil.copytree(self.folder / 'master', repos, symlinks=True)
        socket = ['--warm', f'{self.folder}/state/warm.sock'] if warm else []
        done = subprocess.run(
            [
                *(sys.executable, '-I', '-S', PASH, '--hg', HG),
                *('--hgrc', f'{self.folder}/hgrc', *socket, 'ann'),
            ],
            env={'SSH_ORIGINAL_COMMAND': f'hg -R {repo} serve --stdio'},
            input=said,
            capture_output=True,
        )
        after = subprocess.run(
            [
                *(HG, '-R', str(repos / 'rw'), 'log'),
                *('-T', '{node} {phase} {bookmarks}\n'),
            ],
            env={**PLAIN, 'HGRCPATH': ''},
            capture_output=True,
        )
        said = re.sub(rb'\d{4}-\d\d-\d\dT[\d:]+Z', b'NOW', done.stderr)
        return done.stdout, said, done.returncode, after.stdout


def hg(folder: Path, *words: str) -> bytes:
    done = subprocess.run(
        [HG, *words],
        cwd=folder,
        env={**PLAIN, 'HGRCPATH': '', 'HGUSER': 'ann'},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=True,
    )
    return done.stdout


@pytest.fixture(scope='module')
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp('warm')
    (folder / 'state').mkdir()
    (folder / 'master').mkdir()
    (folder / 'users.toml').write_text('[users.ann]\ngroups = ["staff"]\n')
    (folder / 'hgrc').write_text(_HGRC.format(folder=folder))
    (folder / 'no.py').write_text(_HOOK)
    master = folder / 'master' / 'rw'
    hg(folder, 'init', str(master))
    for number, text in enumerate(('one', 'two', 'ok', 'refuse')):
        (master / 'file').write_text(text * 50)
        date = ('-d', f'{number} 0')
        hg(master, 'commit', '-qAm', text, *date)
    bundles = {}
    for name, rev in (('ok', '2'), ('refuse', '3')):
        file = folder / name
        hg(master, 'bundle', '-q', '-r', rev, '--base', '1', str(file))
        bundles[name] = file.read_bytes()
    whole = folder / 'whole'
    hg(folder, 'clone', '-q', '-U', '-r', '1', str(master), str(whole))
    shutil.rmtree(master)
    whole.rename(master)
    shutil.copytree(master, folder / 'master' / 'ro')
    log = folder / 'log'
    with log.open('wb') as file:
        process = subprocess.Popen(
            [HG, 'warmserver::serve'],
            env={**PLAIN, 'HGRCPATH': str(folder / 'hgrc')},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        while b'serving' not in log.read_bytes():
            assert process.poll() is None, log.read_text()
            time.sleep(0.02)
        yield Server(folder, bundles)
        assert process.poll() is None
        # Not one of the sessions was declined.
        about = log.read_text().splitlines()[1:]
        assert about
        assert not [line for line in about if 'outcome=served' not in line]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


READS = {
    'nothing': b'',
    'hello': b'hello\n',
    'greeting': HELLO,
    'heads': HELLO + b'heads\n',
    'branchmap': HELLO + b'branchmap\n',
    'capabilities': b'capabilities\n',
    'clonebundles': HELLO + b'clonebundles\n',
    'lookup': HELLO + call(b'lookup', key=b'tip'),
    'lookup, none': HELLO + call(b'lookup', key=b'nothing'),
    'lookup, null': HELLO + call(b'lookup', key=b'null'),
    'branches': HELLO + call(b'branches', nodes=NULL),
    'known': HELLO + call(b'known', nodes=NULL) + b'* 0\n',
    'listkeys': HELLO + call(b'listkeys', namespace=b'namespaces'),
    'phases': HELLO + call(b'listkeys', namespace=b'phases'),
    'bookmarks': HELLO + call(b'listkeys', namespace=b'bookmarks'),
    'no namespace': HELLO + call(b'listkeys', namespace=b'none'),
    'stream_out': HELLO + b'stream_out\n',
    'getbundle': HELLO + starred(b'getbundle', common=NULL),
    'getbundle 2': HELLO
    + starred(
        b'getbundle',
        bundlecaps=b'HG20,bundle2=HG20%0Achangegroup%3D01%2C02',
        common=NULL,
        cg=b'1',
        listkeys=b'phases,bookmarks',
    ),
    'getbundle, wrong': HELLO + starred(b'getbundle', common=b'x'),
    'batch': HELLO + call(b'batch', cmds=b'heads ;known nodes=') + b'* 0\n',
    'batch, wrong': HELLO + call(b'batch', cmds=b'nothing x=') + b'* 0\n',
    'unknown': HELLO + b'nothing\n',
    'two': HELLO + b'heads\n' + b'branchmap\n' + b'heads\n',
    'rubbish': bytes(range(256)),
    'long line': b'x' * 100_000 + b'\n',
    'wrong length': HELLO + b'lookup\nkey x\ntip',
    'upgrade': b'upgrade 2e82ab3f proto=exp-ssh-v2-0003\n' + HELLO,
    'debugwireargs': HELLO + call(b'debugwireargs', one=b'1', two=b'2'),
}
KEY = call(b'pushkey', namespace=b'bookmarks', key=b'b', old=b'', new=b'0' * 40)


@pytest.mark.parametrize(
    ('name', 'repo'),
    [(name, 'rw') for name in READS] + [('hello', 'none'), ('greeting', 'ro')],
)
def test_reading(server: Server, name: str, repo: str) -> None:
    warm, cold = (server.run(READS[name], repo, it) for it in (True, False))
    assert warm == cold


@pytest.mark.parametrize('repo', ['rw', 'ro'])
@pytest.mark.parametrize('name', ['ok', 'refuse', 'cut', 'rubbish', 'raced'])
def test_pushing(server: Server, name: str, repo: str) -> None:
    bundle = server.bundles.get(name, server.bundles['ok'])
    said = push(bundle)
    if name == 'cut':
        said = push(bundle[:-20])
    elif name == 'rubbish':
        said = push(b'HG20\0\0\0\0' + bytes(50))
    elif name == 'raced':
        said = push(bundle, b'11' * 20)
    warm, cold = (server.run(said, repo, it) for it in (True, False))
    assert warm == cold


@pytest.mark.parametrize('repo', ['rw', 'ro'])
@pytest.mark.parametrize('key', [KEY, KEY.replace(b'bookmarks', b'nonsense1')])
def test_moving_a_key(server: Server, key: bytes, repo: str) -> None:
    warm, cold = (server.run(HELLO + key, repo, it) for it in (True, False))
    assert warm == cold


@pytest.mark.parametrize('part', range(1, 16))
def test_hanging_up_at_any_moment(server: Server, part: int) -> None:
    whole = push(server.bundles['ok'])
    said = whole[: len(whole) * part // 16]
    warm, cold = (server.run(said, 'rw', it) for it in (True, False))
    assert warm == cold
