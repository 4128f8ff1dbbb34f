"""Make a few small releases of one: a history that needs a single sdist.

They hold a choice of the files. Most files are there from the start, others
come later, and some go; some were elsewhere at first; texts grow. Which does
what follows from the digest of its path.
"""

from __future__ import annotations

from .changes import digest
from .trees import Blob, Release, Tree

VERSIONS = ('0.1', '0.2', '0.2.1', '0.3')
LAST = len(VERSIONS) - 1
APART = 30 * 24 * 60 * 60  # seconds between two releases

LARGEST = 40_000  # bytes; larger files are left out
PLAIN, EXECUTABLE, BINARY = 120, 12, 6  # how many of each are taken

BEFORE_MOVE = b'attic/'


def thinned(release: Release) -> list[Release]:
    """The releases, the last of them dated as `release`."""
    chosen = _chosen(release.tree)
    return [
        Release(
            version,
            release.date - APART * (LAST - stage),
            dict(
                found
                for path, blob in chosen.items()
                for found in _at(stage, path, blob)
            ),
        )
        for stage, version in enumerate(VERSIONS)
    ]


def _chosen(tree: Tree) -> Tree:
    left = {PLAIN: PLAIN, EXECUTABLE: EXECUTABLE, BINARY: BINARY}
    chosen: Tree = {}
    for path in sorted(tree, key=lambda path: digest('choice', path)):
        blob = tree[path]
        kind = BINARY if blob.binary else EXECUTABLE if blob.flags else PLAIN
        if left[kind] and len(blob.data) <= LARGEST:
            left[kind] -= 1
            chosen[path] = blob
    return chosen


def _at(stage: int, path: bytes, blob: Blob) -> list[tuple[bytes, Blob]]:
    """The file's path and content at that stage, or nothing."""
    drawn = digest('life', path)
    born = 0 if drawn[0] < 150 else 1 + drawn[0] % LAST
    goes = drawn[1] < 20 and stage == LAST
    if stage < born or goes:
        return []
    moves = drawn[2] < 24 and stage < 2
    growth = [drawn[3] >> later & 1 for later in range(born + 1, LAST + 1)]
    grown = 1 + sum(growth[: stage - born]), 1 + sum(growth)
    flags = b'' if drawn[4] < 100 and stage == 0 else blob.flags
    return [
        (
            BEFORE_MOVE + path if moves else path,
            Blob(_part(blob, *grown), flags),
        )
    ]


def _part(blob: Blob, numerator: int, denominator: int) -> bytes:
    """The text's first lines, in that proportion."""
    if blob.binary or blob.flags == b'l':
        return blob.data
    lines = blob.data.splitlines(keepends=True)
    return b''.join(lines[: -(-len(lines) * numerator // denominator)])
