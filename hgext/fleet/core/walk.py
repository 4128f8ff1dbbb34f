"""What a node looks at next in its own repositories, and how long it rests.

Three things are done to each repository:

``compare``
    its digest with the one that its last entry states: cheap, and often
``snapshot``
    one node of the fleet makes a snapshot, when enough has changed
``verify``
    all of its content: dear, and seldom

When several are due, that comes first which is late by the most of its own
intervals, so nothing waits for ever.  Whatever was done, work of t
seconds of CPU time is followed by a rest of t * (1 / share - 1), so that over
time no more than that share of one core is used, however large a repository
is.  When was what, at which entry, is kept in :class:`Book`, one JSON file.

Times are seconds since 1970.  What was done later than now, by a clock that has
been set back, is done once more.
"""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from .barrier import MIRROR, PRIMARY, Members
from .mending import Attempts

FILE = 'checked.json'
VERSION = 1

BATCH = 50
"""How many repositories are compared before the next rest."""

LOOK = 60.0
"""Seconds after which it is looked again for what is new."""

FEW = 50
MANY = 1000
"""Entries after which a first snapshot is due, and another at once."""

RETRY = 3600.0
"""Seconds after which what could not be done is tried again, and at least
between two snapshots of one repository."""

AGAIN = 7
"""Intervals after which a snapshot of what has not changed is listed again."""


@dataclass(frozen=True)
class Pace:
    """How much of one core may be used, and how often what is done.

    Intervals are in seconds; infinite means never.
    """

    share: float = 0.05
    compare: float = 3600.0
    verify: float = 7 * 86400.0
    snapshot: float = 86400.0

    def rest(self, spent: float) -> float:
        """Return the seconds to rest after ``spent`` seconds of CPU time."""
        return max(0.0, spent) * (1 / self.share - 1)


class Task(enum.Enum):
    """What is done to a repository."""

    COMPARE = 'compare'
    SNAPSHOT = 'snapshot'
    VERIFY = 'verify'


_CHEAP = Task.COMPARE


@dataclass(frozen=True)
class Visit:
    """That something was done, when, and after which entry."""

    at: float
    seq: int


@dataclass(frozen=True)
class Page:
    """What is remembered of one repository.

    ``problem`` is why the last visit could not be made, or ''.
    """

    visits: Mapping[Task, Visit] = field(default_factory=dict)
    attempts: Attempts = field(default_factory=Attempts)
    problem: str = ''

    def visited(self, task: Task, visit: Visit, problem: str = '') -> Page:
        """Return the page with one more visit."""
        visits = {**self.visits, task: visit}
        return replace(self, visits=visits, problem=problem)


Book = dict[str, Page]


@dataclass(frozen=True)
class Here:
    """A repository as it is now: its last entry, and the time of that."""

    seq: int
    time: float


@dataclass(frozen=True)
class Choice:
    """What to do now, to these repositories."""

    task: Task
    names: tuple[str, ...]


def choose(
    book: Mapping[str, Page],
    here: Mapping[str, Here],
    pace: Pace,
    now: float,
    snapshots: bool,
) -> Choice | float:
    """Return what is to be done next, or the seconds until something may be.

    ``snapshots`` tells whether this node makes those.
    """
    tasks = [task for task in Task if snapshots or task is not Task.SNAPSHOT]
    best: tuple[float, list[str], Task] | None = None
    for task in tasks:
        due = sorted(
            (-_lateness(book.get(name, Page()), task, pace, now), name)
            for name, one in here.items()
            if _wait(book.get(name, Page()), one, task, pace, now) <= 0
        )
        if due and (best is None or due[0][0] < best[0]):
            best = due[0][0], [name for _late, name in due], task
    if best is not None:
        _late, names, task = best
        return Choice(task, tuple(names[: BATCH if task is _CHEAP else 1]))
    waits = [
        _wait(book.get(name, Page()), one, task, pace, now)
        for name, one in here.items()
        for task in tasks
    ]
    return min([LOOK, *waits])


def _lateness(page: Page, task: Task, pace: Pace, now: float) -> float:
    """Return how many of its intervals ago it was; infinite if never."""
    visit = page.visits.get(task)
    if visit is None:
        return math.inf
    return max(0.0, now - visit.at) / _interval(task, pace)


def _interval(task: Task, pace: Pace) -> float:
    return {
        Task.COMPARE: pace.compare,
        Task.SNAPSHOT: pace.snapshot,
        Task.VERIFY: pace.verify,
    }[task]


def _wait(page: Page, here: Here, task: Task, pace: Pace, now: float) -> float:
    """Return the seconds until it is due: 0 for now."""
    visit = page.visits.get(task)
    if task is Task.SNAPSHOT:
        return until_snapshot(visit, here, pace.snapshot, now)
    interval = _interval(task, pace)
    if math.isinf(interval):
        return math.inf
    return 0.0 if visit is None else _left(visit.at, interval, now)


def until_snapshot(
    last: Visit | None, here: Here, interval: float, now: float
) -> float:
    """Return the seconds until a repository is to have another snapshot.

    ``last`` is the one that it has: the entry that it is of, and when that
    was listed.  What has not changed is listed again now and then, so that
    the ledger may forget what is older.
    """
    if math.isinf(interval):
        return math.inf
    if last is None:
        if here.seq >= FEW:
            return 0.0
        return _left(here.time, interval, now)
    changed = here.seq - last.seq
    if changed >= MANY:
        return _left(last.at, min(RETRY, interval), now)
    return _left(last.at, interval if changed else AGAIN * interval, now)


def _left(since: float, interval: float, now: float) -> float:
    # Else the clock was set back.
    return max(0.0, since + interval - now) if since <= now else 0.0


def postponed(task: Task, pace: Pace, now: float) -> float:
    """Return the time of a visit after which the next is due soon again."""
    interval = _interval(task, pace)
    return now - max(0.0, interval - RETRY) if interval < math.inf else now


def snapshooter(members: Members, heard: Collection[str]) -> str:
    """Return the node that makes snapshots, or '' while nobody does.

    ``heard`` are the nodes that were heard of lately.  A mirror rather than
    a primary, which has pushes to take.
    """
    for role in (MIRROR, PRIMARY):
        found = sorted(
            name
            for name, lease in members.leases.items()
            if lease.role == role and not lease.joining and name in heard
        )
        if found:
            return found[0]
    return ''


def oldest(
    book: Mapping[str, Page], task: Task, names: Iterable[str]
) -> float | None:
    """Return when the longest ago was of these; None if one never was."""
    found = []
    for name in names:
        visit = book.get(name, Page()).visits.get(task)
        if visit is None:
            return None
        found.append(visit.at)
    return min(found, default=None)


def encode(book: Mapping[str, Page]) -> bytes:
    """Return the bytes of the file."""
    repos = {}
    for name, page in book.items():
        body: dict[str, object] = {
            task.value: [visit.at, visit.seq]
            for task, visit in page.visits.items()
        }
        if page.attempts.failed:
            body['failed'] = [page.attempts.failed, page.attempts.last]
        if page.problem:
            body['problem'] = page.problem
        repos[name] = body
    return json.dumps({'version': VERSION, 'repos': repos}).encode() + b'\n'


def decode(data: bytes | None) -> Book:
    """Return the book; an empty one when the file is not one of these.

    Then everything is done once more, and nothing is lost.
    """
    try:
        body = json.loads(data or b'')
        if body['version'] != VERSION:
            return {}
        return {str(name): _page(one) for name, one in body['repos'].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _page(body: Mapping[str, object]) -> Page:
    visits = {}
    for task in Task:
        if task.value in body:
            at, seq = _pair(body[task.value])
            visits[task] = Visit(at, int(seq))
    failed, last = _pair(body.get('failed', [0, 0.0]))
    problem = str(body.get('problem', ''))
    return Page(visits, Attempts(int(failed), last), problem)


def _pair(value: object) -> tuple[float, float]:
    if not isinstance(value, list):
        raise TypeError('visit')
    one, other = (float(number) for number in value)
    if not (math.isfinite(one) and math.isfinite(other)):
        raise ValueError('visit')
    return one, other
