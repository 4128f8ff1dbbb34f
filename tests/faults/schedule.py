"""What happens in a run, and when something is killed: all from one seed.

The schedule of a worker is an endless list of actions.  How far each one
gets before it is killed is up to the machine; what is tried, and at which
point of it the blow falls, is not.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

_T = TypeVar('_T')


class Deed(enum.Enum):
    """What a client, or somebody on a primary, does to a repository."""

    PUSH = 'push changesets'
    BOOKMARK = 'move a bookmark'
    UNBOOKMARK = 'remove a bookmark'
    PUBLISH = 'publish drafts'
    REWRITE = 'push a changeset, then the marker that it is obsolete'
    ARRANGE = 'create, configure or delete a repository'


class Fault(enum.Enum):
    """Who is killed."""

    NONE = 'nobody'
    PAUSE = 'nobody, but the session is held up at a failpoint'
    SESSION_POINT = 'the session, at a failpoint'
    SESSION = 'the session, at a random moment'
    CLIENT = 'the client, at a random moment'
    DAEMON = 'a daemon, at a random moment'
    DAEMON_POINT = 'a daemon, at a failpoint'
    PRIMARY = 'a primary with all of its sessions'


@dataclass(frozen=True)
class Action:
    """One thing to do.

    ``size`` changesets are pushed, through the primary of index ``primary``.
    ``after`` is when the blow falls, as a part of what a push usually takes
    (more often late than early, since at first nothing but Python starts);
    ``point`` is the failpoint and ``victim`` the daemon, where there is one.
    With PAUSE, ``after`` is how long the session is held up at ``point``.
    """

    number: int
    deed: Deed
    repo: str
    primary: int
    size: int
    fault: Fault
    after: float
    point: str
    victim: str


# Where a session can die, as far as the ledger's promises differ there.
SESSION_POINTS = (
    'produce.begun',
    'produce.before-blob',
    'produce.after-blob',
    'publish.before',
    'publish.appended',
    'publish.valid',
    'produce.finalized',
    'produce.closed',
)
ARRANGING_POINTS = (
    'publish.before',
    'publish.appended',
    'publish.valid',
    'perform.before-create',
    'perform.before-delete',
)
DAEMON_POINTS = ('perform.before-close', 'perform.closed')

_DEEDS = {
    Deed.PUSH: 60,
    Deed.BOOKMARK: 15,
    Deed.UNBOOKMARK: 3,
    Deed.PUBLISH: 7,
    Deed.REWRITE: 10,
    Deed.ARRANGE: 5,
}
# What only makes sense where drafts stay drafts.
_DRAFTS = frozenset({Deed.PUBLISH, Deed.REWRITE})
_FAULTS = {
    Fault.NONE: 16,
    Fault.SESSION_POINT: 34,
    Fault.SESSION: 24,
    Fault.CLIENT: 6,
    Fault.DAEMON: 9,
    Fault.DAEMON_POINT: 5,
    Fault.PRIMARY: 6,
}


@dataclass(frozen=True)
class Scene:
    """What a schedule may choose from.

    ``drafting`` are those of the repositories that are not publishing.
    """

    primaries: Sequence[str]
    mirrors: Sequence[str]
    repos: Sequence[str]
    drafting: frozenset[str]
    faults: bool = True


def schedule(seed: str, worker: str, scene: Scene) -> Iterator[Action]:
    """Yield what ``worker`` does, without end."""
    chance = random.Random(f'{seed}/{worker}')
    number = 0
    while True:
        number += 1
        yield _action(chance, worker, number, scene)


def _action(
    chance: random.Random, worker: str, number: int, scene: Scene
) -> Action:
    deed = _weighted(chance, _DEEDS)
    repo = chance.choice(list(scene.repos))
    if deed in _DRAFTS and repo not in scene.drafting:
        deed = Deed.PUSH
    points: Sequence[str] = SESSION_POINTS
    if deed is Deed.ARRANGE:
        repo, points = f'x-{worker}', ARRANGING_POINTS
    fault = _weighted(chance, _FAULTS) if scene.faults else Fault.NONE
    if fault is Fault.DAEMON_POINT:
        points = DAEMON_POINTS
    primary = chance.randrange(len(scene.primaries))
    return Action(
        number=number,
        deed=deed,
        repo=repo,
        primary=primary,
        size=chance.choice((1, 1, 1, 2, 3, 4)),
        fault=fault,
        after=1.05 * chance.random() ** 0.5,
        point=chance.choice(points),
        victim=_victim(chance, scene, fault, primary),
    )


def _victim(
    chance: random.Random, scene: Scene, fault: Fault, primary: int
) -> str:
    if fault is Fault.PRIMARY:
        return scene.primaries[primary]
    # Mirrors are hit more often: they have more that can go wrong.
    return chance.choice([*scene.mirrors, *scene.mirrors, *scene.primaries])


def _weighted(chance: random.Random, table: dict[_T, int]) -> _T:
    return chance.choices(list(table), weights=list(table.values()))[0]
