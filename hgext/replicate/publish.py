"""Publishing: getting an entry into the ledger, and knowing that it counts.

This is the commit point of the whole fleet.  Before the append nothing has
happened; after a valid one the change will reach every node, this one too,
even if this process dies at once.
"""

from __future__ import annotations

from ..fleet import failpoint
from ..fleet.core import entry as entries
from ..fleet.core.entry import Entry, Record
from ..fleet.core.errors import (
    EntryUnreadable,
    Fenced,
    LedgerError,
    LedgerFull,
    LedgerUnavailable,
    OutcomeUnknown,
    Superseded,
)
from ..fleet.core.ledger import Judged, RepoState, Verdict, fold, reached
from .node import Hosted


def publish(hosted: Hosted, state: RepoState, entry: Entry) -> Judged:
    """Append ``entry``, which builds on ``state``; return its judgement.

    Raises LedgerUnavailable or LedgerFull when nothing was written,
    Superseded or Fenced when the entry was written but does not count,
    OutcomeUnknown when neither is known.
    """
    what = f'{hosted.name}, entry {entry.seq}'
    value = entries.encode(entry)
    failpoint.hit('publish.before')
    try:
        offset = hosted.node.ledger.append(hosted.stream, entry.key, value)
    except OutcomeUnknown as problem:
        raise _unknown(what, problem) from None
    except (LedgerUnavailable, LedgerFull) as problem:
        raise type(problem)(f'{what}: {problem}', problem.hint) from None
    failpoint.hit('publish.appended')
    try:
        judged = judge(hosted, state, Record(offset, entry.key, value))
    except LedgerUnavailable as problem:
        raise _unknown(what, problem) from None
    if judged.verdict is Verdict.HALTED:
        raise EntryUnreadable(
            f'{what}: an earlier entry cannot be read: {judged.state.halted}',
            'run "hgfleet status" to see what the repository needs',
        )
    if judged.verdict is Verdict.FENCED:
        raise fenced(hosted)
    if judged.verdict is not Verdict.VALID:
        raise Superseded(
            f'another push to {hosted.name} came first'
            if judged.verdict is Verdict.SUPERSEDED
            else f'{what} does not count: {judged.verdict.value}',
            'pull and push again',
        )
    failpoint.hit('publish.valid')
    return judged


def fenced(hosted: Hosted) -> Fenced:
    """Return the error for a change that this node may not make."""
    name = hosted.node.settings.node
    return Fenced(
        f'{hosted.name} cannot be changed on {name}, which is fenced',
        f'use another primary; "hgfleet unfence {name}" lifts the fence',
    )


def judge(hosted: Hosted, state: RepoState, own: Record) -> Judged:
    """Return what the log up to our own record says of that.

    Where everything before it has been read, it need not be read back.
    """
    while own.offset != state.position:
        batch = hosted.node.ledger.read(
            hosted.stream, state.position, hosted.keys
        )
        for record in batch:
            judged = fold(state, record)
            if record.offset == own.offset or judged.verdict is Verdict.HALTED:
                return judged
            state = judged.state
        if not batch:
            raise LedgerUnavailable(
                f'the ledger does not show record {own.offset} of '
                f'{hosted.stream} that it has just accepted'
            )
        state = reached(state, batch.upto)
    return fold(state, own)


def _unknown(what: str, problem: LedgerError) -> OutcomeUnknown:
    return OutcomeUnknown(
        f'{what}: the ledger did not confirm it: {problem}',
        'the push may still arrive; pull before trying again',
    )
