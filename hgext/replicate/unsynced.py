"""Which repositories may not be on the disk yet.

Mercurial syncs nothing.  So that a node knows after a power cut which of its
repositories to compare with the ledger, and need not compare all of them,
each has a mark while it may be written to:

``<state>/unsynced/<name>``
    an empty file.  Its name is on the disk before the first byte of the
    repository is changed, and it is locked (shared) by who may be writing.
``<state>/syncing/<name>``
    where a checkpoint puts the marks of those to whom nobody is writing;
    then it syncs their file systems, and then it removes them.

So a mark costs one sync for each repository and checkpoint, however many
pushes arrive between two of them.  A writer who comes while a checkpoint is
under way makes a new mark and waits for nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Collection, Iterator

from ..fleet import failpoint, files
from .node import Hosted, Node

_UNSYNCED = 'unsynced'
_SYNCING = 'syncing'

# No name of a repository starts with it.
_DRAFT = '.'


class Mark:
    """The mark of a repository, held until :meth:`close` or the end."""

    def __init__(self, hosted: Hosted) -> None:
        self._handle = _taken(hosted)

    def close(self) -> None:
        """Let go of it; whatever was written is in the system's hands."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)

    def __del__(self) -> None:
        self.close()


@contextlib.contextmanager
def writing(hosted: Hosted) -> Iterator[None]:
    """Within, the repository may be written to."""
    mark = Mark(hosted)
    try:
        yield
    finally:
        mark.close()


def _taken(hosted: Hosted) -> int:
    """Return the open and locked file of the mark."""
    folder = hosted.node.state(_UNSYNCED)
    path = os.path.join(folder, hosted.file_name)
    while True:
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            _make(folder, hosted.file_name)
            continue
        # Only for a moment has a checkpoint a lock that this must wait for.
        fcntl.flock(handle, fcntl.LOCK_SH)
        if _is_still(path, handle):
            return handle
        os.close(handle)


def _make(folder: str, name: str) -> None:
    """Make a mark; under its own name it is on the disk already."""
    files.make_folder(folder)
    draft = os.path.join(folder, _DRAFT + name)
    os.close(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o666))
    files.sync_folder(folder)
    failpoint.hit('unsynced.before-mark')
    with contextlib.suppress(FileNotFoundError):
        # When it is gone, another process has made the same mark of it.
        os.rename(draft, os.path.join(folder, name))


def _is_still(path: str, handle: int) -> bool:
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(handle))


def marked(node: Node) -> frozenset[str]:
    """Return the names of the repositories that have a mark."""
    return frozenset(
        one.removeprefix(_DRAFT).replace('%2F', '/')
        for folder in (_UNSYNCED, _SYNCING)
        for one in _inside(node.state(folder))
    )


def checkpoint(node: Node, keep: Collection[str]) -> int:
    """Sync what nobody is writing to; return how many marks are gone.

    The marks of ``keep`` stay.  Raises OSError when syncing fails, and then
    no mark is gone.
    """
    waiting = node.state(_SYNCING)
    for name in _inside(node.state(_UNSYNCED)):
        repo = name.replace('%2F', '/')
        if not name.startswith(_DRAFT) and repo not in keep:
            _set_apart(node, name)
    names = [
        one for one in _inside(waiting) if one.replace('%2F', '/') not in keep
    ]
    if not names:
        return 0
    for place in _systems(node, names):
        files.sync_system(place)
    failpoint.hit('unsynced.synced')
    for name in names:
        files.remove(os.path.join(waiting, name))
    return len(names)


def last_checkpoint(node: Node) -> float:
    """Return when a checkpoint ended last, in seconds since 1970, or 0."""
    try:
        return os.stat(node.state(_SYNCING)).st_mtime
    except FileNotFoundError:
        return 0.0


def _set_apart(node: Node, name: str) -> None:
    path = node.state(_UNSYNCED, name)
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    else:
        files.make_folder(node.state(_SYNCING))
        os.rename(path, node.state(_SYNCING, name))
    finally:
        os.close(handle)


def _systems(node: Node, names: Collection[str]) -> list[str]:
    """Return a place on each file system that has a part of these."""
    root = node.settings.root
    repos = (os.path.join(root, one.replace('%2F', '/')) for one in names)
    found: dict[int, str] = {}
    for place in (node.settings.state, root, *repos):
        for path in (place, os.path.join(place, '.hg', 'store')):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                found.setdefault(os.stat(path).st_dev, path)
    return list(found.values())


def _inside(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
