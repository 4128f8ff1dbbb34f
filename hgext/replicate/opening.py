"""Opening a hosted repository, and changing it on the ledger's behalf."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from mercurial import vfs as vfsmod

from ..fleet import compat
from ..fleet.edge import local
from . import unsynced
from .node import Hosted

# Whether an entry may be was decided where it was made, by the hgrc of then.
_ANYTHING = {
    (b'experimental', b'evolution.createmarkers'): True,
    (b'experimental', b'single-head-per-branch'): False,
}


def open_repository(hosted: Hosted) -> Any:
    """Return the repository as this process's ui opens it."""
    ui = hosted.node.ui.copy()
    ui.quiet = True
    return compat.repository(ui, local(hosted.path))


@contextlib.contextmanager
def applying(repo: Any) -> Iterator[Any]:
    """Hold the lock of ``repo`` and let changes bypass hooks and ledger.

    An abandoned transaction is rolled back first.  Yields the unfiltered
    repository.
    """
    unfi = repo.unfiltered()
    ui = unfi.ui
    quiet = ui.quiet
    with (
        unsynced.writing(unfi._fleet),
        unfi.lock(wait=False),
        ui.configoverride(_ANYTHING, b'replicate'),
    ):
        unfi._fleet_applying = True
        ui.quiet = True
        try:
            if unfi.svfs.exists(b'journal'):
                unfi.recover()
            yield unfi
        finally:
            ui.quiet = quiet
            unfi._fleet_applying = False


def moved(lock: Any, inside: str) -> None:
    """Have the held lock of a repository released in its new place.

    A lock is released by the path that it had, and there may be the lock of
    another repository of the same name by then.
    """
    lock.vfs = vfsmod.vfs(local(os.path.join(inside, 'store')))
