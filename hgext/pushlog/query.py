"""What a request asks of the pushlog, and which pushes answer it.

The parameters, of which each may be left out:

``startdate``, ``fromchange`` or ``startID``
    only pushes after this date, after the push of this changeset, or after
    the push with this id; the first of them that is given counts
``enddate``, ``tochange`` or ``endID``
    only pushes before this date, or up to and including the push of this
    changeset, or the push with this id
``user``
    only pushes of this user; repeated: of any of these users
``changeset``
    only the push of this changeset; repeated: of any of these
``branch``
    only changesets on this named branch, and pushes that have some
``tipsonly=1``
    only the last changeset of each push
``full``
    (with any value) changesets with all their data, not just their ids
``version``
    1 (the default) or 2: the form of the JSON

All conditions must hold.  Without a start, a user and a changeset, the
answer is a page of ten pushes, of which page 1 has the newest; the number
of the page is what stands in the path after the command.

Dates are compared in whole seconds, as they are shown.  A number is seconds
since 1970.  Everything here is pure: dates in words, changesets and
branches are looked up by functions that the caller brings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from ..fleet.core.errors import FleetError
from .store import Push, Pushlog

PAGE = 10  # pushes

_NUMBER = re.compile(r'-?[0-9]{1,18}\Z')
_STRIDE = 64  # pushes looked at at once, from the newest on

Params = Mapping[str, Sequence[str]]


class QueryRefused(FleetError):
    """A parameter has a value with which nothing can be done."""


class Unknown(FleetError):
    """A changeset or a branch is not here."""


@dataclass(frozen=True)
class Id:
    """The push with this id."""

    value: int


@dataclass(frozen=True)
class Date:
    """A moment, in seconds since 1970."""

    value: int


@dataclass(frozen=True)
class Changeset:
    """The push that brought the changeset of this name."""

    name: str


Bound = Id | Date | Changeset


@dataclass(frozen=True)
class Query:
    """A request; the module's docstring says what each field means."""

    start: Bound | None = None
    end: Bound | None = None
    users: tuple[str, ...] = ()
    changesets: tuple[str, ...] = ()
    branch: str | None = None
    tipsonly: bool = False
    full: bool = False
    version: int = 1
    page: int = 1

    @property
    def paged(self) -> bool:
        """Whether the answer is one page, counted from the newest push."""
        return not (self.start or self.users or self.changesets)


@dataclass(frozen=True)
class Selected:
    """A push of the answer, and which of its revisions are asked for."""

    push: Push
    revisions: Sequence[int]


def parse(params: Params, date: Callable[[str], int]) -> Query:
    """Return what the parameters ask for; QueryRefused when it is unclear.

    ``date`` turns a date in words into seconds since 1970; it raises
    ValueError when it cannot.
    """

    def bound(on_date: str, on_change: str, on_id: str) -> Bound | None:
        if on_date in params:
            return Date(_date(on_date, params[on_date][-1], date))
        if on_change in params:
            return Changeset(_given(on_change, params[on_change][-1]))
        if on_id in params:
            return Id(number(on_id, params[on_id][-1]))
        return None

    version = params.get('version', ['1'])[-1]
    if version not in ('1', '2'):
        raise QueryRefused(f'version is {version[:40]!r}; use 1 or 2')
    page = number('the page', params.get('page', ['1'])[-1])
    if page < 1:
        raise QueryRefused(f'the page is {page}; the first one is 1')
    branches = params.get('branch')
    return Query(
        start=bound('startdate', 'fromchange', 'startID'),
        end=bound('enddate', 'tochange', 'endID'),
        users=tuple(params.get('user', ())),
        changesets=tuple(
            _given('changeset', one) for one in params.get('changeset', ())
        ),
        branch=_given('branch', branches[-1]) if branches else None,
        tipsonly=params.get('tipsonly', [''])[-1] == '1',
        full='full' in params,
        version=int(version),
        page=page,
    )


def _given(name: str, value: str) -> str:
    if not value:
        raise QueryRefused(f'{name} is empty')
    return value


def number(name: str, value: str) -> int:
    """Return the number that ``value`` is; else QueryRefused."""
    if not _NUMBER.match(value):
        raise QueryRefused(f'{name} is {value[:40]!r}; use a number')
    return int(value)


def _date(name: str, value: str, date: Callable[[str], int]) -> int:
    if _NUMBER.match(value):
        return int(value)
    try:
        return date(_given(name, value))
    except ValueError:
        raise QueryRefused(
            f'{name} is {value[:80]!r}; use seconds since 1970, '
            'or YYYY-MM-DD HH:MM:SS'
        ) from None


def select(
    query: Query,
    log: Pushlog,
    revision: Callable[[str], int],
    branch: Callable[[int], str],
) -> list[Selected]:
    """Return the pushes that answer ``query``, by id.

    ``revision`` returns the revision of a changeset's name and raises
    Unknown; ``branch`` returns the named branch of a revision.
    """

    def chosen(pushes: Iterable[Push]) -> Iterator[Selected]:
        for push in pushes:
            revisions: Sequence[int] = push.revisions
            if query.branch is not None:
                revisions = [
                    each for each in revisions if branch(each) == query.branch
                ]
            if revisions:
                tip = revisions[-1:]
                yield Selected(push, tip if query.tipsonly else revisions)

    after, upto = _span(query, log, revision)
    if query.paged:
        # No page begins after the last push, whatever its number.
        first = min((query.page - 1) * PAGE, len(log))
        if query.branch is None:  # then skipping pages costs nothing
            upto, first = upto - first, 0
        newest = chosen(_backwards(log, after, upto))
        return list(islice(newest, first, first + PAGE))[::-1]
    if query.changesets:
        pushes = _of_changesets(query, log, revision)
        return [each for each in chosen(pushes) if after < each.push.id <= upto]
    if query.users:
        pushes = log.by_user(query.users.__contains__, after, upto)
        return list(chosen(pushes))
    return list(chosen(log.between(after, upto)))


def _span(
    query: Query, log: Pushlog, revision: Callable[[str], int]
) -> tuple[int, int]:
    """Return the ids between which the pushes are: after, up to."""

    def of(name: str) -> int:
        push = log.of_revision(revision(name))
        return push.id if push else 0

    after, upto = 0, len(log)
    match query.start:
        case Id(value):
            after = max(after, value)
        case Date(value):
            after = log.until(lambda date: date <= value)
        case Changeset(name):
            after = of(name)
    match query.end:
        case Id(value):
            upto = min(upto, value)
        case Date(value):
            upto = log.until(lambda date: date < value)
        case Changeset(name):
            upto = of(name)
    return after, upto


def _of_changesets(
    query: Query, log: Pushlog, revision: Callable[[str], int]
) -> Iterator[Push]:
    found = {}
    for name in query.changesets:
        push = log.of_revision(revision(name))
        if push and (not query.users or push.user in query.users):
            found[push.id] = push
    for id in sorted(found):
        yield found[id]


def _backwards(log: Pushlog, after: int, upto: int) -> Iterator[Push]:
    while upto > after:
        low = max(after, upto - _STRIDE)
        yield from reversed(list(log.between(low, upto)))
        upto = low
