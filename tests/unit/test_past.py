"""Taking a ledger back to a moment: the copy says what the ledger said."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from hgext3rd.fleet.core.entry import FENCE_KEY, Entry, Kind, Record, encode
from hgext3rd.fleet.core.ledger import RepoState, Verdict, fold
from hgext3rd.fleet.core.past import Moment, Selection
from hgext3rd.fleet.core.snapshot import key

NODES = ('n1', 'n2')
REPOS = ('a', 'b')


def make(kind: Kind, repo: str, prev: int, time: int, node: str) -> Entry:
    return Entry(kind, repo, prev + 1, prev, node, 'ann', time)


def fence(name: str, time: int, source: str = 'fence') -> Entry:
    entry = make(Kind.FENCE, '', -1, time, 'n0')
    return replace(entry, text=name, source=source)


def written(entries: list[Entry | bytes]) -> list[Record]:
    return [
        Record(offset, 'a', one)
        if isinstance(one, bytes)
        else Record(offset, one.key, encode(one))
        for offset, one in enumerate(entries)
    ]


def history(log: list[Record], repo: str) -> list[tuple[Entry, RepoState]]:
    """Return what counts of a repository, as a node would read it."""
    state, found = RepoState(), []
    for record in log:
        if record.key in (repo, FENCE_KEY):
            judged = fold(state, record)
            state = judged.state
            if judged.verdict is Verdict.VALID and judged.entry:
                found.append((judged.entry, state))
    return found


def copied(log: list[Record], moment: Moment) -> tuple[list[Record], Selection]:
    selection = Selection(moment)
    kept = [record for record, _entry in selection.keep(log)]
    return [replace(one, offset=at) for at, one in enumerate(kept)], selection


kinds = st.sampled_from([Kind.CREATE, Kind.PUSH, Kind.PUSH, Kind.DELETE])
entries = st.one_of(
    st.builds(
        make,
        kinds,
        st.sampled_from(REPOS),
        st.integers(0, 4),
        st.integers(0, 9),
        st.sampled_from(NODES),
    ),
    st.builds(
        fence,
        st.sampled_from(NODES),
        st.integers(0, 9),
        st.sampled_from(['fence', 'unfence']),
    ),
    st.just(b'rubbish'),
)
moments = st.one_of(
    st.just(Moment()),
    st.builds(Moment, st.integers(-1, 10)),
    st.builds(
        Moment, st.integers(0, 9), st.sampled_from(REPOS), st.integers(1, 5)
    ),
)


@given(st.lists(entries, max_size=30), moments)
def test_the_copy_holds_what_counted_until_then(
    entries: list[Entry | bytes], moment: Moment
) -> None:
    log = written(entries)
    copy, selection = copied(log, moment)
    for repo in REPOS:
        expected = []
        for entry, _state in history(log, repo):
            if not moment.keeps(entry):
                break
            expected.append(entry)
        found = history(copy, repo)
        assert [entry for entry, _state in found] == expected
        # Nothing else of the repository is there.
        assert sum(one.key == repo for one in copy) == len(expected)
        states = selection.states.get(repo, {})
        assert states == {state.seq: state for _entry, state in found}


@given(st.lists(entries, max_size=30))
def test_all_of_it_is_judged_as_before(entries: list[Entry | bytes]) -> None:
    log = written(entries)
    copy, _selection = copied(log, Moment())
    again, _selection = copied(copy, Moment())
    assert again == copy


def test_who_lost_a_race_does_not_win_it_in_the_copy() -> None:
    log = written(
        [
            make(Kind.CREATE, 'a', 0, 1, 'n1'),
            make(Kind.PUSH, 'a', 1, 5, 'n1'),
            # By a clock that is behind.
            make(Kind.PUSH, 'a', 1, 2, 'n2'),
        ]
    )
    copy, _selection = copied(log, Moment(3))
    assert [one.value for one in copy] == [log[0].value]


def test_nothing_is_kept_that_builds_on_what_is_not() -> None:
    log = written(
        [
            make(Kind.CREATE, 'a', 0, 1, 'n1'),
            make(Kind.PUSH, 'a', 1, 5, 'n1'),
            make(Kind.PUSH, 'a', 2, 2, 'n1'),
        ]
    )
    copy, selection = copied(log, Moment(3))
    assert [one.value for one in copy] == [log[0].value]
    assert list(selection.states['a']) == [1]


def test_a_fence_stays_before_what_came_after_it() -> None:
    log = written(
        [
            fence('n1', 1),
            make(Kind.CREATE, 'a', 0, 2, 'n2'),
            fence('n1', 7, 'unfence'),
            # Its clock is behind that of who lifted the fence.
            make(Kind.PUSH, 'a', 1, 3, 'n1'),
            fence('n2', 8),
        ]
    )
    copy, selection = copied(log, Moment(3))
    assert [one.value for one in copy] == [one.value for one in log[:4]]
    assert selection.states['a'][2].fenced == frozenset()
    assert [one.value for one in copied(log, Moment())[0]] == [
        one.value for one in log
    ]


def test_why_a_repository_ends_early_is_told() -> None:
    log = written(
        [
            make(Kind.CREATE, 'a', 0, 1, 'n1'),
            b'rubbish',
            make(Kind.PUSH, 'a', 1, 2, 'n1'),
        ]
    )
    copy, selection = copied(log, Moment())
    assert [one.value for one in copy] == [log[0].value]
    assert selection.halted == {'a': 'the record is not an entry'}


def test_lists_of_snapshots_are_not_entries() -> None:
    (record,) = written([b'{}'])
    copy, selection = copied([replace(record, key=key('a'))], Moment())
    assert (copy, selection.halted) == ([], {})
