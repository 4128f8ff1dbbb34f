"""What repositories with many markers need in memory, read ahead of sessions.

Reading 50,000 obsolescence markers takes a tenth of a second, in each session
anew.  With ``warmserver.repos``, the server reads the changelog, markers and
phases of so many repositories, the last that were served, while nobody has
come for a moment; children have them when they are forked.

What was read is used only when every file that it comes from is as it was, to
the nanosecond, and used as a whole: what is known of markers depends on
phases too.  Mercurial's own check, to the second, is made afterwards anyway.
The repository that it was read with has no extension and runs no hook; one
whose settings name extensions is left alone, since loading these would change
all sessions.
"""

from __future__ import annotations

import gc
import os
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from mercurial import config, error, extensions, obsolete, repocache

from ..fleet import compat, edge
from .fresh import Marks

LEAST = 64 * 1024
"""The size of a file of markers from which on it is worth while."""

REST = 2.0
"""Seconds after which what has changed is read again."""

_SETTINGS = ('hgrc', 'hgrc-not-shared')
_FILES = (
    *(*_SETTINGS, 'requires', 'sharedpath'),
    *('store/requires', 'store/obsstore', 'store/phaseroots'),
    *('store/00changelog.i', 'store/00changelog.d', 'store/00changelog.n'),
)
_NAMES = ('changelog', 'obsstore', '_phasecache')


@dataclass
class _Kept:
    """One repository, and the files that it was read from."""

    marks: Marks
    repo: Any
    since: float


class Shelf:
    """The repositories that have been read; ``most`` of them at a time."""

    def __init__(self, ui: Any, root: str, most: int) -> None:
        self._ui = ui
        self._root = os.path.realpath(root)
        self._most = most
        self._wanted: OrderedDict[str, None] = OrderedDict()
        self._kept: dict[str, _Kept] = {}

    def want(self, name: str) -> None:
        """Note that a repository was served."""
        if not self._most or not name:
            return
        self._wanted[name] = None
        self._wanted.move_to_end(name)
        while len(self._wanted) > self._most:
            gone, _none = self._wanted.popitem(last=False)
            self._kept.pop(gone, None)

    def step(self, now: float) -> bool:
        """Read one repository, if one is to be read; tell whether."""
        for name in self._wanted:
            kept = self._kept.get(name)
            if kept is not None and (
                now - kept.since < REST or kept.marks.changed() is None
            ):
                continue
            if self._read(name, now):
                return True
        return False

    def _read(self, name: str, now: float) -> bool:
        self._kept.pop(name, None)
        inside = os.path.join(self._root, name, '.hg')
        marks = Marks(os.path.join(inside, one) for one in _FILES)
        if not _is_worth_while(inside):
            return False
        ui = _without_extensions(self._ui)
        try:
            repo = compat.repository(ui, edge.local(os.path.dirname(inside)))
            repo = repo.unfiltered()
            _fill(repo)
        except Exception:  # noqa: BLE001 whoever is served finds out, and says
            return False
        if marks.changed() is None:
            self._kept[name] = _Kept(marks, repo, now)
        # What it takes the place of goes, and what is there stays as it is.
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        return True

    def lend(self, repo: Any) -> bool:
        """Give ``repo``, just opened, what there is of it; tell whether.

        Only for a process that does not outlive it.
        """
        name = os.path.relpath(edge.text(repo.root), self._root)
        kept = self._kept.get(name)
        unfi = repo.unfiltered()
        if kept is None or any(one in vars(unfi) for one in _NAMES):
            return False
        if kept.marks.changed() is not None:
            return False
        repocache.copycache(kept.repo, unfi)
        unfi.obsstore._repo = weakref.ref(unfi)
        for one in _NAMES:
            getattr(unfi, one)
        if kept.marks.changed() is None:
            return True
        for one in _NAMES:
            vars(unfi).pop(one, None)
            unfi._filecache.pop(one.encode(), None)
        return False


def _is_worth_while(inside: str) -> bool:
    try:
        if os.path.getsize(os.path.join(inside, 'store', 'obsstore')) < LEAST:
            return False
    except OSError:
        return False
    if os.path.exists(os.path.join(inside, 'sharedpath')):
        return False
    settings = config.config()
    for name in _SETTINGS:
        path = os.path.join(inside, name)
        try:
            if os.path.exists(path):
                settings.read(edge.local(path))
        except (error.Error, OSError):
            return False
    return b'extensions' not in settings


def _without_extensions(ui: Any) -> Any:
    quiet = ui.copy()
    for name, _module in extensions.extensions():
        quiet.setconfig(b'extensions', name, b'!', b'warmserver')
    return quiet


def _fill(repo: Any) -> None:
    """Read what takes long."""
    log = repo.changelog
    markers = repo.obsstore
    for part in ('_all', 'successors', 'predecessors', 'children'):
        getattr(markers, part)
    for name in obsolete.cachefuncs:
        obsolete.getrevs(repo, name)
    repo._phasecache.phase(repo, log.tiprev())


_lender: Shelf | None = None
_lent = False


def lends(shelf: Shelf) -> None:
    """Let what this process opens from now on borrow from ``shelf``."""
    global _lender
    _lender = shelf


def borrow(repo: Any) -> None:
    """Have a repository that was just opened borrow, if it can."""
    global _lent
    if _lender is not None and repo.local():
        _lent = _lender.lend(repo)


def lent() -> bool:
    """Tell whether this process has borrowed."""
    return _lent
