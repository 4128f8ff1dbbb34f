"""What a release consists of, and reading it from an sdist."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from pathlib import Path

# These would speak to the Mercurial that uses our history.
NOT_OURS = frozenset({b'.hgtags', b'.hgsigs', b'.hgsub', b'.hgsubstate'})


@dataclass(frozen=True)
class Blob:
    """A file: its content, and Mercurial's flags (b'', b'x' or b'l')."""

    data: bytes
    flags: bytes = b''

    @property
    def binary(self) -> bool:
        return b'\0' in self.data


Tree = dict[bytes, Blob]  # by path


@dataclass(frozen=True)
class Release:
    """A version, its date (seconds since the epoch, UTC) and its files."""

    version: str
    date: int
    tree: Tree


def unpack(sdist: Path) -> Release:
    """The release in the file `sdist`, dated by its newest member."""
    tree: Tree = {}
    date = 0
    with tarfile.open(sdist, 'r:gz') as opened:
        for member in opened:
            date = max(date, int(member.mtime))
            path = member.name.partition('/')[2].encode('utf-8')
            blob = _blob(opened, member)
            if blob is not None and path not in NOT_OURS:
                tree[path] = blob
    version = sdist.name.removesuffix('.tar.gz').rpartition('-')[2]
    return Release(version, date, tree)


def _blob(opened: tarfile.TarFile, member: tarfile.TarInfo) -> Blob | None:
    if member.issym():
        return Blob(member.linkname.encode('utf-8'), b'l')
    content = opened.extractfile(member) if member.isfile() else None
    if content is None:
        return None
    return Blob(content.read(), b'x' if member.mode & 0o100 else b'')
