"""Whether what a process was started from is still what is on disk.

A file is taken to be the same as long as its device, inode, size, and times
of change to the nanosecond are.  One of these is the kernel's own, which
nobody can set, so a file that is replaced with all its times kept is noticed
as well.  Files that were looked for and missing count too: they may appear.
So do the folders in which modules are looked for, since one that appears in
an earlier folder is another module; of these, what counts is the names that
could be modules.

Where a file may have changed while it was read, times are compared with the
clock.  What has changed much later than it is by now did so before the clock
was set back, so not lately.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from mercurial import config

_SUFFIXES = tuple(
    os.fsencode(one) for one in (*importlib.machinery.all_suffixes(), '.pth')
)
# Two changes within such a time, in nanoseconds, may leave the same mark.
_TICK = 50_000_000
# By how much the clock of a file server may be ahead, in nanoseconds.
_AHEAD = 60_000_000_000

Mark = tuple[int, int, int, int, int] | None


def is_since(changed: int, since: int) -> bool:
    """Tell whether something has changed since a time, in nanoseconds."""
    return since <= changed <= time.time_ns() + _AHEAD


def mark(path: str | bytes) -> Mark:
    """Return what tells this state of a file from others, None if missing."""
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return (
        stat.st_mtime_ns,
        stat.st_ctime_ns,
        stat.st_ino,
        stat.st_size,
        stat.st_dev,
    )


def importable(folder: bytes) -> frozenset[bytes] | None:
    """Return the names in a folder that may be modules, None if it is none."""
    try:
        names = os.listdir(folder)
    except OSError:
        return None
    return frozenset(
        name
        for name in names
        if name.endswith(_SUFFIXES)
        or (b'.' not in name and name != b'__pycache__')
    )


class Marks:
    """The state of some files and folders at one time."""

    def __init__(self, paths: Iterable[str | bytes]) -> None:
        self._marks = {os.fsencode(path): mark(path) for path in paths}
        self._names = {path: importable(path) for path in self._marks}

    def __len__(self) -> int:
        return len(self._marks)

    def include(self, paths: Iterable[str | bytes], since: int) -> bytes | None:
        """Add what was read after ``since``, a time in nanoseconds.

        Return the path of a file that may have changed meanwhile, if any.
        """
        for path in map(os.fsencode, paths):
            if path in self._marks:
                continue
            found = mark(path)
            self._marks[path] = found
            self._names[path] = importable(path)
            if found is not None and is_since(found[1], since - _TICK):
                return path
        return None

    def changed_since(self, since: int) -> bool:
        """Tell whether one has changed since a time, in nanoseconds."""
        known = filter(None, self._marks.values())
        return any(is_since(one[1], since) for one in known)

    def changed(self) -> bytes | None:
        """Return the path of a file that is no longer the same, if any."""
        for path, known in self._marks.items():
            found = mark(path)
            if found != known and not self._same_names(path, found):
                return path
        return None

    def _same_names(self, path: bytes, found: Mark) -> bool:
        """Whether it is a folder in which nothing that counts has changed."""
        names = self._names[path]
        if names is None or found is None or importable(path) != names:
            return False
        if found[1] < time.time_ns() - _TICK:
            self._marks[path] = found
        return True

    def forget(self) -> None:
        """Remove the compiled form of each module that has changed.

        Python takes that for current when the module has the same size, and
        has changed within the same second.
        """
        for path, known in self._marks.items():
            if path.endswith(b'.py') and mark(path) != known:
                with suppress(OSError, NotImplementedError):
                    os.unlink(
                        importlib.util.cache_from_source(os.fsdecode(path))
                    )


def modules() -> set[str]:
    """Return the files of all modules that are loaded, or will be."""
    found = set()
    for module in list(sys.modules.values()):
        path = _known(module, '__file__')
        if path:
            found.add(os.path.abspath(path))
    return found


def search_path() -> set[str]:
    """Return the interpreter, and all places where it looks for modules."""
    found = {sys.executable, *sys.path}
    for module in list(sys.modules.values()):
        # Of namespaces, this is no list, and may not even be iterable.
        with suppress(Exception):
            found.update(map(os.fspath, _known(module, '__path__')))
    for folder in list(found):
        with suppress(OSError):
            found.update(
                os.path.join(folder, name)
                for name in os.listdir(folder)
                if name.endswith('.pth')
            )
    return {os.path.abspath(path) for path in found if path}


def _known(module: Any, name: str) -> Any:
    """Return what a module has of that name; one put off stays put off."""
    try:
        return object.__getattribute__(module, '__dict__').get(name)
    except AttributeError:
        return None


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
