"""Whether a copy of a repository is what the ledger says.

No lock is held while it is looked at, so that no push waits.  What changes
meanwhile may look damaged to who reads it; so what is found counts only when
nothing has changed.  When something has, the digest is computed again, and the
content verified in a copy, for which the lock is held only while files are
listed (``snapfile.py``).
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mercurial import error, util
from mercurial.utils import stringutil

from ..fleet import compat
from ..fleet.core import applied as records
from ..fleet.core import snapshot as snapshots
from ..fleet.core.applied import Applied
from ..fleet.core.errors import EntryUnreadable, FleetError
from ..fleet.edge import local, text
from . import digest, lifecycle, snapfile
from .follow import patiently
from .node import Hosted
from .opening import applying, open_repository
from .rebuild import faults

_TRIES = 5
_PAUSE = 0.2


class Unclear(FleetError):
    """It could not be looked at; nothing is known to be wrong."""


@dataclass(frozen=True)
class Checked:
    """What was seen: ``found`` is what is wrong, or ''."""

    name: str
    seq: int
    found: str


def compare(hosted: Hosted) -> Checked:
    """Compare the digest with that of the last entry; raises Unclear."""
    for number in range(_TRIES):
        if number:
            time.sleep(_PAUSE)
        checked = _rolled_back(hosted) or _settled(hosted, _difference)
        if checked is not None:
            return checked
    raise Unclear(f'{hosted.name}: it changes too fast to be compared')


def examine(hosted: Hosted) -> Checked:
    """Look at all of its content; raises Unclear."""
    checked = compare(hosted)
    if checked.found or not hosted.applied().state.exists:
        return checked
    again = _settled(hosted, _content)
    return again or _in_a_copy(hosted)


def _rolled_back(hosted: Hosted) -> Checked | None:
    """Undo what a killed process left behind; return what prevents that."""
    if not hosted.unfinished:
        return None
    try:
        with applying(open_repository(hosted)):
            return None
    except error.LockHeld:
        # Nothing was left behind: somebody is at work.
        return None
    except Exception as problem:  # noqa: BLE001 damage may raise anything
        said = text(stringutil.forcebytestr(problem))
        found = f'its last transaction cannot be rolled back: {said}'
        return Checked(hosted.name, 0, found)


def _settled(
    hosted: Hosted, look: Callable[[Hosted, Applied], str]
) -> Checked | None:
    """Return what ``look`` finds; None if something has changed meanwhile.

    That nothing is wrong is true all the same.
    """
    before = hosted.identity(), _applied(hosted)
    known = before[1]
    if isinstance(known, str):
        return Checked(hosted.name, 0, known)
    if hosted.unfinished:
        return None
    try:
        found = look(hosted, known)
    except Exception as problem:  # noqa: BLE001 damage may raise anything
        said = text(stringutil.forcebytestr(problem))
        found = f'it cannot be read: {said}'
    after = hosted.identity(), _applied(hosted)
    if found and (after != before or hosted.unfinished):
        return None
    return Checked(hosted.name, known.state.seq, found)


def _applied(hosted: Hosted) -> Applied | str:
    """Return how far it has come, or why that cannot be said."""
    try:
        found = hosted.applied()
    except EntryUnreadable as problem:
        return str(problem)
    except OSError as problem:
        return f'what was applied cannot be read: {problem}'
    inside = os.path.join(hosted.path, '.hg')
    lost = not found.state.seq and os.path.isdir(inside)
    return f'{records.FILE} is missing' if lost else found


def _difference(hosted: Hosted, applied: Applied) -> str:
    state = applied.state
    if not state.exists:
        return ''
    actual = digest.of(open_repository(hosted))
    if actual == (state.digest or digest.EMPTY):
        return ''
    return f'it is not what entry {state.seq} made it'


def _content(hosted: Hosted, _applied: Applied) -> str:
    found = faults(open_repository(hosted))
    return f'its content is damaged: {found}' if found else ''


def _in_a_copy(hosted: Hosted) -> Checked:
    folder = hosted.node.state('new', 'check')
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    try:
        repo, seq = _copy(hosted, folder)
        found = faults(repo)
    except (error.Error, FleetError, OSError) as problem:
        said = text(stringutil.forcebytestr(problem))
        raise Unclear(
            f'{hosted.name}: it could not be copied to be verified: {said}',
            'it is tried again',
        ) from problem
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if found:
        found = f'its content is damaged: {found}'
    return Checked(hosted.name, seq, found)


def _copy(hosted: Hosted, folder: str) -> tuple[Any, int]:
    """Copy the repository as it is at one moment; return it, and its entry."""

    def pin() -> tuple[snapshots.Snapshot, Any]:
        with applying(open_repository(hosted)) as unfi:
            made = snapshots.made(hosted.applied(), 0, '')
            return made, snapfile.chunks(hosted, unfi, made)

    made, chunks = patiently(hosted, pin, 60.0)
    ui = hosted.node.ui.copy()
    ui.quiet = True
    repo = lifecycle.new_repository(ui, folder)
    snapfile.unpack(util.chunkbuffer(chunks), hosted, repo, made)
    return compat.repository(ui, local(folder)), made.seq
