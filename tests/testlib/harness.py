"""Mercurial's own test runner, which no installed Mercurial has.

It is taken from the source archive of the release that the tests run on,
which is also the newest one that the histories are made of.
"""

from __future__ import annotations

import importlib.metadata
import shutil
import tarfile
from pathlib import Path

from history import cache, sdists

from . import places

FILES = ('run-tests.py', 'hghave', 'hghave.py', 'killdaemons.py')


def runner() -> Path:
    """Return the path of ``run-tests.py``, fetched if need be.

    Raises RuntimeError with what pip said when it cannot be had.
    """
    version = importlib.metadata.version('mercurial')
    known = {sdist.version: sdist for sdist in sdists.RELEASES}
    if version not in known:
        raise RuntimeError(
            f'the source of Mercurial {version}, with its run-tests.py, is '
            'not known: add it to tests/history/sdists.py'
        )
    folder = places.cache('.')

    def unpack(path: Path) -> None:
        try:
            archive = sdists.fetch(known[version], folder / 'sdists')
        except sdists.FetchError as problem:
            raise RuntimeError(str(problem)) from problem
        path.mkdir()
        with tarfile.open(archive) as tar:
            for name in FILES:
                member = tar.extractfile(f'mercurial-{version}/tests/{name}')
                assert member is not None, name
                with open(path / name, 'wb') as out:
                    shutil.copyfileobj(member, out)
                (path / name).chmod(0o755)

    return cache.ready(folder / 'harness', version, unpack) / FILES[0]
