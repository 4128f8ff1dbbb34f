"""Validity: which entries count, and what a repository's history is.

An entry is *valid* if and only if, reading its partition in order, its
``prev`` is the repository's last valid sequence number (and ``seq`` the
next), its kind fits (table :data:`KINDS`), and its node is not fenced.
That is a pure function of the log, so every node that reads the same log
comes to the same answer, at any time.

Entries that are not valid lost a race and are passed over.  A record that
cannot be read is different: it may be an acknowledged entry of a newer
version, or one that was damaged later.  Passing over it could lose a push,
so the repository is *halted* there on every node that cannot read it, and
nothing is decided about its later entries.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from .entry import FENCE_KEY, Entry, Kind, Record, decode
from .errors import EntryUnreadable


@dataclass(frozen=True)
class Rule:
    """When a kind fits, and whether the repository exists afterwards."""

    needs: bool
    leaves: bool


# kind -> must the repository exist before, does it exist after
KINDS: dict[Kind, Rule] = {
    Kind.CREATE: Rule(needs=False, leaves=True),
    Kind.PUSH: Rule(needs=True, leaves=True),
    Kind.CONFIG: Rule(needs=True, leaves=True),
    Kind.DELETE: Rule(needs=True, leaves=False),
    Kind.SNAPSHOT: Rule(needs=True, leaves=True),
    Kind.RESYNC: Rule(needs=True, leaves=True),
}


class Verdict(enum.Enum):
    """What the fold says of one record."""

    VALID = 'valid'
    SUPERSEDED = 'another entry came first'
    FENCED = 'its node is fenced'
    UNFIT = 'its kind does not fit the state of the repository'
    HALTED = 'the repository is halted'
    FENCE = 'it fences or unfences a node'


@dataclass(frozen=True)
class RepoState:
    """What a prefix of the log says about one repository.

    ``position`` is an offset below which all records are folded in,
    ``halted`` why folding stopped, with the offset in ``halted_at``.
    """

    seq: int = 0
    exists: bool = False
    push_id: int = 0
    time: int = 0
    digest: str = ''
    position: int = 0
    fenced: frozenset[str] = frozenset()
    halted: str = ''
    halted_at: int = -1


@dataclass(frozen=True)
class Judged:
    """One record after folding: what it is, and the state after it."""

    record: Record
    verdict: Verdict
    state: RepoState
    entry: Entry | None = None


def fold(state: RepoState, record: Record) -> Judged:
    """Return the verdict on ``record`` and the state after it.

    ``record`` must be of the repository (or a fence), at or after
    ``state.position``.
    """
    if record.offset < state.position:
        raise ValueError(f'record {record.offset} is already folded in')
    if state.halted:
        return Judged(record, Verdict.HALTED, state)
    try:
        entry = decode(record.key, record.value)
    except EntryUnreadable as problem:
        return _halt(state, record, problem)
    if entry.kind is Kind.FENCE:
        return Judged(record, Verdict.FENCE, _fence(state, record, entry))
    verdict = _verdict(state, entry)
    after = replace(state, position=record.offset + 1)
    if verdict is Verdict.VALID:
        after = replace(
            after,
            seq=entry.seq,
            exists=KINDS[entry.kind].leaves,
            push_id=entry.push_id,
            time=entry.time,
            digest=entry.digest,
        )
    return Judged(record, verdict, after, entry)


def reached(state: RepoState, position: int) -> RepoState:
    """Return the state when no more records are below ``position``."""
    return replace(state, position=max(state.position, position))


def _verdict(state: RepoState, entry: Entry) -> Verdict:
    if entry.node in state.fenced:
        return Verdict.FENCED
    if entry.prev != state.seq or entry.seq != state.seq + 1:
        return Verdict.SUPERSEDED
    if KINDS[entry.kind].needs is not state.exists:
        return Verdict.UNFIT
    return Verdict.VALID


def _halt(state: RepoState, record: Record, problem: EntryUnreadable) -> Judged:
    if record.key == FENCE_KEY:
        # Whom it fences is unknown, so nothing after it can be judged.
        reason = f'a fence cannot be read: {problem}'
    else:
        reason = str(problem)
    halted = replace(state, halted=reason, halted_at=record.offset)
    return Judged(record, Verdict.HALTED, halted)


def _fence(state: RepoState, record: Record, entry: Entry) -> RepoState:
    name = entry.text or ''
    if entry.source == 'unfence':
        fenced = state.fenced - {name}
    else:
        fenced = state.fenced | {name}
    return replace(state, fenced=fenced, position=record.offset + 1)
