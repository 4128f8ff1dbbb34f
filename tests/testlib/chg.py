"""Mercurial's own chg, built from the source archive of the pinned release.

CHG = chg.client()                      # the program
with chg.server(folder, hgrc) as env:   # what to run it with
    subprocess.run([CHG, '-R', REPO, 'serve', '--stdio'], env=env)
"""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import tarfile
from pathlib import Path

from history import cache, sdists

from . import places

_INSIDE = 'contrib/chg'


class Missing(RuntimeError):
    """There can be no chg here; the argument is the reason."""


def client() -> Path:
    """Return the path of chg, built if need be; raises Missing."""
    version = importlib.metadata.version('mercurial')
    known = {sdist.version: sdist for sdist in sdists.RELEASES}
    if version not in known:
        raise Missing(f'the source of Mercurial {version} is not known')
    for tool in ('make', 'cc'):
        if shutil.which(tool) is None:
            raise Missing(f'there is no {tool} to build chg with')
    folder = places.cache('.')

    def build(path: Path) -> None:
        try:
            archive = sdists.fetch(known[version], folder / 'sdists')
        except sdists.FetchError as problem:
            raise Missing(str(problem)) from problem
        path.mkdir()
        prefix = f'mercurial-{version}/{_INSIDE}/'
        with tarfile.open(archive) as tar:
            for member in tar.getmembers():
                if member.isfile() and member.name.startswith(prefix):
                    source = tar.extractfile(member)
                    assert source is not None
                    name = path / Path(member.name).name
                    name.write_bytes(source.read())
        done = subprocess.run(
            ['make', '-s', 'chg'], cwd=path, capture_output=True, text=True
        )
        if done.returncode:
            raise Missing(f'chg cannot be built: {done.stderr}')

    return cache.ready(folder / 'chg-client', version, build) / 'chg'
