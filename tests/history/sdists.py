"""Fetch the sdists with pip, from wherever pip is configured to fetch.

pip asks every sdist for its metadata, which runs its setup.py; those of old
releases refuse Python 3. So pip is told to use the build backend that it
finds, and it finds ours (`backend.py`), which reads the metadata from PKG-INFO
and runs nothing of the sdist.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from . import backend, cache
from .progress import Progress, silent


class FetchError(Exception):
    """pip could not fetch an sdist."""


@dataclass(frozen=True)
class Sdist:
    """One published release, and the digest of its file."""

    version: str
    sha256: str

    @property
    def name(self) -> str:
        return f'mercurial-{self.version}.tar.gz'


# From the oldest to the newest, since each is compared with the one before.
PINNED = """\
3.0    640c96556a4524df2169c6706a4f68997c5bf5862b5971b3c2ee13ed4c349cfb
3.4    ff1da0545cdd46ebcf473176d55937a22bb55fff51cdff9d4c2f900fc80baf10
3.8.4  4b2e3ef19d34fa1d781cb7425506a05d4b6b1172bab69d6ea78874175fdf3da6
4.1.3  103d2ae187d5c94110c0e86ccc3b46f55fcd8e21c78d1c209bac7b59a73e86d8
4.4.2  dc2f72caccd6b760226753d48c2f4e8889fe176a6b23ef50775caac55ce28b85
4.7.2  97f0594216f2348a2e37b2ad8a56eade044e741153fee8c584487e9934ca09fb
5.0    54ec76a0138d9b883873cfb2c651380659cd24aa99d92f8816982c6d0edd712a
5.5.2  84930ad47a25d1f5db47acf48662bd199e45b7c331d8af6f4a8c46449ad8f372
5.8.1  81baa3fe2087bdda2dd119d7ea948f6badebaeb7b528a7d18b277e2ceb22b19b
6.1.4  f361f9802b36e357ac019ceb712ca11de8332b07deadeed8dfa904f05bf7ca78
6.4.5  b0b4b00b8b2639c8be387394796f0425beb339314df7e72937f8ddd2a41b1b8a
6.7.4  74708f873405c12272fec116c6dd52862e8ed11c10011c7e575f5ea81263ea5e
7.0.3  59fc84640524da6f1938ea7e4eb0cd579fc7fedaaf563a916cb4f9dac0eacf6c
7.2.4  85839e0f39e6cb893a88932aa36ef661759f3c5c5de4551ad26bd9df53cb71a2
"""
RELEASES = tuple(Sdist(*line.split()) for line in PINNED.splitlines())


def fetch(sdist: Sdist, folder: Path, progress: Progress = silent) -> Path:
    """Return the path of the sdist's file in ``folder``, fetched if need be.

    Raises FetchError with what pip said.
    """

    def download(path: Path) -> None:
        progress(f'fetching {sdist.name}', 0, 1)
        with tempfile.TemporaryDirectory() as work:
            shutil.move(_download(sdist, Path(work)), path)
        progress(f'fetching {sdist.name}', 1, 1)

    def intact(path: Path) -> bool:
        return path.exists() and _sha256(path) == sdist.sha256

    return cache.ready(folder, sdist.name, download, intact)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _download(sdist: Sdist, work: Path) -> Path:
    pinned = work / 'requirements.txt'
    pinned.write_text(
        f'mercurial=={sdist.version} --hash=sha256:{sdist.sha256}\n'
    )
    stand_in = work / 'path' / 'setuptools'
    stand_in.mkdir(parents=True)
    (stand_in / '__init__.py').touch()
    shutil.copyfile(backend.__file__, stand_in / 'build_meta.py')
    got = work / 'got'
    ran = cache.attempts(
        lambda: subprocess.run(
            [
                *(sys.executable, '-m', 'pip', 'download', '--quiet'),
                *('--no-deps', '--no-binary', 'mercurial', '--require-hashes'),
                *('--no-build-isolation', '--ignore-requires-python'),
                *('--dest', str(got), '--requirement', str(pinned)),
            ],
            # As an option, this one would stop a pip that has outlived it.
            env=os.environ
            | {'PIP_USE_PEP517': '1', 'PYTHONPATH': str(stand_in.parent)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    )
    if ran.returncode:
        raise FetchError(
            f'pip could not fetch {sdist.name}, which the history is made '
            f'of:\n{ran.stdout}'
        )
    (found,) = got.iterdir()
    return found
