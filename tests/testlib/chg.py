"""chg, the client, and Mercurial's own tests of its server.

Both are in the source archive of the release that the tests run on.  What is
taken from there is kept in the cache outside of the tree; the client is
built there with ``make``.  :class:`Missing` says what cannot be had.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from history import cache, sdists

from . import places

HG = Path(sys.executable).with_name('hg')

_LARGEST = 1_000_000
_TAKEN = ('tests/', 'contrib/chg/', 'contrib/')


class Missing(RuntimeError):
    """This cannot be had on this machine; the message says why."""


def source() -> Path:
    """Return the folder with the tests of Mercurial, and chg in it, built."""
    version = importlib.metadata.version('mercurial')
    known = {sdist.version: sdist for sdist in sdists.RELEASES}
    if version not in known:
        raise Missing(f'the source of Mercurial {version} is not known')
    for needed in ('gcc', 'make'):
        if shutil.which(needed) is None:
            raise Missing(f'there is no {needed} to build chg with')
    folder = places.cache('.')

    def build(path: Path) -> None:
        try:
            archive = sdists.fetch(known[version], folder / 'sdists')
        except sdists.FetchError as problem:
            raise Missing(str(problem)) from problem
        _unpack(archive, f'mercurial-{version}/', path)
        done = subprocess.run(
            ['make', '-s', '-C', str(path / 'contrib' / 'chg')],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            raise Missing(f'chg could not be built:\n{done.stdout}')

    return cache.ready(folder / 'chg', version, build)


def client() -> Path:
    """Return the client."""
    return source() / 'contrib' / 'chg' / 'chg'


def debian() -> Path:
    """Return Debian's client, of whatever version; nothing is installed."""

    def fetch(path: Path) -> None:
        path.mkdir()
        try:
            for command in (
                ['apt-get', '-q', 'download', 'mercurial'],
                ['sh', '-c', 'dpkg-deb -x mercurial_*.deb .'],
            ):
                subprocess.run(
                    command,
                    cwd=path,
                    check=True,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                )
        except (OSError, subprocess.CalledProcessError) as problem:
            raise Missing(f"Debian's chg: {problem}") from problem
        if not (path / 'usr' / 'bin' / 'chg').exists():
            raise Missing("Debian's chg is not in its package")

    found = cache.ready(places.cache('chg'), 'debian', fetch)
    return found / 'usr' / 'bin' / 'chg'


def _unpack(archive: Path, prefix: str, path: Path) -> None:
    with tarfile.open(archive) as tar:
        for member in tar:
            name = member.name.removeprefix(prefix)
            if not member.isfile() or not name.startswith(_TAKEN):
                continue
            content = tar.extractfile(member)
            assert content is not None, name
            target = path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with open(target, 'wb') as out:
                shutil.copyfileobj(content, out)
            target.chmod(member.mode & 0o755)


@dataclass(frozen=True)
class Outcome:
    """What Mercurial's test runner said, as far as it fits."""

    said: str
    passed: bool


def run(
    folder: Path, tests: Sequence[str], *options: str, jobs: int = 1
) -> Outcome:
    """Run tests with chg in place of hg, in a folder that is empty.

    ``tests`` are names, or paths of changed copies.
    """
    # test-chg.t knows hg by the name of the folder that it is in.
    hg = folder / 'install' / 'bin' / 'hg'
    hg.parent.mkdir(parents=True)
    shutil.copy(HG, hg)
    output = folder / 'output'
    output.mkdir()
    tree = source()
    command = [
        *('env', '--default-signal', sys.executable),
        str(tree / 'tests' / 'run-tests.py'),
        *('--with-hg', str(hg), '--with-chg', str(client())),
        *('--outputdir', str(output), '--jobs', str(jobs)),
        *('--port', str(_port())),
        *('--timeout', '2700', *options, *tests),
    ]
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(('HG', 'CHG', 'TESTDIR'))
    }
    env['PATH'] = os.pathsep.join([str(HG.parent), env.get('PATH', '')])
    # What the tests ask for is found out with whatever python3 there is.
    env['PYTHONPATH'] = sysconfig.get_path('platlib')
    with (folder / 'log').open('w+b') as log:
        done = subprocess.run(
            command,
            cwd=tree / 'tests',
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        log.seek(0)
        said = log.read(_LARGEST).decode(errors='replace')
    return Outcome(said, done.returncode == 0)


def _port() -> int:
    # Between those that our servers choose and those that clients are given.
    return 20000 + os.getpid() % 200 * 60
