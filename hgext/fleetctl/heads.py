"""How many heads a repository has, counted once for each of its states.

A state is named by its sequence number, which never stands for two, so the
counts are kept in a file, where that is possible.  Opening a repository takes
milliseconds; with hundreds of them, counting stops after a while and goes on
next time.
"""

from __future__ import annotations

import contextlib
import json
import time

from mercurial import error
from mercurial import ui as uimod

from ..fleet import files, webview
from ..fleet.core.applied import View
from ..fleet.core.errors import FleetError

PATIENCE = 3.0
# The newest states of a repository that are remembered.
_KEPT = 2


class Heads:
    """The counts in the file ``path``; a context manager that saves them."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._deadline = time.monotonic() + PATIENCE
        self._known = _load(path)
        self._changed = False
        self._ui = uimod.ui()

    def __enter__(self) -> Heads:
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._changed:
            data = json.dumps(self._known).encode() + b'\n'
            # Whatever is wrong is to be told on a full disk, too.
            with contextlib.suppress(OSError):
                files.replace(self._path, data)

    def count(self, name: str, path: str, view: View) -> int | None:
        """Return how many heads the repository at ``path`` has in ``view``.

        None when it cannot be counted now.
        """
        if not view.exists:
            return 0
        counts = self._known.setdefault(name, {})
        known = counts.get(str(view.seq))
        if known is None and time.monotonic() < self._deadline:
            known = self._open(path, view)
            if known is not None:
                counts[str(view.seq)] = known
                for seq in sorted(counts, key=int)[:-_KEPT]:
                    del counts[seq]
                self._changed = True
        return known

    def _open(self, path: str, view: View) -> int | None:
        try:
            loaded = webview.load(self._ui, path, view, lambda: True)
        except (FleetError, error.RepoError, error.StorageError, OSError):
            return None
        if loaded is None:
            return None
        heads = loaded.repo.filtered(b'served').heads()
        # The head of a repository without changesets is the null revision.
        return sum(not _is_null(node) for node in heads)


def _is_null(node: bytes) -> bool:
    return not node.strip(b'\0')


def _load(path: str) -> dict[str, dict[str, int]]:
    try:
        known = json.loads(files.read(path) or b'{}')
        return {
            str(name): {str(int(seq)): int(n) for seq, n in counts.items()}
            for name, counts in known.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
