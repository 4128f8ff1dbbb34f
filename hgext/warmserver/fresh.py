"""Whether what a process was started from is still what is on disk.

A file is taken to be the same as long as its device, inode, size, and time
of change to the nanosecond are.  Files that were looked for and missing
count as well: they may appear.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from mercurial import config

Mark = tuple[int, int, int, int] | None


def mark(path: str | bytes) -> Mark:
    """Return what tells this state of a file from others, None if missing."""
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


class Marks:
    """The state of some files at one time."""

    def __init__(self, paths: Iterable[str | bytes]) -> None:
        self._marks = {os.fsencode(path): mark(path) for path in paths}

    def __len__(self) -> int:
        return len(self._marks)

    def newest(self) -> int:
        """Return the last time, in nanoseconds, at which one has changed."""
        return max(
            (known[3] for known in self._marks.values() if known), default=0
        )

    def changed(self) -> bytes | None:
        """Return the path of a file that is no longer the same, if any."""
        for path, known in self._marks.items():
            if mark(path) != known:
                return path
        return None


def modules() -> set[str]:
    """Return the files of all modules that are loaded."""
    found = set()
    for module in list(sys.modules.values()):
        path = getattr(module, '__file__', None)
        if path:
            found.add(os.path.abspath(path))
    return found


@contextmanager
def reading() -> Iterator[set[bytes]]:
    """Within, collect the configuration files that are read, or included."""
    seen: set[bytes] = set()
    real = config.config.read

    def read(self: Any, path: bytes, *args: Any, **options: Any) -> Any:
        seen.add(os.path.abspath(path))
        return real(self, path, *args, **options)

    # By name, as everybody wraps methods of Mercurial's.
    setattr(config.config, 'read', read)  # noqa: B010
    try:
        yield seen
    finally:
        setattr(config.config, 'read', real)  # noqa: B010
