"""Make the planned changesets in a new repository, all in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from mercurial import context, encoding
from mercurial import ui as uimod

from hgext3rd.fleet import compat

from .changes import Change
from .plan import DEFAULT, OTHER, TAGS, Merge, Part, Step, Tag
from .progress import Progress

HGRC = """\
# Everything that uses the cache shares this repository.
[phases]
publish = no
[hooks]
pretxnopen.cached = echo 'this history is a cache: clone it' >&2; false
"""

# What Mercurial calls for each file of a changeset; no answer: removed.
FileOf = Callable[[Any, Any, bytes], 'context.basefilectx | None']


def history(path: Path, parts: Iterable[Part], progress: Progress) -> str:
    """Make the repository `path` of the steps; answer its tip's full node."""
    # A bare ui reads no configuration, so all machines make the same.
    compat.initialize()
    repo = compat.repository(uimod.ui(), os.fsencode(path), create=True)
    recorder = Recorder(repo)
    with repo.lock():
        for part in parts:
            with repo.transaction(b'history'):
                for done, step in enumerate(part.steps, 1):
                    recorder.record(step)
                    progress(part.version, done, len(part.steps))
    tip: bytes = repo[b'tip'].hex()
    (path / '.hg' / 'hgrc').write_text(HGRC)
    return tip.decode('ascii')


class Recorder:
    """Commits steps on top of each other and remembers the branches' tips."""

    def __init__(self, repo: Any) -> None:
        self._repo = repo
        self._tips: dict[str, bytes] = {}  # nodes, by branch
        self._tags = b''  # the content of .hgtags

    def record(self, step: Step) -> None:
        """Commit one step on its branch."""
        action = step.action
        if isinstance(action, Merge):
            other = self._tip(OTHER[step.branch])
            self._commit(step, action.paths, _of(self._repo[other]), other)
        elif isinstance(action, Tag):
            node = self._tip(step.branch).hex()
            self._tags += f'{node} {action.name}\n'.encode()
            text = f'Added tag {action.name} for changeset {node[:12]}'
            self._commit(step, {TAGS}, _data(self._tags), text=text)
        else:
            self._commit(step, action.paths, _change(action))

    def _tip(self, branch: str) -> bytes:
        # A branch begins on top of default; default on top of nothing.
        found = self._tips.get(branch) or self._tips.get(DEFAULT)
        return found or self._repo.nullid

    def _commit(
        self,
        step: Step,
        paths: Iterable[bytes],
        file_of: FileOf,
        other: bytes | None = None,
        text: str = '',
    ) -> None:
        made = context.memctx(
            self._repo,
            (self._tip(step.branch), other),
            _local(text or step.text),
            paths,
            file_of,
            user=_local(step.user),
            date=step.date,
            branch=step.branch.encode('ascii'),
        )
        self._tips[step.branch] = made.commit()


def _of(other: Any) -> FileOf:
    def file_of(repo: Any, made: Any, path: bytes) -> Any:
        if path not in other:
            return None
        return other[path]

    return file_of


def _data(data: bytes) -> FileOf:
    def file_of(repo: Any, made: Any, path: bytes) -> Any:
        return context.memfilectx(repo, made, path, data)

    return file_of


def _change(change: Change) -> FileOf:
    def file_of(repo: Any, made: Any, path: bytes) -> Any:
        blob = change.blob
        if blob is None or path != change.path:
            return None
        return context.memfilectx(
            repo,
            made,
            path,
            blob.data,
            islink=blob.flags == b'l',
            isexec=blob.flags == b'x',
            copysource=change.source,
        )

    return file_of


def _local(text: str) -> bytes:
    # The changelog gets the same UTF-8 whatever the locale.
    local: bytes = encoding.tolocal(text.encode('utf-8'))
    return local
