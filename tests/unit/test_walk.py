"""What a node looks at next, and that it rests enough."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hgext3rd.fleet.core import walk
from hgext3rd.fleet.core.barrier import MIRROR, PRIMARY, Lease, Members, Watch
from hgext3rd.fleet.core.mending import Attempts
from hgext3rd.fleet.core.walk import (
    AGAIN,
    BATCH,
    FEW,
    LOOK,
    MANY,
    RETRY,
    Choice,
    Here,
    Pace,
    Page,
    Task,
    Visit,
    choose,
    until_snapshot,
)

NEVER = math.inf
HOUR, DAY = 3600.0, 86400.0
times = st.floats(0, 1e10)
visits = st.builds(Visit, times, st.integers(0, 1000))
pages = st.builds(
    Page,
    visits=st.dictionaries(st.sampled_from(Task), visits),
    attempts=st.builds(Attempts, failed=st.integers(1, 99), last=times)
    | st.just(Attempts()),
    problem=st.text(),
)
books = st.dictionaries(st.text(min_size=1), pages, max_size=5)
paces = st.builds(
    Pace,
    share=st.floats(0.001, 1.0),
    compare=st.floats(0.1, 1e6) | st.just(NEVER),
    verify=st.floats(0.1, 1e6) | st.just(NEVER),
    snapshot=st.floats(0.1, 1e6) | st.just(NEVER),
)
sights = st.dictionaries(
    st.sampled_from(['a', 'b', 'c/d', 'e']),
    st.builds(Here, st.integers(1, 5000), times),
)


@given(books)
def test_what_is_encoded_comes_back(book: walk.Book) -> None:
    assert walk.decode(walk.encode(book)) == book


@given(
    st.binary()
    | st.none()
    | st.sampled_from(
        [
            b'{}',
            b'[' * 100_000,
            b'{"version": 2, "repos": {}}',
            b'{"version": 1, "repos": {"a": {"compare": 3}}}',
            b'{"version": 1, "repos": {"a": {"compare": [1]}}}',
            b'{"version": 1, "repos": {"a": {"compare": [NaN, 1]}}}',
        ]
    )
)
def test_a_file_that_is_no_book_is_an_empty_one(data: bytes | None) -> None:
    assert walk.decode(data) == {}


@given(paces, st.lists(st.floats(0, 1e4), max_size=30))
def test_no_more_than_its_share_is_used(pace: Pace, work: list[float]) -> None:
    """However the work is cut; it takes at least its own time."""
    used = sum(work)
    passed = sum(spent + pace.rest(spent) for spent in work)
    assert used <= passed * pace.share * (1 + 1e-9) + 1e-9


def test_five_percent() -> None:
    assert Pace().rest(1.0) == pytest.approx(19.0)
    assert Pace(share=1.0).rest(5.0) == 0.0
    assert Pace().rest(-1.0) == 0.0


@given(books, sights, paces, times, st.booleans())
def test_there_is_something_to_do_or_a_time_to_wait(
    book: walk.Book,
    here: dict[str, Here],
    pace: Pace,
    now: float,
    snapshots: bool,
) -> None:
    found = choose(book, here, pace, now, snapshots)
    if isinstance(found, Choice):
        assert 0 < len(found.names) <= BATCH
        assert set(found.names) <= set(here)
        assert snapshots or found.task is not Task.SNAPSHOT
        for name in found.names:
            visit = book.get(name, Page()).visits.get(found.task)
            if visit and found.task is Task.COMPARE:
                assert visit.at + pace.compare <= now or visit.at > now
    else:
        assert 0 <= found <= LOOK


@given(sights, paces, times, st.booleans())
@settings(max_examples=50)
def test_everything_is_done_once_and_then_there_is_rest(
    here: dict[str, Here], pace: Pace, now: float, snapshots: bool
) -> None:
    pace = replace(pace, snapshot=max(pace.snapshot, 1.0))
    book: walk.Book = {}
    done = []
    for _ in range(4 * len(here) + 1):
        found = choose(book, here, pace, now, snapshots)
        if not isinstance(found, Choice):
            break
        for name in found.names:
            done.append((found.task, name))
            page = book.get(name, Page())
            visit = Visit(now, here[name].seq)
            book[name] = page.visited(found.task, visit)
    assert not isinstance(choose(book, here, pace, now, snapshots), Choice)
    assert len(done) == len(set(done))
    for task, interval in (
        (Task.COMPARE, pace.compare),
        (Task.VERIFY, pace.verify),
    ):
        some = set() if interval == NEVER else set(here)
        assert {name for what, name in done if what is task} == some


def test_the_longest_ago_comes_first_and_comparing_before_verifying() -> None:
    here = {name: Here(1, 0.0) for name in ('a', 'b', 'c')}
    pace = Pace(compare=HOUR, verify=DAY, snapshot=NEVER)
    now = 10 * DAY

    def page(compared: float, verified: float) -> Page:
        return Page(
            {
                Task.COMPARE: Visit(now - compared, 1),
                Task.VERIFY: Visit(now - verified, 1),
            }
        )

    book = {'a': page(0, 2 * DAY), 'b': page(2 * HOUR, 0)}
    assert choose(book, here, pace, now, True) == Choice(
        Task.COMPARE, ('c', 'b')
    )
    book = {'a': page(0, 2 * DAY), 'b': page(0, 3 * DAY), 'c': page(0, 0)}
    assert choose(book, here, pace, now, True) == Choice(Task.VERIFY, ('b',))
    book = {name: page(HOUR - 7, 0) for name in here}
    assert choose(book, here, pace, now, True) == 7


@given(st.integers(1, 6), st.floats(0.5, 30.0))
@settings(max_examples=30)
def test_nothing_waits_for_ever(count: int, each: float) -> None:
    """Also where all of it takes longer than the intervals leave time for."""
    here = {f'r{number}': Here(1, 0.0) for number in range(count)}
    pace = Pace(share=0.05, compare=1.0, verify=2.0, snapshot=NEVER)
    book: walk.Book = {}
    now = 0.0
    for _ in range(12 * count):
        found = choose(book, here, pace, now, True)
        if not isinstance(found, Choice):
            now += found
            continue
        now += each
        for name in found.names:
            page = book.get(name, Page())
            book[name] = page.visited(found.task, Visit(now, 1))
    for name in here:
        assert set(book[name].visits) == {Task.COMPARE, Task.VERIFY}
        for visit in book[name].visits.values():
            assert now - visit.at <= 8 * (count + 1) * each


def test_a_clock_that_was_set_back_delays_nothing() -> None:
    pace = Pace(compare=30.0, verify=NEVER, snapshot=NEVER)
    book = {'a': Page({Task.COMPARE: Visit(1e9, 1)})}
    found = choose(book, {'a': Here(1, 0.0)}, pace, 0.0, True)
    assert found == Choice(Task.COMPARE, ('a',))


@pytest.mark.parametrize(
    ('last', 'seq', 'left'),
    [
        # None yet: when there is much, or it has been quiet for long.
        (None, FEW, 0.0),
        (None, FEW - 1, DAY),
        # Changed: by time, unless there is very much.
        (Visit(1000.0, 5), 6, DAY),
        (Visit(1000.0 - DAY, 5), 6, 0.0),
        (Visit(1000.0 - RETRY, 5), 5 + MANY, 0.0),
        (Visit(1000.0, 5), 5 + MANY, RETRY),
        (Visit(1000.0, 5), 5 + MANY - 1, DAY),
        # Not changed: listed again at times.
        (Visit(1000.0 - DAY, 5), 5, (AGAIN - 1) * DAY),
        (Visit(1000.0 - AGAIN * DAY, 5), 5, 0.0),
    ],
)
def test_when_a_snapshot_is_due(
    last: Visit | None, seq: int, left: float
) -> None:
    here = Here(seq, 1000.0)
    assert until_snapshot(last, here, DAY, 1000.0) == left
    assert until_snapshot(last, here, NEVER, 1000.0) == NEVER


@given(st.sampled_from(Task), paces, times)
def test_what_could_not_be_done_is_tried_again_soon(
    task: Task, pace: Pace, now: float
) -> None:
    visit = Visit(walk.postponed(task, pace, now), 1)
    page = Page().visited(task, visit, 'locked')
    assert visit.at <= now
    changed = Here(2, now)
    left = walk._wait(page, changed, task, pace, now)
    assert left == NEVER or 0 <= left <= RETRY + 1


def lease(name: str, role: str, joining: bool = False) -> Lease:
    return Lease(name, role, 1, 5.0, {}, joining=joining)


def test_one_mirror_makes_snapshots_and_a_primary_only_without_mirrors() -> (
    None
):
    members = Members(
        {
            one.node: one
            for one in (
                lease('a', PRIMARY),
                lease('b', PRIMARY),
                lease('c', MIRROR, joining=True),
                lease('d', MIRROR),
                lease('e', MIRROR),
            )
        }
    )
    every = set(members.leases)
    assert walk.snapshooter(members, every) == 'd'
    assert walk.snapshooter(members, every - {'d'}) == 'e'
    assert walk.snapshooter(members, {'a', 'b', 'c'}) == 'a'
    assert walk.snapshooter(members, {'c'}) == ''


def test_who_is_silent_is_not_heard() -> None:
    watch = Watch()
    members = Members({'a': lease('a', MIRROR), 'b': lease('b', MIRROR)})
    watch.note(members.leases['a'], 100.0)
    watch.note(members.leases['b'], 104.0)
    assert watch.heard(members, 105.0) == {'a', 'b'}
    assert watch.heard(members, 107.0) == {'b'}


def test_what_was_never_done_has_no_oldest() -> None:
    book = {'a': Page({Task.VERIFY: Visit(3.0, 1)})}
    assert walk.oldest(book, Task.VERIFY, ['a']) == 3.0
    assert walk.oldest(book, Task.VERIFY, ['a', 'b']) is None
    assert walk.oldest(book, Task.COMPARE, ['a']) is None
    assert json.loads(walk.encode(book))['repos']['a'] == {'verify': [3.0, 1]}
