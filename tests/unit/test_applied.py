"""Looking back: any view of the tail is what the repository was then."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hgext3rd.fleet.core.applied import (
    Applied,
    Step,
    View,
    decode,
    encode,
    view,
)
from hgext3rd.fleet.core.errors import EntryUnreadable
from hgext3rd.fleet.core.ledger import RepoState

NAMES = ('@', 'stable', 'b\udce4r')
PUBLIC, DRAFT, SECRET = 0, 1, 2

texts = st.binary(max_size=6).map(
    lambda data: data.decode('utf-8', 'surrogateescape')
)
counts = st.integers(0, 2**40)
states = st.builds(
    RepoState,
    seq=counts,
    exists=st.booleans(),
    push_id=counts,
    time=counts,
    digest=texts,
    position=counts,
    fenced=st.frozensets(texts, max_size=3),
)
steps = st.builds(
    Step,
    offset=counts,
    seq=counts,
    push_id=counts,
    revisions=counts,
    markers=counts,
    bookmarks=st.dictionaries(texts, st.none() | texts, max_size=3),
    phases=st.lists(st.tuples(counts, counts, counts), max_size=3).map(tuple),
    exists=st.booleans(),
)


# a model of a repository, and of what happens to it


@dataclass(frozen=True)
class Model:
    """All that a view is about; ``phases`` has one number per changeset."""

    state: RepoState = field(default_factory=RepoState)
    phases: tuple[int, ...] = ()
    bookmarks: tuple[tuple[str, str], ...] = ()
    markers: int = 0


@dataclass(frozen=True)
class Change:
    """One entry: what it adds, and what it changes of what was there."""

    gap: int
    added: tuple[int, ...]
    phases: tuple[tuple[int, int], ...]
    bookmarks: dict[str, str | None]
    markers: int
    passed: int


changes = st.builds(
    Change,
    gap=st.integers(0, 2),
    added=st.lists(st.sampled_from([PUBLIC, DRAFT, SECRET]), max_size=3).map(
        tuple
    ),
    phases=st.lists(
        st.tuples(st.integers(0, 8), st.sampled_from([PUBLIC, DRAFT, SECRET])),
        max_size=4,
        unique_by=lambda one: one[0],
    ).map(tuple),
    bookmarks=st.dictionaries(
        st.sampled_from(NAMES), st.none() | st.sampled_from('abc'), max_size=2
    ),
    markers=st.integers(0, 2),
    passed=st.integers(0, 12),
)


def after(before: Model, change: Change) -> Model:
    phases = list(before.phases)
    for rev, phase in change.phases:
        if rev < len(phases):
            phases[rev] = phase
    marks = dict(before.bookmarks)
    for name, node in change.bookmarks.items():
        marks.pop(name, None)
        if node is not None:
            marks[name] = node
    state = replace(
        before.state,
        seq=before.state.seq + 1,
        push_id=before.state.push_id + bool(change.added),
        exists=True,
        position=before.state.position + change.gap + 1,
    )
    return Model(
        state,
        (*phases, *change.added),
        tuple(sorted(marks.items())),
        before.markers + change.markers,
    )


def step(before: Model, now: Model) -> Step:
    """What a node notes while it applies an entry."""
    old, new = dict(before.bookmarks), dict(now.bookmarks)
    return Step(
        offset=now.state.position - 1,
        seq=before.state.seq,
        push_id=before.state.push_id,
        revisions=len(before.phases),
        markers=before.markers,
        bookmarks={
            name: old.get(name)
            for name in {*old, *new}
            if old.get(name) != new.get(name)
        },
        phases=ranges(before, now),
        exists=before.state.exists,
    )


def ranges(before: Model, now: Model) -> tuple[tuple[int, int, int], ...]:
    """The changed phases of older changesets, neighbours together."""
    found: list[tuple[int, int, int]] = []
    for rev, old in enumerate(before.phases):
        if now.phases[rev] == old:
            continue
        if found and found[-1][1:] == (rev, old):
            found[-1] = (found[-1][0], rev + 1, old)
        else:
            found.append((rev, rev + 1, old))
    return tuple(found)


def seen(now: Model, look: View) -> Model:
    """What a reader makes of a repository and a view."""
    length = len(now.phases) if look.revisions is None else look.revisions
    phases = list(now.phases[:length])
    for first, end, phase in look.phases:
        for rev in range(first, min(end, length)):
            phases[rev] = phase
    marks = dict(now.bookmarks)
    for name, node in look.bookmarks.items():
        marks.pop(name, None)
        if node is not None:
            marks[name] = node
    markers = now.markers if look.markers is None else look.markers
    state = replace(
        now.state, seq=look.seq, push_id=look.push_id, exists=look.exists
    )
    return Model(state, tuple(phases), tuple(sorted(marks.items())), markers)


def same(one: Model, other: Model) -> bool:
    """Whether a reader could tell them apart: positions nobody sees."""
    there = replace(one.state, position=0)
    return replace(one, state=there) == replace(
        other, state=replace(other.state, position=0)
    )


@given(st.lists(changes, min_size=1, max_size=8))
def test_any_view_is_what_the_repository_was(history: list[Change]) -> None:
    models = [Model()]
    applied = Applied(RepoState())
    barrier = 0
    for change in history:
        # Any barrier, so long as it does not go back or beyond the end.
        barrier = max(barrier, min(change.passed, models[-1].state.position))
        before, now = models[-1], after(models[-1], change)
        applied = applied.after(now.state, step(before, now), barrier)
        applied = decode(encode(applied))
        models.append(now)
        for position in range(barrier, now.state.position + 2):
            then = [one for one in models if one.state.position <= position][-1]
            assert same(seen(now, view(applied, position)), then)
        assert all(one.offset >= barrier for one in applied.tail)


def test_a_view_of_now_undoes_nothing() -> None:
    state = RepoState(seq=5, push_id=3, exists=True, position=9)
    tail = (Step(8, 4, 2, 7, 100),)
    assert view(Applied(state, tail), 9) == View(5, 3)
    assert view(Applied(state, tail), 8) == View(4, 2, True, 7, 100)
    assert view(Applied(state), 0) == View(5, 3)
    assert not view(Applied(RepoState()), 0).exists


def test_of_two_changes_of_one_thing_the_older_is_right() -> None:
    first = Step(0, 1, 1, 3, 0, {'@': 'a', 'x': None}, ((0, 2, SECRET),))
    second = Step(1, 2, 2, 4, 0, {'@': 'b', 'y': 'c'}, ((1, 3, DRAFT),))
    both = view(Applied(RepoState(), (first, second)), 0)
    assert both.bookmarks == {'@': 'a', 'x': None, 'y': 'c'}
    assert both.phases == ((1, 3, DRAFT), (0, 2, SECRET))
    assert both.revisions == 3


def test_a_repository_that_was_made_anew_did_not_exist_before() -> None:
    made = Step(5, 3, 0, 0, 0, exists=False)
    pushed = Step(6, 4, 0, 0, 0)
    applied = Applied(RepoState(seq=5, exists=True), (made, pushed))
    assert not view(applied, 5).exists
    assert view(applied, 6).exists


def test_what_the_barrier_has_passed_is_forgotten() -> None:
    tail = tuple(Step(offset, 0, 0, 0, 0) for offset in (2, 4, 6))
    applied = Applied(RepoState(), tail)
    last = Step(8, 0, 0, 0, 0)
    for barrier, kept in ((0, 4), (2, 4), (3, 3), (4, 3), (8, 1), (9, 0)):
        found = applied.after(RepoState(seq=9), last, barrier)
        assert found.state.seq == 9
        assert len(found.tail) == kept
    assert applied.after(RepoState(), None, 0).tail == tail


@given(states, st.lists(steps, max_size=3).map(tuple))
def test_what_is_encoded_comes_back(
    state: RepoState, tail: tuple[Step, ...]
) -> None:
    applied = Applied(state, tail)
    data = encode(applied)
    assert data.endswith(b'\n')
    assert decode(data) == applied


def test_a_halt_is_not_kept() -> None:
    """A node that is upgraded then goes on by itself."""
    halted = RepoState(seq=3, halted='damaged', halted_at=7)
    assert decode(encode(Applied(halted))).state == RepoState(seq=3)


def test_the_format_does_not_change_unnoticed() -> None:
    state = RepoState(2, True, 1, 7, 'd', 5, frozenset('p'))
    applied = Applied(state, (Step(4, 1, 0, 0, 3, {'@': None}, ((0, 1, 2),)),))
    assert encode(applied) == (
        b'{"version":1,"seq":2,"exists":true,"push_id":1,"time":7,'
        b'"digest":"d","position":5,"fenced":["p"],"tail":[{"offset":4,'
        b'"seq":1,"push_id":0,"revisions":0,"markers":3,'
        b'"bookmarks":{"@":null},"phases":[[0,1,2]],"exists":true}]}\n'
    )


@given(st.binary(max_size=30))
@example(b'')
@example(b'\0' * 100)
@example(b'[' * 200_000)
@example(b'5')
@example(b'{"version":1}')
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(EntryUnreadable, match='cannot be read') as caught:
        decode(data)
    assert 'rebuild' in caught.value.hint


def test_a_newer_format_says_to_upgrade() -> None:
    body = json.loads(encode(Applied(RepoState())))
    with pytest.raises(EntryUnreadable, match='has format 2') as caught:
        decode(json.dumps({**body, 'version': 2}).encode())
    assert 'upgrade' in caught.value.hint


@pytest.mark.parametrize(
    'fields',
    [
        {'tail': 5},
        {'tail': [5]},
        {'tail': [{}]},
        {'fenced': 5},
        {'tail': [{'phases': [[1, 2]]}]},
    ],
    ids=str,
)
def test_what_is_no_such_record_is_refused(fields: dict[str, Any]) -> None:
    body = json.loads(encode(Applied(RepoState())))
    with pytest.raises(EntryUnreadable):
        decode(json.dumps({**body, **fields}).encode())
