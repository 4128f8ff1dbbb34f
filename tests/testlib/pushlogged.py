"""A repository of which only the pushlog's files are real."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mercurial.vfs import vfs

from hgext3rd.pushlog import store
from hgext3rd.pushlog.store import Push


class Transaction:
    """Notes lengths, and cuts the files back when it is aborted."""

    def __init__(self, repo: Repo) -> None:
        self.repo = repo
        self.lengths: dict[bytes, int] = {}

    def add(self, name: bytes, offset: int) -> None:
        """Note how long a file is before it is appended to."""
        self.lengths.setdefault(name, offset)

    def abort(self) -> None:
        """Restore the lengths."""
        for name, length in self.lengths.items():
            os.truncate(self.repo.file(name), length)


class Repo:
    """A repository whose store is the folder ``path``."""

    def __init__(self, path: Path, ui: Any = None) -> None:
        self.path = path
        self.root = os.fsencode(path)
        self.ui = ui
        self.svfs = vfs(self.root)
        self.changelog: range = range(0)

    def unfiltered(self) -> Repo:
        """Return itself."""
        return self

    def file(self, name: bytes = store.FILE) -> Path:
        """Return where a file of the store is."""
        return self.path / name.decode()

    def content(self) -> tuple[bytes, bytes]:
        """Return the bytes of the pushlog and of the users' file."""
        return self.svfs.tryread(store.FILE), self.svfs.tryread(store.USERS)

    def record(self, *pushes: Push) -> Transaction:
        """Record pushes and have their changesets; return how to undo it."""
        tr = Transaction(self)
        for push in pushes:
            store.record(self, tr, push)
            self.changelog = range(push.end)
        return tr
