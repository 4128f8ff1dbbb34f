"""The barrier's rules, one by one; test_membership.py has them at work."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hgext3rd.fleet.core import barrier
from hgext3rd.fleet.core.barrier import (
    GRACE,
    MIRROR,
    PRIMARY,
    Eviction,
    Lease,
    Members,
    Watch,
    decode,
    encode,
    fold,
    renewed,
)
from hgext3rd.fleet.core.errors import EntryUnreadable

texts = st.binary(max_size=8).map(
    lambda data: data.decode('utf-8', 'surrogateescape')
)
positions = st.dictionaries(st.integers(0, 9), st.integers(0, 2**60))
ttls = st.floats(0, exclude_min=True, allow_infinity=False)
leases = st.builds(
    Lease,
    node=texts,
    role=st.sampled_from([MIRROR, PRIMARY]),
    beat=st.integers(0, 2**60),
    ttl=ttls,
    applied=positions,
    shown=positions,
    joining=st.booleans(),
    url=texts,
    ssh=texts,
    quarantined=st.lists(texts, max_size=3).map(tuple),
)
evictions = st.builds(Eviction, node=texts, beat=st.integers(), by=texts)


def lease(node: str = 'm', beat: int = 1, **more: Any) -> Lease:
    """A mirror's lease; ``at`` is what it has applied of partition 0."""
    at = more.pop('at', 0)
    fields = {'role': MIRROR, 'ttl': 10.0, 'applied': {0: at}, **more}
    return Lease(node=node, beat=beat, **fields)


def members(*said: Lease | Eviction) -> Members:
    return fold(Members(), said)


# members


def live(*said: Lease | Eviction) -> list[str]:
    return [one.node for one in members(*said).live()]


def test_a_mirror_with_a_lease_is_live() -> None:
    assert live(lease('b'), lease('a')) == ['a', 'b']


def test_who_joins_is_not_waited_for() -> None:
    assert live(lease(joining=True)) == []
    assert live(lease(joining=True), lease(beat=2)) == ['m']


def test_primaries_are_not_waited_for() -> None:
    assert live(lease(role=PRIMARY)) == []


@pytest.mark.parametrize(
    ('beat', 'expected'), [(4, ['m']), (5, []), (6, [])], ids=str
)
def test_an_eviction_ends_the_lease_that_it_names(
    beat: int, expected: list[str]
) -> None:
    end = Eviction('m', beat, 'x')
    assert live(lease(beat=5), end) == expected
    assert live(end, lease(beat=5)) == expected


def test_who_renews_after_an_eviction_is_live_again() -> None:
    found = members(lease(beat=5), Eviction('m', 5, 'x'))
    again = renewed(lease(beat=0), found)
    assert again.beat == 6
    assert live(lease(beat=5), Eviction('m', 5, 'x'), again) == ['m']


def test_an_eviction_without_a_lease_is_harmless() -> None:
    found = members(Eviction('m', 5, 'x'))
    assert not found.evicted('m')
    assert renewed(lease(beat=0), found).beat == 6


@given(leases, st.lists(leases | evictions, max_size=5))
def test_a_renewal_is_newer_than_anything(
    mine: Lease, said: list[Lease | Eviction]
) -> None:
    said = [replace(one, node=mine.node) for one in said]
    found = members(*said)
    again = renewed(mine, found)
    assert again.beat > mine.beat
    if mine.node in found.leases:
        assert again.beat > found.leases[mine.node].beat
    assert not fold(found, [again]).evicted(mine.node)
    assert replace(again, beat=mine.beat) == mine


@given(st.lists(leases | evictions, max_size=8))
def test_compaction_loses_nothing(said: list[Lease | Eviction]) -> None:
    last = {one.key: one for one in said}
    whole, compacted = members(*said), members(*last.values())
    assert whole.leases == compacted.leases
    assert whole.evictions == compacted.evictions


# positions


def test_the_barrier_is_what_every_live_mirror_has() -> None:
    found = members(
        lease('a', at=5),
        lease('b', at=3),
        lease('c', at=1, joining=True),
        lease('d', at=1, role=PRIMARY),
        lease('e', at=1),
        Eviction('e', 1, 'a'),
    )
    assert barrier.barrier(found, 0, 0, applied=9) == 3
    assert barrier.barrier(found, 1, 0, applied=9) == 0


def test_the_barrier_never_goes_back() -> None:
    found = members(lease('a', at=5), lease('b', at=3))
    assert barrier.barrier(found, 0, 4, applied=9) == 4
    assert barrier.barrier(Members(), 0, 4, applied=9) == 4
    shows = members(lease('a', at=5, shown={0: 5}), lease('b', at=3))
    assert barrier.barrier(shows, 0, 0, applied=9) == 5


@given(
    st.lists(leases | evictions, max_size=6),
    st.integers(0, 99),
    st.integers(0, 99),
)
def test_no_node_shows_what_it_has_not(
    said: list[Lease | Eviction], reached: int, applied: int
) -> None:
    found = members(*said)
    at = barrier.barrier(found, 0, reached, applied)
    assert reached <= at <= max(reached, applied)


@given(st.lists(leases | evictions, max_size=6), st.integers(0, 99))
def test_no_barrier_is_above_what_is_demanded(
    said: list[Lease | Eviction], applied: int
) -> None:
    found = members(
        *(
            replace(one, role=MIRROR) if isinstance(one, Lease) else one
            for one in said
        )
    )
    assert barrier.barrier(found, 0, 0, applied) <= barrier.demanded(found, 0)


def test_what_is_demanded_counts_whoever_may_have_shown_it() -> None:
    for at in (
        lease('a', at=7, joining=True),
        lease('a', at=2, shown={0: 7}),
        lease('a', at=7),
    ):
        found = members(at, Eviction('a', 1, 'x'), lease('b', at=3))
        assert barrier.demanded(found, 0) == 7
    assert barrier.demanded(members(lease(at=7, role=PRIMARY)), 0) == 0


# evicting


def test_a_silent_mirror_is_overdue_after_its_time_and_some_grace() -> None:
    watch = Watch()
    found = members(lease('a', beat=3), lease('b'))
    for one in found.leases.values():
        watch.note(one, 100.0)
    end = 100.0 + 10.0 * GRACE
    assert watch.overdue(found, 'x', end) == []
    due = watch.overdue(found, 'x', end + 0.01)
    assert due == [Eviction('a', 3, 'x'), Eviction('b', 1, 'x')]
    assert watch.overdue(found, 'a', end + 0.01) == [Eviction('b', 1, 'a')]


def test_reading_a_beat_again_does_not_prolong_it() -> None:
    watch = Watch()
    found = members(lease())
    watch.note(lease(), 0.0)
    watch.note(lease(), 9.0)
    assert watch.overdue(found, 'x', 13.0) == [Eviction('m', 1, 'x')]
    watch.note(lease(beat=2), 13.0)
    assert watch.overdue(members(lease(beat=2)), 'x', 13.0) == []


def test_only_who_is_waited_for_is_evicted() -> None:
    watch = Watch()
    said = [
        lease('a', joining=True),
        lease('b', role=PRIMARY),
        lease('c'),
        lease('d'),
    ]
    for one in said:
        watch.note(one, 0.0)
    found = members(*said, Eviction('c', 1, 'x'))
    assert watch.overdue(found, 'x', 99.0) == [Eviction('d', 1, 'x')]


def test_what_was_not_noted_has_just_begun() -> None:
    assert Watch().overdue(members(lease()), 'x', 1e9) == []


# bytes


@given(leases | evictions)
def test_what_is_encoded_comes_back(record: Lease | Eviction) -> None:
    assert decode(record.key, encode(record)) == record


def test_the_format_does_not_change_unnoticed() -> None:
    record = Lease('m', MIRROR, 3, 5.0, {1: 7}, {0: 2}, True, 'u', 's', ('r',))
    assert record.key == 'lease/m'
    assert encode(record) == (
        b'{"applied":{"1":7},"beat":3,"joining":true,"quarantined":["r"],'
        b'"role":"mirror","shown":{"0":2},"ssh":"s","ttl":5.0,"url":"u"}'
    )
    assert Eviction('m', 3, 'x').key == 'evict/m'
    assert encode(Eviction('m', 3, 'x')) == b'{"beat":3,"by":"x"}'


@given(st.binary(max_size=30))
@example(b'')
@example(b'[' * 200_000)
@example(b'{"beat": Infinity, "by": "x"}')
def test_arbitrary_bytes_are_refused(value: bytes) -> None:
    for key in ('lease/m', 'evict/m', 'other/m', 'lease', ''):
        with pytest.raises(EntryUnreadable, match='cannot be read'):
            decode(key, value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
    ),
    max_leaves=4,
)


@given(st.sampled_from(list(json.loads(encode(lease())))), json_values)
@example('ttl', float('inf'))
@example('ttl', float('nan'))
@example('ttl', 0)
@example('ttl', 10**400)
@example('applied', {'0': float('inf')})
@example('applied', {'x': 1})
@example('beat', True)
def test_any_value_in_any_field_is_taken_or_refused(
    name: str, content: Any
) -> None:
    body = {**json.loads(encode(lease())), name: content}
    try:
        found = decode('lease/m', json.dumps(body).encode())
    except EntryUnreadable:
        return
    assert isinstance(found, Lease)
    assert type(found.beat) is int
    assert 0 < found.ttl < float('inf')
    assert decode('lease/m', encode(found)) == found
