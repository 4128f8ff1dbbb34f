"""A repository as it was at one moment, and stays: for the web tier.

:func:`load` opens a repository and reads at once everything about it that a
later push could change: the changelog, the manifest's index, bookmarks,
phases and obsolescence markers.  It does so until nothing was being replaced
meanwhile, so a push that another process is applying is there as a whole or
not at all.  Then it undoes in memory what is not to be seen:

- changesets, and the revisions of manifests and files that came with them,
  are cut off the ends of the indexes, as if they had never been added
  (hiding them with a filter would still show them through the unfiltered
  repository, to which Mercurial falls back in places);
- obsolescence markers are cut off likewise;
- bookmarks and phases are set back.

The result never looks at the disk again for any of these, and never writes:
it has no locks to give, and its caches cannot be saved.  It belongs to one
thread at a time.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mercurial import error, phases, vfs
from mercurial.node import bin, hex

from . import compat
from .core.applied import View
from .core.errors import FleetError
from .edge import local

# Replacing a repository's files takes milliseconds; longer is a crash.
PATIENCE = 2.0
_PAUSE = 0.003

# Files that a transaction replaces as a whole when it closes.
_REPLACED = (b'fleet-applied', b'bookmarks', b'phaseroots')
_LINKREV = 4
_SHORT = 12


class Unsettled(FleetError):
    """The repository's files are being replaced, and it takes too long."""

    retry = True


@dataclass(frozen=True)
class Loaded:
    """A repository that shows one view, for good.

    ``unshown`` has the first 12 hexadecimal digits of each changeset that
    is here and not shown.
    """

    repo: Any
    unshown: frozenset[str]


def load(
    ui: Any, path: str, view: View, unchanged: Callable[[], bool]
) -> Loaded | None:
    """Return the repository at ``path`` as ``view`` says.

    ``unchanged`` tells whether the record that ``view`` was made from is
    still the current one; as soon as it is not, the result is None.  Raises
    Unsettled, and error.RepoError when the repository cannot be opened.
    """
    deadline = time.monotonic() + PATIENCE
    while unchanged():
        marks = _marks(path)
        broken = None
        try:
            repo = compat.repository(ui.copy(), local(path)).unfiltered()
            unshown = _read(repo, view)
        except (error.RepoError, error.StorageError, OSError) as problem:
            # As read from a file that was just being appended to.
            broken = problem
        journal = _journal(path)
        settled = journal is not None and _marks(path) == marks
        if not unchanged():
            break
        if settled and journal is not None and broken is None:
            _undo(repo, view, _length(journal, view))
            return Loaded(repo, unshown)
        if time.monotonic() > deadline:
            raise broken or Unsettled(
                'the repository is being changed, or waits for repair after '
                'a crash',
                'try again in a moment',
            )
        time.sleep(_PAUSE)
    return None


def _read(repo: Any, view: View) -> frozenset[str]:
    """Have ``repo`` read all that can change, cut where ``view`` ends.

    Returns the starts of the nodes that are cut off.
    """
    # First of all and at once: an index that has been searched for a node
    # is not quite rid of those that are cut off.
    changelog = repo.changelog
    count = len(changelog)
    stop = count if view.revisions is None else min(count, view.revisions)
    unshown = frozenset(
        hex(changelog.node(rev))[:_SHORT].decode() for rev in range(stop, count)
    )
    _trim(changelog, stop)
    _freeze(repo, stop)
    _trim(repo.manifestlog.getstorage(b'').get_revlog(), stop)
    for each in ('_bookmarks', '_phasecache'):
        getattr(repo, each)
    repo.obsstore._data  # noqa: B018
    return unshown


def _length(journal: Mapping[bytes, int], view: View) -> int | None:
    """Return how many bytes of the markers are to be seen; None: all."""
    known = (journal.get(b'obsstore'), view.markers)
    return min((one for one in known if one is not None), default=None)


def _marks(path: str) -> tuple[object, ...]:
    """Return what differs before and after files were changed."""
    inside = os.path.join(path, '.hg')
    store = os.path.join(inside, 'store')
    return (
        _content(os.path.join(store, 'bookmarks')),
        _content(os.path.join(inside, 'bookmarks')),
        _content(os.path.join(store, 'phaseroots')),
        _size(os.path.join(store, 'obsstore')),
        _size(os.path.join(store, '00changelog.i')),
    )


def _journal(path: str) -> dict[bytes, int] | None:
    """Return how long files were before the transaction that is open now.

    None when that transaction has begun to replace files, in which case
    what was read before may be a mix.  A transaction notes what it is about
    to replace in ``journal.backupfiles`` before it does; it adds to the
    changelog only at the end, too, and notes its length before.
    """
    store = os.path.join(path, '.hg', 'store')
    journal = _content(os.path.join(store, 'journal'))
    lengths = {}
    for line in journal.splitlines():
        name, _zero, length = line.partition(b'\0')
        if length.isdigit():
            lengths[name] = int(length)
    backups = _content(os.path.join(store, 'journal.backupfiles'))
    for line in backups.splitlines():
        fields = line.split(b'\0')
        if len(fields) > 1 and fields[1] in _REPLACED:
            return None
    now = _size(os.path.join(store, '00changelog.i'))
    return lengths if lengths.get(b'00changelog.i', now) == now else None


def _undo(repo: Any, view: View, markers: int | None) -> None:
    """Set back in memory what is not just added at the end."""
    marks = repo._bookmarks
    known = repo.changelog.index.has_node
    for name, node in view.bookmarks.items():
        if node is not None and known(bin(node)):
            marks._set(local(name), bin(node))
        else:
            marks._del(local(name))
    # As they would have been read: answers keep their order.
    marks._refmap = dict(sorted(marks._refmap.items()))
    if view.phases:
        _set_phases(repo, view)
    repo._phasecache.dirty = False
    store = repo.obsstore
    store._data = store._data[:markers]
    if len(store._data) <= 1:
        # Asked whether it is empty, it would look at the file again.
        store._all = []
    repo._fleetview = view


def _trim(revlog: Any, stop: int) -> None:
    """Forget the revisions that came with changesets from ``stop`` on.

    They are the last ones, since ``stop`` is where a transaction ended.  The
    revlog must not have been searched by node before.
    """
    index = revlog.index
    keep = len(index)
    while keep and index[keep - 1][_LINKREV] >= stop:
        keep -= 1
    if keep < len(index):
        del index[keep:-1]


def _set_phases(repo: Any, view: View) -> None:
    """Put back the phases of older changesets."""
    cache = repo._phasecache
    sets = {
        phase: set(cache.get_raw_set(repo, phase))
        for phase in phases.allphases
        if phase != phases.public
    }
    count = len(repo.changelog)
    for first, end, earlier in view.phases:
        moved = range(first, min(end, count))
        for revs in sets.values():
            revs.difference_update(moved)
        if earlier != phases.public:
            sets[earlier].update(moved)
    parents = repo.changelog.parentrevs
    cache._phaseroots = {phases.public: set()} | {
        phase: {rev for rev in revs if revs.isdisjoint(parents(rev))}
        for phase, revs in sets.items()
    }
    cache._phasesets = None
    cache._loadedrevslen = 0


def _freeze(repo: Any, stop: int) -> None:
    """Keep ``repo`` from looking again, and from writing."""

    class pinnedrepo(repo.__class__):  # type: ignore[misc]
        def wread(self, filename: bytes) -> bytes:
            # Who asks for ffffffffffff would see what lies about here.
            raise error.RepoLookupError(b'there is no working directory')

        def file(self, path: bytes, writable: bool = False) -> Any:
            log = _patiently(lambda: super(pinnedrepo, self).file(path))
            _trim(log.get_revlog(), stop)
            return log

        def lock(self, *args: Any, **opts: Any) -> Any:
            raise error.LockUnavailable(
                errno.EROFS, 'read-only mirror', b'lock', b'repository'
            )

        wlock = lock

        def transaction(self, *args: Any, **opts: Any) -> Any:
            raise error.Abort(b'this is a read-only mirror')

        def invalidate(self, *args: Any, **opts: Any) -> None:
            pass

        def invalidateall(self) -> None:
            pass

        def _refreshchangelog(self) -> None:
            pass

    repo.__class__ = pinnedrepo
    repo.cachevfs = _Unwritable(repo.cachevfs)
    repo.wcachevfs = _Unwritable(repo.wcachevfs)


def _patiently(opened: Callable[[], Any]) -> Any:
    """Open a file's history, which may just be in the middle of a write."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return opened()
        except error.StorageError:
            if time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE)


class _Unwritable(vfs.readonlyvfs):
    """A folder of caches that nothing is written to or removed from.

    Mercurial expects caches that cannot be written, but only as OSError.
    """

    def __call__(
        self, path: bytes, mode: bytes = b'rb', *a: Any, **kw: Any
    ) -> Any:
        if mode not in (b'r', b'rb'):
            raise PermissionError(errno.EROFS, 'read-only mirror')
        return super().__call__(path, mode, *a, **kw)

    def unlink(self, path: bytes | None = None) -> None:
        raise PermissionError(errno.EROFS, 'read-only mirror')

    def tryunlink(self, path: bytes | None = None) -> bool:
        return False


def _content(path: str) -> bytes:
    try:
        with open(path, 'rb') as file:
            return file.read()
    except FileNotFoundError:
        return b''


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
