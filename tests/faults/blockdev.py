"""Disks whose power can be cut: ext4 in an image file, mounted by loop.

The kernel's ioctl ``EXT4_IOC_SHUTDOWN`` with ``NOLOGFLUSH`` makes a file system
forget at once whatever was not flushed: data that were not synced, and names
whose change was not committed.  What is mounted afterwards is what a machine
finds that was switched off at that moment.  It takes root, and a kernel that
may mount; :func:`missing` says what is not there.
"""

from __future__ import annotations

import fcntl
import functools
import os
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_SHUTDOWN = 0x8004587D
_NOLOGFLUSH = 2

# Nothing is committed just because time passes, nor written because a file
# was renamed; each makes more get lost.
_OPTIONS = 'loop,commit=300,noauto_da_alloc'


@dataclass
class Disk:
    """A disk, mounted at ``place``; parts of it may be shown elsewhere."""

    image: Path
    place: Path
    windows: list[tuple[Path, Path]] = field(default_factory=list)

    def make(self, size: int) -> None:
        """Make its file system, empty; the image takes room as it fills."""
        with self.image.open('wb') as file:
            file.truncate(size)
        _run('mkfs.ext4', '-q', '-F', '-E', 'lazy_itable_init=1', self.image)
        self.place.mkdir(parents=True, exist_ok=True)

    def mount(self, writeback: bool = False) -> None:
        """Start using it; with ``writeback`` names may come before data."""
        more = ',data=writeback' if writeback else ',data=ordered'
        _run('mount', '-o', _OPTIONS + more, self.image, self.place)
        for inside, window in self.windows:
            _run('mount', '--bind', inside, window)

    def show(self, inside: Path, window: Path) -> None:
        """Show a folder of it at another place, now and ever after."""
        inside.mkdir(parents=True, exist_ok=True)
        window.mkdir(parents=True, exist_ok=True)
        self.windows.append((inside, window))
        _run('mount', '--bind', inside, window)

    def cut(self) -> None:
        """Cut the power: from now on nothing reaches it."""
        handle = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, _SHUTDOWN, struct.pack('I', _NOLOGFLUSH))
        finally:
            os.close(handle)

    def unmount(self) -> None:
        """Stop using it; nobody may have anything open there."""
        for _inside, window in reversed(self.windows):
            _unmount(window)
        _unmount(self.place)

    def files(self) -> Iterator[Path]:
        """Yield all files on it."""
        for folder, _folders, names in os.walk(self.place):
            yield from (Path(folder, name) for name in sorted(names))


@functools.cache
def missing() -> str:
    """Return why there can be no such disks here, or ''."""
    if os.geteuid() != 0:
        return 'it takes root to mount disks'
    for program in ('mkfs.ext4', 'mount', 'umount'):
        if shutil.which(program) is None:
            return f'{program} is missing'
    with tempfile.TemporaryDirectory(prefix='hgfleet-disk.') as folder:
        disk = Disk(Path(folder, 'image'), Path(folder, 'disk'))
        try:
            disk.make(32 << 20)
            disk.mount()
        except subprocess.CalledProcessError as problem:
            return f'disks cannot be mounted: {problem.stderr.strip()}'
        try:
            disk.cut()
        except OSError as problem:
            return f'this kernel cannot cut the power of ext4: {problem}'
        finally:
            disk.unmount()
    return ''


def _unmount(place: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            return _run('umount', place)
        except subprocess.CalledProcessError:
            # Killed processes let go of their files a little later.
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def _run(*argv: str | Path) -> None:
    subprocess.run(
        [str(one) for one in argv],
        check=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
