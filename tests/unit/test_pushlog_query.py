"""What a query asks for, compared with the plainest way to find it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgext3rd.pushlog import query as queries
from hgext3rd.pushlog.query import (
    Bound,
    Changeset,
    Date,
    Id,
    Query,
    QueryRefused,
    Unknown,
    parse,
    select,
)
from hgext3rd.pushlog.store import Push


class Log:
    """A pushlog in a list."""

    def __init__(self, pushes: Sequence[Push]) -> None:
        self.pushes = pushes

    def __len__(self) -> int:
        return len(self.pushes)

    def of_revision(self, rev: int) -> Push | None:
        found = [push for push in self.pushes if rev in push.revisions]
        return found[0] if found else None

    def between(self, after: int, upto: int) -> list[Push]:
        return [push for push in self.pushes if after < push.id <= upto]

    def until(self, early: Callable[[int], bool]) -> int:
        return len([push for push in self.pushes if early(push.date)])

    def by_user(
        self, wanted: Callable[[str], bool], after: int, upto: int
    ) -> list[Push]:
        return [p for p in self.between(after, upto) if wanted(p.user)]


def revision(name: str) -> int:
    if not name.startswith('r'):
        raise Unknown(name)
    return int(name[1:])


def branch(rev: int) -> str:
    return 'stable' if rev % 3 == 0 else 'default'


def no_date(words: str) -> int:
    raise ValueError(words)


@st.composite
def logs(draw: st.DrawFn) -> Log:
    pushes = []
    rev = time = 0
    for id in range(1, draw(st.integers(0, 25)) + 1):
        time += draw(st.sampled_from([0, 1, 999, 1000, 3700]))
        count = draw(st.integers(1, 4))
        user = draw(st.sampled_from(['al', 'bob', 'cy']))
        pushes.append(Push(id, user, time, rev, count))
        rev += count
    return Log(pushes)


numbers = st.integers(-2, 30)
changesets = st.integers(-1, 60).map(lambda rev: f'r{rev}')
bounds = st.none() | st.one_of(
    numbers.map(Id), numbers.map(Date), changesets.map(Changeset)
)
asked = st.builds(
    Query,
    start=bounds,
    end=bounds,
    users=st.lists(st.sampled_from(['al', 'cy', 'eve']), max_size=2).map(tuple),
    changesets=st.just(()) | st.lists(changesets, max_size=3).map(tuple),
    branch=st.none() | st.sampled_from(['stable', 'default', 'gone']),
    tipsonly=st.booleans(),
    page=st.integers(1, 4) | st.just(10**18 - 1),
)


def starts_before(log: Log, start: Bound | None, push: Push) -> bool:
    match start:
        case Id(value):
            return push.id > value
        case Date(value):
            return push.date > value
        case Changeset(name):
            of = log.of_revision(revision(name))
            return of is None or push.id > of.id
    return True


def ends_after(log: Log, end: Bound | None, push: Push) -> bool:
    match end:
        case Id(value):
            return push.id <= value
        case Date(value):
            return push.date < value
        case Changeset(name):
            of = log.of_revision(revision(name))
            return of is not None and push.id <= of.id
    return True


def plainly(query: Query, log: Log) -> list[tuple[Push, list[int]]]:
    """Look at every push, and ask each condition as the manual has it."""
    wanted = [revision(name) for name in query.changesets]
    found = []
    for push in log.pushes:
        revs = [
            rev
            for rev in push.revisions
            if query.branch is None or branch(rev) == query.branch
        ]
        if (
            revs
            and starts_before(log, query.start, push)
            and ends_after(log, query.end, push)
            and (not query.users or push.user in query.users)
            and (not wanted or any(rev in push.revisions for rev in wanted))
        ):
            found.append((push, [max(revs)] if query.tipsonly else revs))
    if query.start is None and not query.users and not query.changesets:
        newest = found[::-1][10 * (query.page - 1) :][:10]
        return newest[::-1]
    return found


@given(log=logs(), query=asked)
def test_the_answer_is_what_the_conditions_say(log: Any, query: Query) -> None:
    answer = select(query, log, revision, branch)
    assert [(each.push, list(each.revisions)) for each in answer] == plainly(
        query, log
    )


@given(log=logs(), query=asked)
def test_no_more_pushes_are_looked_at_than_needed(
    log: Any, query: Query
) -> None:
    seen: list[Push] = []
    between = log.between

    def counted(after: int, upto: int) -> list[Push]:
        found: list[Push] = between(after, upto)
        seen.extend(found)
        return found

    log.between = counted
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queries, '_STRIDE', 3)
        answer = select(query, log, revision, branch)
    if query.paged and query.branch is None:
        assert len(seen) <= len(answer) + 3


def test_an_unknown_changeset_is_told() -> None:
    log: Any = Log([Push(1, 'al', 0, 0, 1)])
    for query in (
        Query(start=Changeset('x')),
        Query(end=Changeset('x')),
        Query(changesets=('r0', 'x')),
    ):
        with pytest.raises(Unknown):
            select(query, log, revision, branch)


@pytest.mark.parametrize(
    ('params', 'query'),
    [
        ({}, Query()),
        ({'startID': ['7']}, Query(start=Id(7))),
        ({'startID': ['1', '-7']}, Query(start=Id(-7))),
        (
            {'fromchange': ['a b'], 'startID': ['x']},
            Query(start=Changeset('a b')),
        ),
        ({'startdate': ['12'], 'fromchange': ['']}, Query(start=Date(12))),
        ({'endID': ['0']}, Query(end=Id(0))),
        ({'tochange': ['tip'], 'endID': ['1']}, Query(end=Changeset('tip'))),
        ({'enddate': ['yesterday']}, Query(end=Date(9))),
        ({'user': ['al', '']}, Query(users=('al', ''))),
        ({'changeset': ['a', 'b']}, Query(changesets=('a', 'b'))),
        ({'branch': ['x', 'y']}, Query(branch='y')),
        ({'tipsonly': ['1'], 'full': ['']}, Query(tipsonly=True, full=True)),
        ({'tipsonly': ['0'], 'full': ['0']}, Query(full=True)),
        ({'version': ['2'], 'page': ['3']}, Query(version=2, page=3)),
        ({'style': ['json'], 'cmd': ['pushes']}, Query()),
    ],
)
def test_parameters_become_a_query(
    params: dict[str, list[str]], query: Query
) -> None:
    assert parse(params, lambda words: len(words)) == query


BAD = ['', 'x', ' 1', '1 ', '1.5', '0x1', '1_0', '\u0661', '1\n', '9' * 19]


@pytest.mark.parametrize('value', BAD)
@pytest.mark.parametrize(
    'name', ['startID', 'endID', 'startdate', 'enddate', 'page', 'version']
)
def test_what_is_no_number_is_refused(name: str, value: str) -> None:
    with pytest.raises(QueryRefused) as refused:
        parse({name: [value]}, no_date)
    assert '\n' not in str(refused.value)


@pytest.mark.parametrize(
    'params',
    [
        {'fromchange': ['']},
        {'tochange': ['']},
        {'changeset': ['a', '']},
        {'branch': ['']},
        {'page': ['0']},
        {'page': ['-1']},
        {'version': ['3']},
        {'version': ['0']},
    ],
)
def test_what_makes_no_sense_is_refused(params: dict[str, list[str]]) -> None:
    with pytest.raises(QueryRefused):
        parse(params, no_date)


PARAMETERS = [
    *('startdate', 'fromchange', 'startID', 'enddate', 'tochange', 'endID'),
    *('user', 'changeset', 'branch', 'tipsonly', 'full', 'version', 'page'),
    'other',
]


@given(
    st.dictionaries(
        st.sampled_from(PARAMETERS), st.lists(st.text(), min_size=1)
    )
)
def test_parsing_is_total(params: dict[str, list[str]]) -> None:
    try:
        said = str(parse(params, no_date))
    except QueryRefused as refused:
        said = str(refused)
    assert said.isprintable()
