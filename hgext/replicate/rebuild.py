"""Making a copy of a repository anew, beside the one that is there.

The new copy is made below ``<state>/rebuild/<name>``, as a node of its own
would: from a snapshot and the entries after it, or from the first entry.  It
is compared with the digests that the entries state, and verified.  Then it
changes places with the old one, under the locks of both, by one rename; it
has all that the old one had by then, so nobody sees less than before.  What
fails before that leaves everything as it was.

A snapshot may be whole and yet have been made from a damaged copy.  A new copy
that started from one and cannot be verified is made once more, from the first
entry.

The old copy goes to ``<state>/broken/<name>.<time>``, as a repository that
``hg -R`` can open, with the file ``reason`` beside it.  The last
:data:`KEPT` of a node are kept.

A quarantine is lifted by the daemon alone while one runs, since only that
knows which entries it passed over meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from mercurial import lock, verify
from mercurial import vfs as vfsmod
from mercurial.utils import stringutil

from hgext3rd.pushlog import verify as pushlogs

from ..fleet import failpoint, files
from ..fleet.core import applied as records
from ..fleet.core.applied import Applied
from ..fleet.core.errors import (
    Diverged,
    EntryUnreadable,
    Quarantined,
)
from ..fleet.edge import local, text
from . import boot, digest, exclusive, lifecycle, release, unsynced
from .follow import catch_up, catch_up_patiently, patiently
from .node import Hosted, Node
from .opening import moved, open_repository

KEPT = 5
"""How many copies that were replaced a node keeps."""

_HOLDER = b'another rebuild on this node'
_BUSY = 60.0
_HANDED_OVER = 10.0
_PAUSE = 0.02
# Of what is wrong: so many lines, and so many characters.
_SAID = 3
_LONGEST = 500


@dataclass(frozen=True)
class Rebuilt:
    """A new copy: how far it has come, and where the old one is, if kept."""

    applied: Applied
    kept: str | None


def rebuild(hosted: Hosted, reason: str, thoroughly: bool = True) -> Rebuilt:
    """Replace this node's copy of a repository, and lift its quarantine.

    ``reason`` is kept with the old copy.  Without ``thoroughly`` the new one
    is compared with the digests only, and not verified.

    Raises FleetError (Quarantined where an entry cannot be applied), OSError,
    and error.LockHeld when another process rebuilds it, or works in it for
    longer than a minute; the copy and the quarantine are then as they were.
    """
    folder = hosted.node.state('rebuild', hosted.file_name)
    # What takes its place is not on the disk yet either.
    with _alone(folder), unsynced.writing(hosted):
        try:
            beside = _made(hosted, folder, thoroughly)
            failpoint.hit('rebuild.made')
            kept = patiently(
                hosted, lambda: _replace(hosted, beside, reason), _BUSY
            )
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    _forget_oldest(hosted.node)
    boot.lift(hosted)
    return Rebuilt(hand_over(hosted), kept)


def hand_over(hosted: Hosted) -> Applied:
    """End the quarantine of a copy that is as it should be.

    Raises what catching up raises.
    """
    release.announce(hosted, 'mended')
    applied = catch_up_patiently(hosted, _BUSY)
    _lift(hosted)
    return applied


def kept(node: Node) -> list[str]:
    """Return the paths of the copies that were replaced, the oldest first."""
    folder = node.state('broken')
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return [
        os.path.join(folder, name)
        for name in sorted(names, key=lambda one: one.rpartition('.')[2])
    ]


def faults(repo: Any) -> str:
    """Return what Mercurial's own verification finds wrong, or ''.

    No lock is taken: nobody else may change the repository meanwhile.
    """
    ui = repo.ui
    ui.pushbuffer(error=True)
    try:
        failed = verify.verifier(repo).verify()
        problems = pushlogs.problems(repo)
    except Exception as problem:  # noqa: BLE001 damage may raise anything
        failed, problems = 1, [text(stringutil.forcebytestr(problem))]
    finally:
        said = text(ui.popbuffer())
    lines = [one.strip() for one in said.splitlines()] if failed else []
    return '; '.join([*lines, *problems][:_SAID])[:_LONGEST]


def _made(hosted: Hosted, folder: str, thoroughly: bool) -> Hosted:
    """Make the new copy; raises FleetError when that is impossible."""
    beside = _beside(hosted, folder)
    for beside.node.uses_snapshots in (True, False):
        shutil.rmtree(folder, ignore_errors=True)
        state = catch_up(beside).state
        if not state.exists:
            break
        repo = open_repository(beside)
        actual = digest.of(repo)
        if state.digest not in ('', actual):
            raise Diverged(
                f'{hosted.name}: a new copy has the digest {actual} where '
                f'entry {state.seq} states {state.digest}'
            )
        found = faults(repo) if thoroughly else ''
        if not found:
            break
        problem = f'{hosted.name}: a new copy cannot be verified: {found}'
        if not beside.node.uses_snapshots:
            raise Diverged(problem, 'see "hgfleet restore"')
        hosted.node.ui.warn(local(f'{problem}; trying without snapshots\n'))
    return beside


def _beside(hosted: Hosted, folder: str) -> Hosted:
    """Return the repository as one of a node whose files are in ``folder``."""
    node = hosted.node
    ui = node.ui.copy()
    for item, name in ((b'root', 'repos'), (b'state', 'state')):
        path = local(os.path.join(folder, name))
        ui.setconfig(b'fleet', item, path, b'replicate')
    found = Node.of(ui)
    found.ledger, found.blobs = node.ledger, node.blobs
    # What may be shown decides which steps must be noted.
    found.barriers = dict(node.barriers)
    return found.hosted(hosted.name)


def _replace(hosted: Hosted, beside: Hosted, reason: str) -> str | None:
    """Put the new copy into the place of the old; return where that is.

    Raises error.LockHeld, and what catching up raises.
    """
    old = os.path.join(hosted.path, '.hg')
    new = os.path.join(beside.path, '.hg')
    with _locked(old) as held:
        # All that the old one had, since with its lock it gets no more.
        after = catch_up(beside)
        _refuse_less(hosted, after)
        with _locked(new):
            failpoint.hit('rebuild.before-exchange')
            if not os.path.isdir(old):
                _put(hosted, beside, new, after)
                return None
            if after.state.exists:
                # Each lock is released by the path that it had: after this
                # each is where the other one was.
                files.exchange(new, old)
                files.remove(hosted.tombstone)
            else:
                files.replace(hosted.tombstone, records.encode(after))
                os.makedirs(beside.path, exist_ok=True)
                os.rename(old, new)
                moved(held, new)
                lifecycle.remove_empty(hosted.path, hosted.node.settings.root)
            failpoint.hit('rebuild.exchanged')
    return _keep(hosted, new, reason)


def _refuse_less(hosted: Hosted, after: Applied) -> None:
    """Raise Quarantined when the ledger has less than the old copy had."""
    try:
        had = hosted.applied().state.seq
    except (EntryUnreadable, OSError):
        return
    if after.state.seq < had:
        raise Quarantined(
            f'{hosted.name}: a new copy is at entry {after.state.seq}, and the '
            f'old one has been at entry {had}: the ledger has lost entries',
            'restore the ledger; this copy is kept as it is',
        )


def _put(hosted: Hosted, beside: Hosted, new: str, after: Applied) -> None:
    if after.state.exists:
        lifecycle.put_in_place(hosted, new, after)
    else:
        files.replace(hosted.tombstone, records.encode(after))


def _keep(hosted: Hosted, inside: str, reason: str) -> str:
    moment = int(hosted.node.clock.wall() * 1000)
    place = hosted.node.state('broken', f'{hosted.file_name}.{moment:014}')
    os.makedirs(place)
    files.remove(os.path.join(inside, 'store', 'lock'))
    files.replace(os.path.join(place, 'reason'), reason.encode() + b'\n')
    os.rename(inside, os.path.join(place, '.hg'))
    return place


def _forget_oldest(node: Node) -> None:
    for path in kept(node)[:-KEPT]:
        shutil.rmtree(path, ignore_errors=True)


def _lift(hosted: Hosted) -> None:
    """End the quarantine, or have the daemon do so, and wait for that."""
    if release.lift(hosted):
        return
    deadline = time.monotonic() + _HANDED_OVER
    while os.path.exists(hosted.quarantine) and time.monotonic() <= deadline:
        time.sleep(_PAUSE)


@contextlib.contextmanager
def _locked(inside: str) -> Iterator[Any]:
    """Hold the lock of a repository, whatever state it is in; or LockHeld."""
    store = os.path.join(inside, 'store')
    if not os.path.isdir(store):
        yield None
        return
    with lock.lock(vfsmod.vfs(local(store)), b'lock', timeout=0) as held:
        yield held


def _alone(folder: str) -> AbstractContextManager[None]:
    above, name = os.path.split(folder)
    return exclusive.alone(os.path.join(above, f'.{name}'), _HOLDER)
