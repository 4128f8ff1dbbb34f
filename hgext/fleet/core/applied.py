"""What one node has applied to one repository, and how to look back.

Each hosted repository has a small JSON file, written inside the same
Mercurial transaction as the change itself (``.hg/store/fleet-applied``): the
fold's state after the last applied entry, and a *tail* with one
:class:`Step` for each applied entry that the barrier had not passed when
the last one was written.

A step says how things were before its entry.  Changesets are only ever
added at the end, so "before" is a length; obsolescence markers likewise, as
the length of their file; bookmarks and the phases of older changesets are
listed where the entry changed them.  Undoing steps from the end gives the
repository as it was at any position of the tail, see :func:`view`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from . import sums as summing
from .errors import EntryUnreadable
from .ledger import RepoState
from .sums import Sum

FILE = 'fleet-applied'
VERSION = 1


@dataclass(frozen=True)
class Step:
    """How the repository was before the entry at ``offset``.

    ``exists`` tells whether there was one; ``revisions`` is the number of
    changesets, ``markers`` the size in bytes of the obsolescence store,
    ``bookmarks`` the earlier node (hex) or None of each bookmark that
    changed, ``phases`` the ranges (first, last + 1, earlier phase) of older
    changesets that changed phase.
    """

    offset: int
    seq: int
    push_id: int
    revisions: int
    markers: int
    bookmarks: Mapping[str, str | None] = field(default_factory=dict)
    phases: tuple[tuple[int, int, int], ...] = ()
    exists: bool = True


@dataclass(frozen=True)
class Applied:
    """The content of the file.

    ``sums`` are of the repository's files that no hash vouches for; empty
    in what an earlier version has written.
    """

    state: RepoState
    tail: tuple[Step, ...] = ()
    sums: Mapping[str, Sum] = field(default_factory=dict)

    def after(
        self, state: RepoState, step: Step | None, barrier: int
    ) -> Applied:
        """Return the content after one more entry.

        ``step`` is None on nodes that show nothing.  Steps that ``barrier``
        has passed are forgotten.
        """
        tail = [one for one in self.tail if one.offset >= barrier]
        if step is not None and step.offset >= barrier:
            tail.append(step)
        return Applied(state, tuple(tail), self.sums)


@dataclass(frozen=True)
class View:
    """The repository as it was at a position.

    None means "as it is now": nothing is to be undone.
    """

    seq: int
    push_id: int
    exists: bool = True
    revisions: int | None = None
    markers: int | None = None
    bookmarks: Mapping[str, str | None] = field(default_factory=dict)
    phases: tuple[tuple[int, int, int], ...] = ()


def view(applied: Applied, position: int) -> View:
    """Return how to see the repository with nothing from ``position`` on.

    Where two steps changed the same thing, the older one is right; the
    ranges in ``phases`` are therefore to be applied in their order.
    """
    now = View(applied.state.seq, applied.state.push_id, applied.state.exists)
    for step in reversed(applied.tail):
        if step.offset < position:
            break
        now = replace(
            now,
            seq=step.seq,
            push_id=step.push_id,
            exists=step.exists,
            revisions=step.revisions,
            markers=step.markers,
            bookmarks={**now.bookmarks, **step.bookmarks},
            phases=now.phases + step.phases,
        )
    return now


def encode(applied: Applied) -> bytes:
    """Return the bytes of the file."""
    state = applied.state
    body: dict[str, Any] = {
        'version': VERSION,
        'seq': state.seq,
        'exists': state.exists,
        'push_id': state.push_id,
        'time': state.time,
        'digest': state.digest,
        'position': state.position,
        'fenced': sorted(state.fenced),
        'tail': [_step_out(step) for step in applied.tail],
    }
    if applied.sums:
        body['sums'] = summing.encode(applied.sums)
    return json.dumps(body, separators=(',', ':')).encode() + b'\n'


def decode(data: bytes) -> Applied:
    """Return the content; EntryUnreadable when it is not that of the file."""
    try:
        body = json.loads(data)
        if body['version'] != VERSION:
            raise EntryUnreadable(
                f'the record of what was applied has format '
                f'{body["version"]!r}; this version reads {VERSION}',
                'upgrade hgfleet on this node',
            )
        return Applied(
            RepoState(
                seq=body['seq'],
                exists=body['exists'],
                push_id=body['push_id'],
                time=body['time'],
                digest=body['digest'],
                position=body['position'],
                fenced=frozenset(body['fenced']),
            ),
            tuple(_step_in(step) for step in body['tail']),
            summing.decode(body.get('sums', {})),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as problem:
        raise EntryUnreadable(
            f'the record of what was applied cannot be read: {problem}',
            'rebuild the repository from the ledger',
        ) from None


def _step_out(step: Step) -> dict[str, Any]:
    return {
        'offset': step.offset,
        'seq': step.seq,
        'push_id': step.push_id,
        'revisions': step.revisions,
        'markers': step.markers,
        'bookmarks': dict(step.bookmarks),
        'phases': [list(one) for one in step.phases],
        'exists': step.exists,
    }


def _step_in(body: Mapping[str, Any]) -> Step:
    return Step(
        offset=body['offset'],
        seq=body['seq'],
        push_id=body['push_id'],
        revisions=body['revisions'],
        markers=body['markers'],
        bookmarks=dict(body['bookmarks']),
        phases=tuple((a, b, c) for a, b, c in body['phases']),
        exists=body['exists'],
    )
