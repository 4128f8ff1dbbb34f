"""Following: applying to this node what the ledger has and it has not."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from mercurial import error

from ..fleet.core.applied import Applied
from ..fleet.core.entry import Kind, Record
from ..fleet.core.errors import (
    FleetError,
    LedgerUnavailable,
    OutOfReach,
    Quarantined,
)
from ..fleet.core.ledger import Judged, Verdict, fold, reached
from ..fleet.edge import local
from ..fleet.ports import Batch
from . import boot
from .news import News
from .node import Hosted
from .opening import applying, open_repository
from .perform import perform

T = TypeVar('T')

_PAUSE = 0.02

# After these, the repository that was open is no longer the one there is.
_RENEWING = (Kind.CREATE, Kind.DELETE)


def catch_up(
    hosted: Hosted,
    repo: Any = None,
    end: int | None = None,
    news: News | None = None,
) -> Applied:
    """Apply all entries of one repository that are still missing.

    With ``end``, those below that position are enough, and ``news`` may be
    what would be read first.  What is returned tells how far was read.

    ``repo`` is the open repository where the caller has one; then the
    caller must hold its lock.  Raises Doubted, LedgerUnavailable,
    Quarantined, and error.LockHeld.
    """
    boot.guard(hosted)
    applied = hosted.applied()
    if hosted.unfinished:
        # Whoever is at work has the lock; else this rolls back.
        with applying(repo or open_repository(hosted)):
            applied = hosted.applied()
    is_another = False
    if not applied.state.exists:
        began = bootstrap().begin(hosted, applied)
        if began is not applied:
            repo, applied = None, began
    while True:
        try:
            batch = _next(hosted, applied, news)
        except OutOfReach as problem:
            known = hosted.identity()
            applied = bootstrap().leap(hosted, applied, problem.start)
            if hosted.identity() != known:
                repo, is_another = None, True
            continue
        applied = follow(hosted, applied, batch, repo)
        state = reached(applied.state, batch.upto)
        applied = replace(applied, state=state)
        if not batch or (end is not None and state.position >= end):
            break
    if is_another and os.path.exists(hosted.quarantine):
        # What was less than had been shown already is no longer.  Seldom, and
        # a push pays for imports.
        from . import release

        release.announce(hosted, 'made anew')
        release.lift(hosted)
    return applied


def _next(hosted: Hosted, applied: Applied, news: News | None) -> Batch:
    position = applied.state.position
    if news is not None and news.position == position:
        return news.batch
    # Before that is read: the daemon goes on meanwhile.
    followed = hosted.node.followed(hosted.partition)
    batch = hosted.node.ledger.read(hosted.stream, position, hosted.keys)
    # An empty one ends where the ledger does.
    least = position if batch else max(position, followed)
    return whole(hosted.stream, least, batch)


def whole(stream: str, position: int, batch: Batch) -> Batch:
    """Return what was read there; raises LedgerUnavailable.

    What a ledger gets that has lost entries is not what others see who have
    not read those.
    """
    if batch.upto >= position:
        return batch
    raise LedgerUnavailable(
        f'this node has read {stream} up to {position}, and the ledger ends '
        f'at {batch.upto}: it has lost entries',
        'restore the ledger; nothing is changed here until then',
    )


def bootstrap() -> Any:
    """Return the module; a push has no use for it, and pays for imports."""
    from . import bootstrap

    return bootstrap


def catch_up_patiently(hosted: Hosted, patience: float = 600.0) -> Applied:
    """Catch up, waiting for whoever holds the repository's lock.

    That is this node's daemon, at work on the same entries, or a push.
    Raises error.LockHeld when it takes longer than ``patience`` seconds.
    """
    return patiently(hosted, lambda: catch_up(hosted), patience)


def patiently(
    hosted: Hosted, work: Callable[[], T], patience: float = 600.0
) -> T:
    """Return what ``work`` does, tried again while a lock is held."""
    deadline = hosted.node.clock.boot() + patience
    while True:
        try:
            return work()
        except error.LockHeld:
            if hosted.node.clock.boot() > deadline:
                raise
        time.sleep(_PAUSE)


def refresh(hosted: Hosted, repo: Any) -> None:
    """Catch up for a reader, if that is possible just now.

    A reader is served what is there when the ledger does not answer, when a
    push is under way, and when the repository is quarantined.
    """
    try:
        catch_up(hosted, repo)
    except (FleetError, error.LockHeld) as problem:
        hosted.node.ui.log(
            b'replicate', b'%s: %s\n', local(hosted.name), local(str(problem))
        )


def follow(
    hosted: Hosted,
    applied: Applied,
    batch: Sequence[Record],
    repo: Any = None,
) -> Applied:
    """Apply the valid entries among ``batch``; errors as for catch_up.

    ``batch`` must hold every record of the repository from the applied
    position on, up to some offset.
    """
    for record in batch:
        if record.offset < applied.state.position:
            continue
        judged = fold(applied.state, record)
        if judged.verdict is Verdict.HALTED:
            raise _halted(hosted, judged)
        if judged.verdict is Verdict.VALID:
            applied = perform(hosted, judged, applied, repo)
            if judged.entry is None or judged.entry.kind in _RENEWING:
                repo = None
        else:
            applied = replace(applied, state=judged.state)
    return applied


def _halted(hosted: Hosted, judged: Judged) -> Quarantined:
    state = judged.state
    return Quarantined(
        f'{hosted.name}: the entry after {state.seq} (offset '
        f'{state.halted_at} of {hosted.stream}) cannot be read: '
        f'{state.halted}',
        'run "hgfleet status"; nothing after that entry is applied',
    )
