"""Starting a repository from a snapshot instead of from its first entry.

That is done where a node has no copy of a repository and a snapshot is far
ahead, and where the ledger has forgotten the entries that come next.  The
newest snapshot is tried first; one that is missing or damaged is passed
over, with a warning, for the next older one, and in the end for the ledger
from its beginning.

The copy is made below ``<state>/new``, compared with the digest that its last
entry states, and put into its place by one rename.  Killed before that, it is
made again, from the start.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, BinaryIO

from mercurial.utils import stringutil

from hgext3rd.pushlog.store import Pushlog

from ..fleet import compat, failpoint, files
from ..fleet.core import applied as records
from ..fleet.core import snapshot as snapshots
from ..fleet.core.applied import Applied
from ..fleet.core.errors import Diverged, FleetError, Quarantined
from ..fleet.core.snapshot import Snapshot
from ..fleet.edge import local, text
from . import (
    boot,
    digest,
    exclusive,
    lifecycle,
    shelf,
    snapfile,
    sums,
    unsynced,
)
from .node import Hosted, Node

_HOLDER = b'another bootstrap on this node'


class Unusable(FleetError):
    """A snapshot is missing, damaged, or not what the ledger says."""


def begin(hosted: Hosted, applied: Applied) -> Applied:
    """Start a repository that does not exist here, if that is worth it.

    Returns how far it has come then; ``applied`` when it has not moved.
    Raises error.LockHeld when another process is at it.
    """
    if not hosted.node.uses_snapshots:
        return applied
    index = shelf.current(hosted)
    worth = [
        one
        for one in snapshots.usable(index, applied.state)
        if snapshots.worthwhile(one, applied.state)
    ]
    return _first(hosted, worth) or applied


def leap(hosted: Hosted, applied: Applied, start: int) -> Applied:
    """Go on where the ledger, which can be read from ``start`` on, has a gap.

    Raises Quarantined when no snapshot covers it, and error.LockHeld.
    """
    state = applied.state
    usable = snapshots.usable(shelf.current(hosted), state, start)
    for one in usable:
        if one.seq == state.seq and one.state.digest == state.digest:
            # Nothing of this repository was forgotten.
            return replace(applied, state=one.state)
    if usable and os.path.isdir(os.path.join(hosted.path, '.hg')):
        lifecycle.set_aside(hosted)
    found = _first(hosted, usable)
    if found is None:
        raise Quarantined(
            f'{hosted.name}: this node has entries up to {state.seq}, but '
            f'{hosted.stream} begins at {start}, and no snapshot reaches '
            'that far',
            'run "hgfleet snapshot" on a node that has the repository',
        )
    return found


def _first(hosted: Hosted, candidates: Iterable[Snapshot]) -> Applied | None:
    boot.guard(hosted)
    ui = hosted.node.ui
    for one in candidates:
        try:
            applied = _start(hosted, one)
        except FleetError as problem:
            ui.warn(local(f'{problem}; trying what is older\n'))
            continue
        ui.status(
            local(
                f'{hosted.name}: started from a snapshot of entry {one.seq}\n'
            )
        )
        return applied
    return None


def _start(hosted: Hosted, snapshot: Snapshot) -> Applied:
    after = snapshots.resumed(snapshot, hosted.node.shows)
    if snapshot.blob is None:
        after = Applied(after.state)
        with unsynced.writing(hosted):
            files.replace(hosted.tombstone, records.encode(after))
        return after
    folder = hosted.node.state('new', 'snapshot')
    with _alone(hosted.node), unsynced.writing(hosted):
        if os.path.isdir(os.path.join(hosted.path, '.hg')):
            return hosted.applied()
        # What a killed process may have left.
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        try:
            _unpack(hosted, snapshot, snapshot.blob, folder)
            inside = os.path.join(folder, '.hg')
            after = replace(after, sums=sums.take(inside, {}))
            files.replace(
                os.path.join(inside, 'store', records.FILE),
                records.encode(after),
            )
            failpoint.hit('bootstrap.before-rename')
            after = lifecycle.put_in_place(hosted, inside, after)
            failpoint.hit('bootstrap.renamed')
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return after


def _unpack(hosted: Hosted, snapshot: Snapshot, blob: str, folder: str) -> None:
    """Make the repository in ``folder``; Unusable when it is not as stated."""
    node = hosted.node
    ui = _ui(node)
    total = snapshot.size
    try:
        repo = lifecycle.new_repository(ui, folder)
        repo.ui.quiet = True
        with (
            node.blobs.open(blob) as file,
            node.ui.makeprogress(
                local(hosted.name), unit=b'bytes', total=total
            ) as progress,
        ):
            snapfile.unpack(_Watched(file, progress), hosted, repo, snapshot)
            failpoint.hit('bootstrap.unpacked')
            # To its end, where a damaged blob is found out.
            while file.read(1 << 20):
                pass
        _check(compat.repository(ui, local(folder)).unfiltered(), snapshot)
    except Exception as problem:
        raise Unusable(
            f'{hosted.name}: the snapshot of entry {snapshot.seq} cannot be '
            f'used: {text(stringutil.forcebytestr(problem))}',
            'make a new one: hgfleet snapshot',
        ) from problem


def _ui(node: Node) -> Any:
    """Return a ui without hooks: they voted when the entries were made."""
    ui = node.ui.copy()
    ui.quiet = True
    for name, _command in ui.configitems(b'hooks'):
        ui.setconfig(b'hooks', name, b'', b'replicate')
    return ui


def _check(repo: Any, snapshot: Snapshot) -> None:
    state = snapshot.state
    actual = digest.of(repo)
    if state.digest not in ('', actual):
        raise Diverged(
            f'the digest is {actual} where the entry states {state.digest}'
        )
    with Pushlog(repo.svfs) as log:
        last = log.last()
        known = (last.id, last.end) if last else (0, 0)
        if log.torn or known != (state.push_id, len(repo.changelog)):
            raise Diverged('its pushlog does not fit its changesets')


class _Watched:
    """A blob's file whose reading moves a progress bar."""

    def __init__(self, file: BinaryIO, progress: Any) -> None:
        self._file = file
        self._progress = progress

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self._progress.increment(len(data))
        return data


def _alone(node: Node) -> AbstractContextManager[None]:
    return exclusive.alone(node.state('new', 'lock'), _HOLDER)
