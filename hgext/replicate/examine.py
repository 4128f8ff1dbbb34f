"""Comparing a repository with the ledger, down to its last byte.

After a power cut a repository may lack its newest changes, or have a part of
them, or files with nothing but zeros.  :func:`faults` finds out; what it finds
is not mended piece by piece, but the whole repository is made anew from the
ledger, which had every change on the disk before anybody was told of it.

A copy that has more than the ledger is left as it is: it may be the only
place where that still exists.
"""

from __future__ import annotations

import os
import re
from typing import Any

from mercurial import error, verify
from mercurial.utils import stringutil

from hgext3rd.pushlog.verify import problems

from ..fleet import failpoint
from ..fleet.core import sums as summing
from ..fleet.core.applied import Applied
from ..fleet.core.errors import EntryUnreadable, FleetError, Quarantined
from ..fleet.core.ledger import RepoState
from ..fleet.edge import text
from . import boot, caches, digest, rebuild, sums
from .follow import catch_up_patiently
from .node import Hosted
from .opening import applying, open_repository

_LONGEST = 300
_BOOKMARKS = re.compile(rb'(?:[0-9a-f]{40} [^\n\0]+\n)*')
_REQUIRED = ('requires', 'store/requires')


def settle(hosted: Hosted, anew: bool = False) -> str:
    """Make sure that the repository is what the ledger says.

    Returns what was wrong with it, or ''.  With ``anew`` it is made anew
    without a look at it.  Raises FleetError and error.LockHeld; then it is
    doubted as before.
    """
    hosted.node.examines = hosted.name
    try:
        words = 'to look at it has failed' if anew else faults(hosted)
        failpoint.hit('examine.looked')
        if words:
            rebuild.rebuild(hosted, words)
        else:
            catch_up_patiently(hosted)
            boot.lift(hosted)
            rebuild.hand_over(hosted)
    finally:
        hosted.node.examines = ''
    return words


def faults(hosted: Hosted) -> str:
    """Return what is wrong with the repository, or ''.

    That it is behind the ledger is not: it can catch up.
    """
    try:
        applied = hosted.applied()
    except EntryUnreadable as problem:
        return str(problem)
    except (OSError, ValueError) as problem:
        return f'what was applied cannot be read: {problem}'
    _refuse_more_than_ledger(hosted, applied.state)
    inside = os.path.join(hosted.path, '.hg')
    if not os.path.isdir(inside):
        return 'it is missing' if applied.state.exists else ''
    if not applied.state.exists:
        return 'it should not exist'
    caches.remove(hosted, 0.0)
    caches.remove_nodemaps(hosted)
    try:
        # Before anything is decided by what stands in them.
        words = _tampered(hosted, _REQUIRED)
        if words:
            return words
        with applying(open_repository(hosted)) as repo:
            return _inside(hosted, repo)
    except (error.LockHeld, FleetError):
        raise
    except Exception as problem:  # noqa: BLE001 there is no telling which
        said = text(stringutil.forcebytestr(problem))
        return f'it cannot be read: {said[:_LONGEST]}'


def _inside(hosted: Hosted, repo: Any) -> str:
    """Return what is wrong; the lock is held, and nothing is abandoned."""
    # To roll back may have changed what was applied.
    applied = hosted.applied()
    words = _tampered(hosted)
    if words:
        return words
    stated, actual = applied.state.digest or digest.EMPTY, digest.of(repo)
    if actual != stated:
        return (
            f'its digest is {actual[:12]} where entry {applied.state.seq} '
            f'states {stated[:12]}'
        )
    if not applied.sums and repo.svfs.exists(b'obsstore'):
        return 'its obsolescence markers cannot be vouched for'
    if not _BOOKMARKS.fullmatch(repo.svfs.tryread(b'bookmarks')):
        return 'its bookmarks are damaged'
    wrong = problems(repo)
    if wrong:
        return f'its pushlog: {wrong[0]}'
    return _verified(repo)


def _tampered(hosted: Hosted, names: tuple[str, ...] = ()) -> str:
    """Return which file, of these or of all, does not have its sum, or ''."""
    stated: Applied = hosted.applied()
    if not stated.sums:
        return ''
    actual = sums.take(os.path.join(hosted.path, '.hg'), {})
    if not names:
        return summing.difference(stated.sums, actual)
    return summing.difference(
        {name: one for name, one in stated.sums.items() if name in names},
        {name: one for name, one in actual.items() if name in names},
    )


def _verified(repo: Any) -> str:
    """Return the first thing that ``hg verify`` has against it, or ''."""
    repo.ui.pushbuffer(error=True)
    try:
        verifier = verify.verifier(repo)
        failed = verifier.verify()
    finally:
        said = text(repo.ui.popbuffer())
    if not failed and not verifier.warnings:
        return ''
    lines = [line for line in said.splitlines() if line.strip()]
    return f'hg verify: {lines[0][:_LONGEST] if lines else "it failed"}'


def _refuse_more_than_ledger(hosted: Hosted, state: RepoState) -> None:
    """Raise Quarantined when the copy has what the ledger has not."""
    if not state.position:
        return
    ledger, stream = hosted.node.ledger, hosted.stream
    if ledger.end(stream) < state.position:
        raise Quarantined(
            f'{hosted.name}: this node has applied {stream} up to '
            f'{state.position}, and the ledger ends before: it has lost '
            'entries',
            'restore the ledger; this copy is kept as it is',
        )
