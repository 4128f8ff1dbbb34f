"""Repositories to which something is being added, as policies see it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mercurial import ui as uimod

from hgext3rd.checks.facts import PushFacts
from hgext3rd.fleet import compat

from . import judged


class Transaction:
    """As much of a transaction as is looked at."""

    def __init__(self, start: int, bookmarks: Any = None) -> None:
        self.changes: dict[bytes, Any] = {
            b'origrepolen': start,
            b'bookmarks': bookmarks or {},
            b'phases': [],
        }


@contextmanager
def opened(folder: Path) -> Iterator[Any]:
    """Make a repository; within, its transaction is open."""
    compat.initialize()
    ui = uimod.ui.load()
    repo = compat.repository(ui, bytes(folder / 'repo'), create=True)
    repo = repo.unfiltered()
    with repo.lock(), repo.transaction(b'test'):
        yield repo


def push_of(repo: Any, start: int = 0) -> PushFacts:
    """Return what has been added from revision ``start`` on."""
    world = judged.World()
    return PushFacts(repo, Transaction(start), 'demo', 'ann', world, 0.0)
