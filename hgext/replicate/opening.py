"""Opening a hosted repository, and changing it on the ledger's behalf."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from ..fleet import compat
from ..fleet.edge import local
from . import unsynced
from .node import Hosted

_EVOLUTION = {(b'experimental', b'evolution.createmarkers'): True}


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
        ui.configoverride(_EVOLUTION, b'replicate'),
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
