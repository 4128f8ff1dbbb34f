"""Published source archives of Mercurial, kept in the cache.

They hold Mercurial's own test runner, which no installed Mercurial has, and
the sources of which the ``releases`` repository is made.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from .places import cache

HARNESS = ('run-tests.py', 'hghave', 'hghave.py', 'killdaemons.py')


def installed() -> str:
    """Return the version of Mercurial in the running environment.

    The tests' environment has the version that ``pyproject.toml`` pins.
    """
    return importlib.metadata.version('mercurial')


def fetch(version: str) -> Path:
    """Return the source archive of a release, downloading it once.

    Raises ``RuntimeError`` with pip's own words when it cannot be had.
    """
    folder = cache('sdists')
    archive = folder / f'mercurial-{version}.tar.gz'
    if archive.exists():
        return archive
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        done = subprocess.run(
            [
                *(sys.executable, '-m', 'pip', 'download', '--no-deps'),
                *('--no-input', '--no-binary', 'mercurial'),
                *('--dest', scratch, f'mercurial=={version}'),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        found = list(Path(scratch).glob('*.tar.gz'))
        if done.returncode or not found:
            raise RuntimeError(
                f'pip could not download the source of Mercurial {version}:\n'
                + done.stdout
            )
        os.replace(found[0], archive)
    return archive


def harness(version: str) -> Path:
    """Return a folder with Mercurial's ``run-tests.py`` of a release."""
    folder = cache('harness') / version
    if folder.exists():
        return folder
    archive = fetch(version)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        made = Path(scratch, version)
        made.mkdir()
        with tarfile.open(archive) as tar:
            for name in HARNESS:
                member = tar.extractfile(f'mercurial-{version}/tests/{name}')
                assert member is not None, name
                with open(made / name, 'wb') as out:
                    shutil.copyfileobj(member, out)
                (made / name).chmod(0o755)
        try:
            made.rename(folder)
        except OSError:
            # Another run was quicker, and its copy is as good.
            if not folder.exists():
                raise
    return folder
