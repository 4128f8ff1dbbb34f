"""Making, configuring and removing a hosted repository.

Each ends in one rename, so a crash leaves the repository as it was or as it
should be; leftovers are below ``<state>/new`` and ``<state>/old``.
"""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import replace
from typing import Any

from ..fleet import compat, failpoint, files
from ..fleet.core import applied as records
from ..fleet.core.applied import Applied, Step
from ..fleet.core.errors import SettingError
from ..fleet.core.ledger import Judged
from ..fleet.edge import local, text
from . import repohgrc, sums
from .node import Hosted
from .opening import applying, moved, open_repository

_FORMAT = {(b'format', b'bookmarks-in-store'): True}


def create(
    hosted: Hosted, judged: Judged, applied: Applied, _repo: Any
) -> Applied:
    entry = judged.entry
    assert entry is not None
    step = None
    if hosted.node.shows:
        before = applied.state
        step = Step(
            offset=judged.record.offset,
            seq=before.seq,
            push_id=before.push_id,
            revisions=0,
            markers=0,
            exists=False,
        )
    after = applied.after(
        judged.state, step, hosted.node.barrier(hosted.partition)
    )
    temporary = hosted.node.state('new', f'{hosted.file_name}.{os.getpid()}')
    shutil.rmtree(temporary, ignore_errors=True)
    os.makedirs(temporary)
    try:
        ui = hosted.node.ui.copy()
        ui.quiet = True
        new_repository(ui, temporary)
        inside = os.path.join(temporary, '.hg')
        _write_hgrc(hosted, inside, entry.text)
        after = replace(after, sums=sums.take(inside, {}))
        files.replace(
            os.path.join(inside, 'store', records.FILE), records.encode(after)
        )
        failpoint.hit('perform.before-create')
        now = put_in_place(hosted, inside, after)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return now


def new_repository(ui: Any, folder: str) -> Any:
    """Make an empty repository in ``folder``, as hosted ones are."""
    with ui.configoverride(_FORMAT, b'replicate'):
        return compat.repository(ui, local(folder), create=True)


def put_in_place(hosted: Hosted, inside: str, after: Applied) -> Applied:
    """Make the finished folder ``inside`` the ``.hg`` of the repository.

    Returns how far the repository has come: when another process has made
    it meanwhile, and farther, that one stays.
    """
    os.makedirs(hosted.path, exist_ok=True)
    try:
        os.rename(inside, os.path.join(hosted.path, '.hg'))
    except OSError as problem:
        now = hosted.applied()
        taken = problem.errno in (errno.ENOTEMPTY, errno.EEXIST)
        if taken and now.state.seq >= after.state.seq:
            return now
        raise
    files.remove(hosted.tombstone)
    return after


def _write_hgrc(hosted: Hosted, folder: str, content: str | None) -> None:
    """Write what an entry says, if it is anything that may be said."""
    path = os.path.join(folder, 'hgrc')
    if content is not None:
        try:
            repohgrc.check(f'the hgrc of {hosted.name}', content)
        except SettingError as problem:
            # All nodes say No to it, and go on without.
            hosted.node.ui.warn(local(f'{problem}; it is left out\n'))
            content = None
    if content is None:
        files.remove(path)
    else:
        files.replace(path, local(content))


def configure(
    hosted: Hosted, judged: Judged, applied: Applied, repo: Any
) -> Applied:
    entry = judged.entry
    assert entry is not None
    with applying(repo or open_repository(hosted)) as unfi:
        now = hosted.applied()
        if now.state.seq >= entry.seq:
            return now
        inside = os.path.join(hosted.path, '.hg')
        _write_hgrc(hosted, inside, entry.text)
        after = now.after(judged.state, None, 0)
        after = replace(after, sums=sums.take(inside, now.sums))
        files.replace(
            text(unfi.sjoin(records.FILE.encode())), records.encode(after)
        )
    return after


def delete(
    hosted: Hosted, judged: Judged, applied: Applied, repo: Any
) -> Applied:
    entry = judged.entry
    assert entry is not None
    after = Applied(judged.state)
    inside = os.path.join(hosted.path, '.hg')
    grave = hosted.node.state('old', f'{hosted.file_name}.{entry.seq}')
    if os.path.isdir(inside):
        with applying(repo or open_repository(hosted)) as unfi:
            files.replace(hosted.tombstone, records.encode(after))
            failpoint.hit('perform.before-delete')
            shutil.rmtree(grave, ignore_errors=True)
            os.makedirs(os.path.dirname(grave), exist_ok=True)
            os.rename(inside, grave)
            moved(unfi.currentlock(), grave)
    else:
        files.replace(hosted.tombstone, records.encode(after))
    shutil.rmtree(grave, ignore_errors=True)
    remove_empty(hosted.path, hosted.node.settings.root)
    return after


def set_aside(hosted: Hosted) -> None:
    """Take the repository away, so that catching up makes it from nothing.

    Until its quarantine is lifted it is not served, since what is made of
    it at first is less than was shown already.  Raises error.LockHeld when
    somebody is working in it.
    """
    inside = os.path.join(hosted.path, '.hg')
    grave = hosted.node.state('old', f'{hosted.file_name}.rebuilt')
    shutil.rmtree(grave, ignore_errors=True)
    os.makedirs(os.path.dirname(grave), exist_ok=True)
    with applying(open_repository(hosted)) as unfi:
        hosted.refuse(f'{hosted.name} is being rebuilt from the ledger')
        os.rename(inside, grave)
        moved(unfi.currentlock(), grave)
    files.remove(hosted.tombstone)
    shutil.rmtree(grave, ignore_errors=True)


def remove_empty(path: str, root: str) -> None:
    """Remove ``path`` and the folders above it, below ``root``, if empty."""
    while path != root:
        try:
            os.rmdir(path)
        except OSError:
            return
        path = os.path.dirname(path)
