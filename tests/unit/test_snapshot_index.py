"""The list of snapshots: what is kept, what is used, and its bytes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgext3rd.fleet.core import names, snapshot
from hgext3rd.fleet.core.applied import Applied, Step, view
from hgext3rd.fleet.core.errors import EntryUnreadable, NameRefused
from hgext3rd.fleet.core.ledger import RepoState
from hgext3rd.fleet.core.snapshot import Index, Snapshot, added, usable

steps = st.builds(
    Step,
    offset=st.integers(1, 99),
    seq=st.integers(1, 99),
    push_id=st.integers(0, 99),
    revisions=st.integers(0, 99),
    markers=st.integers(0, 99),
    bookmarks=st.dictionaries(st.text(), st.none() | st.just('f' * 40)),
)
states = st.builds(
    RepoState,
    seq=st.integers(1, 20),
    exists=st.booleans(),
    push_id=st.integers(0, 99),
    time=st.integers(0, 99),
    digest=st.sampled_from(['', 'a' * 64]),
    position=st.integers(100, 200),
    fenced=st.frozensets(st.sampled_from(['n1', 'n2'])),
)
made = st.builds(
    Snapshot,
    applied=st.builds(
        Applied,
        states,
        st.lists(steps, unique_by=lambda one: one.offset).map(
            lambda some: tuple(sorted(some, key=lambda one: one.offset))
        ),
    ),
    floor=st.integers(1, 100),
    time=st.integers(0, 99),
    node=st.just('n1'),
    blob=st.none() | st.text('0123456789abcdef', min_size=64, max_size=64),
    size=st.integers(0, 99),
)
indexes = st.lists(made, max_size=6).map(
    lambda some: Index('a/b', tuple(some), ())
)


def plain(seq: int, position: int = 0, size: int = 0) -> Snapshot:
    state = RepoState(seq=seq, exists=True, position=position or 10 * seq)
    return Snapshot(Applied(state), 0, 0, 'n1', f'{seq:064}', size)


@given(indexes)
def test_what_is_encoded_comes_back(index: Index) -> None:
    key = snapshot.key(index.repo)
    assert snapshot.decode(key, snapshot.encode(index)) == index


@given(st.binary() | st.sampled_from([b'{}', b'[]', b'[' * 100_000, b'1']))
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(EntryUnreadable, match='cannot be read'):
        snapshot.decode(snapshot.key('a'), data)


def test_the_list_of_another_repository_is_refused() -> None:
    with pytest.raises(EntryUnreadable, match='cannot be read'):
        snapshot.decode(snapshot.key('b'), snapshot.encode(Index('a')))


def test_no_repository_has_the_name_of_a_list() -> None:
    with pytest.raises(NameRefused):
        names.repository(snapshot.key('a'))
    assert snapshot.owner(snapshot.key('a/b')) == 'a/b'
    assert snapshot.owner('a/b') == 'a/b'


@given(st.lists(made, min_size=1, max_size=8))
def test_the_newest_are_kept_and_every_other_is_dropped_once(
    some: list[Snapshot],
) -> None:
    index, dropped = Index('a'), set()
    for number, one in enumerate(some):
        one = replace(one, blob=one.blob and f'{number:064}')
        index = added(index, one)
        assert index.snapshots[0] == one
        assert not dropped & set(index.dropped)
        dropped |= set(index.dropped)
        kept = {each.blob for each in index.snapshots}
        assert not dropped & kept
    assert len(index.snapshots) <= snapshot.KEEP
    seqs = [one.seq for one in index.snapshots]
    assert len(set(seqs)) == len(seqs)
    blobs = {f'{n:064}' for n, one in enumerate(some) if one.blob}
    assert blobs == dropped | {one.blob for one in index.snapshots} - {None}


def test_one_that_is_listed_again_keeps_its_blob() -> None:
    index = added(added(Index('a'), plain(1)), plain(2))
    later = replace(plain(2).state, position=99)
    index = added(index, snapshot.reaching(plain(2), later))
    assert [one.seq for one in index.snapshots] == [2, 1]
    assert (index.snapshots[0].state.position, index.dropped) == (99, ())


def test_reaching_needs_the_same_entry_and_never_goes_back() -> None:
    one = plain(2, 20)
    assert snapshot.reaching(one, replace(one.state, seq=3)) == one
    assert snapshot.reaching(one, replace(one.state, position=19)) == one


def test_the_best_that_can_be_used_comes_first() -> None:
    index = Index('a', (plain(3), plain(7), plain(5)))
    state = RepoState(seq=4)
    assert [one.seq for one in usable(index, state)] == [7, 5]
    assert [one.seq for one in usable(index, state, 60)] == [7]
    assert usable(index, RepoState(seq=8)) == []


@pytest.mark.parametrize(
    ('one', 'worth'),
    [
        (plain(snapshot.AHEAD), True),
        (plain(snapshot.AHEAD - 1), False),
        (plain(1, size=snapshot.LARGE), True),
        (plain(1, size=snapshot.LARGE - 1), False),
    ],
)
def test_what_is_far_ahead_or_large_is_worth_it(
    one: Snapshot, worth: bool
) -> None:
    assert snapshot.worthwhile(one, RepoState()) is worth


def test_what_a_node_has_is_not_worth_it() -> None:
    one = plain(3, size=snapshot.LARGE)
    assert not snapshot.worthwhile(one, one.state)


@given(
    st.lists(steps, unique_by=lambda one: one.offset),
    states,
    st.integers(0, 210),
)
def test_a_view_is_that_of_the_copy_or_nothing(
    some: list[Step], state: RepoState, position: int
) -> None:
    tail = tuple(sorted(some, key=lambda one: one.offset))
    applied = Applied(replace(state, exists=True), tail)
    taken = snapshot.made(applied, 0, 'n1')
    later = replace(applied.state, position=state.position + 50)
    taken = snapshot.reaching(taken, later)
    resumed = snapshot.resumed(taken, shows=True)
    seen = view(resumed, position)
    if position >= taken.floor:
        assert seen == view(applied, position)
    else:
        assert not seen.exists
    assert snapshot.resumed(taken, shows=False) == Applied(later)
    # With the barrier beyond it, nothing is left of it.
    assert resumed.after(later, None, taken.floor).tail == tuple(
        one for one in tail if one.offset >= taken.floor
    )


def test_in_a_copy_of_the_ledger_only_what_it_has_is_used() -> None:
    there = {seq: RepoState(seq=seq, position=seq + 1) for seq in (1, 2, 3)}
    indexes = [
        Index('a', (plain(2), plain(1))),
        Index('a', (plain(3), plain(2))),
        Index('a', (plain(9), plain(3))),
    ]
    found = snapshot.settled(indexes, there)
    assert [one.seq for one in found] == [3, 2]
    assert [one.state for one in found] == [there[3], there[2]]
    assert [one.floor for one in found] == [4, 3]
    other = {3: replace(there[3], digest='b' * 64)}
    assert snapshot.settled(indexes, other) == ()


def test_the_format_does_not_change_unnoticed() -> None:
    assert snapshot.encode(Index('a', (plain(1),), ('b',))) == (
        b'{"dropped":["b"],"repo":"a","snapshots":[{"applied":"{\\"version\\"'
        b':1,\\"seq\\":1,\\"exists\\":true,\\"push_id\\":0,\\"time\\":0,'
        b'\\"digest\\":\\"\\",\\"position\\":10,\\"fenced\\":[],'
        b'\\"tail\\":[]}\\n","blob":"%s","floor":0,"node":"n1","size":0,'
        b'"time":0}],"version":1}' % plain(1).blob.encode()
    )
