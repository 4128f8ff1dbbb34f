"""A real history for tests and benchmarks.

`releases` turns the published sdists of 14 Mercurial releases (3.0 to 7.2.4)
into a repository with one changeset per changed file, the releases' own
dates, several authors, a branch `stable` that is merged back often, tags, and
moves where a file moved. `slice_` makes a small one in the same manner from
the newest sdist alone, which a test run needs anyway.

Both answer with the path of a repository in the cache and build it on first
use; every machine and every run gets the same nodes. Clone the repository
(`hg clone -U PATH …`), never write to it: it refuses transactions. Its
changesets are draft, and clones keep them so.

From a shell: `python tests/history releases` (or `slice`) prints the path.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from testlib import places

from . import cache, plan, sdists, thin, trees
from .progress import Progress, silent

# Both follow from the code and the sdists; a change of either shows here.
RELEASES_TIP = '020f5cfaa1fe43393602d01f1d5842a5579e675e'
SLICE_TIP = '4921fd652351eb60d01bec694e4c2db90865d35e'


class Unexpected(Exception):
    """The generator made another history than the pinned one."""


def releases(folder: Path | None = None, progress: Progress = silent) -> Path:
    """Path of the whole history: about 13,000 changesets, 190 merges.

    `folder` is the cache, by default the user's. The first call fetches
    some 95 MB and computes for a minute or two.
    """
    return _ready(
        folder, 'releases', RELEASES_TIP, sdists.RELEASES, _unpacked, progress
    )


def slice_(folder: Path | None = None, progress: Progress = silent) -> Path:
    """Path of the small history: about 300 changesets, made in seconds."""
    return _ready(
        folder, 'slice', SLICE_TIP, sdists.RELEASES[-1:], _thinned, progress
    )


Source = Callable[[Iterable[Path]], Iterator[trees.Release]]


def _unpacked(paths: Iterable[Path]) -> Iterator[trees.Release]:
    return map(trees.unpack, paths)


def _thinned(paths: Iterable[Path]) -> Iterator[trees.Release]:
    (path,) = paths
    return iter(thin.thinned(trees.unpack(path)))


def _ready(
    folder: Path | None,
    name: str,
    tip: str,
    inputs: tuple[sdists.Sdist, ...],
    source: Source,
    progress: Progress,
) -> Path:
    folder = folder or places.cache('.')

    def build(path: Path) -> None:
        from . import record  # and with it Mercurial, which takes a while

        fetched = [
            sdists.fetch(sdist, folder / 'sdists', progress) for sdist in inputs
        ]
        made = record.history(path, plan.history(source(fetched)), progress)
        if made != tip:
            raise Unexpected(
                f'the history {name} came out with the tip {made}, but '
                f'{tip} is pinned in {__file__}; if the generator was changed '
                'on purpose, pin the new one'
            )

    digest = hashlib.sha256(repr((inputs, tip)).encode()).hexdigest()
    return cache.ready(folder, f'{name}-{digest[:12]}', build)
