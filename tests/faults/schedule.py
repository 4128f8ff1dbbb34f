"""What happens in a run, and what goes wrong meanwhile: all from one seed.

The schedule of a worker is an endless list of actions.  How far each one
gets before the blow falls is up to the machine; what is tried, and at which
point of it the blow is due, is not.
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
    """What goes wrong, and with whom."""

    NONE = 'nothing'
    PAUSE = 'nothing, but the session held up at a failpoint'
    SESSION_POINT = 'the session killed, at a failpoint'
    SESSION = 'the session killed, at a random moment'
    CLIENT = 'the client killed, at a random moment'
    DAEMON = 'a daemon killed, at a random moment'
    DAEMON_POINT = 'a daemon killed, at a failpoint'
    PRIMARY = 'a primary killed with all of its sessions'
    STOP_SESSION = 'the session stopped for a while'
    STOP_DAEMON = 'a daemon stopped for a while'
    CLOCK = 'the wall clocks set wrong for a while'
    RELAY = 'a relay killed, and away for a while'
    RELAY_POINT = 'a relay killed, at a failpoint'
    STOP_RELAY = 'a relay stopped for a while'
    CUT = 'a node cut off from the brokers for a while'
    HOLD = 'the network between a node and the brokers held up'
    MUTE = 'the answers of the brokers to a node lost for a while'
    SLOW = 'the network between a node and the brokers slow for a while'
    OUTAGE = 'all nodes cut off from the brokers for a while'
    BROKER = 'a broker killed, and away for a while'
    STOP_BROKER = 'a broker stopped for a while'
    STORE_ERROR = 'the blob store out of order for a while (500)'
    STORE_BUSY = 'the blob store too busy for a while (503)'
    STORE_AWAY = 'the blob store away for a while'
    STORE_DEAF = 'the answers of the blob store lost for a while'
    STORE_SLOW = 'the blob store slow for a while'
    STORE_CUT = 'what the blob store sends cut short for a while'
    STORE_FLIP = 'a wrong byte in what the blob store sends'


@dataclass(frozen=True)
class Action:
    """One thing to do.

    ``size`` changesets are pushed, through the primary of index ``primary``.
    ``after`` is when the blow falls, as a part of what a push usually takes
    (more often late than early, since at first nothing but Python starts);
    ``point`` is the failpoint and ``victim`` the daemon, where there is one.
    With PAUSE, ``after`` is how long the session is held up at ``point``.
    ``lasting`` is for how many seconds a fault lasts that has an end.
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
    lasting: float = 0.0


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
RELAY_POINTS = ('relay.before', 'relay.appended')

RELAYS = frozenset({Fault.RELAY, Fault.RELAY_POINT, Fault.STOP_RELAY})
NETWORK = frozenset({Fault.CUT, Fault.HOLD, Fault.MUTE, Fault.SLOW})
BROKERS = frozenset({Fault.BROKER, Fault.STOP_BROKER})
STORAGE = frozenset(
    {
        *(Fault.STORE_ERROR, Fault.STORE_BUSY, Fault.STORE_AWAY),
        *(Fault.STORE_DEAF, Fault.STORE_SLOW, Fault.STORE_CUT),
        Fault.STORE_FLIP,
    }
)
# What begins, and is over a while later.
LASTING = frozenset(
    {
        *(Fault.STOP_SESSION, Fault.STOP_DAEMON, Fault.CLOCK, Fault.RELAY),
        *(Fault.STOP_RELAY, *NETWORK, Fault.OUTAGE, *BROKERS, *STORAGE),
    }
)
LONGEST = 6.0

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
_KILLS = {
    Fault.NONE: 16,
    Fault.SESSION_POINT: 34,
    Fault.SESSION: 24,
    Fault.CLIENT: 6,
    Fault.DAEMON: 9,
    Fault.DAEMON_POINT: 5,
    Fault.PRIMARY: 6,
}
_STOPS = {Fault.STOP_SESSION: 14, Fault.STOP_DAEMON: 10, Fault.CLOCK: 4}
_KAFKA = {
    Fault.RELAY: 6,
    Fault.RELAY_POINT: 10,
    Fault.STOP_RELAY: 4,
    Fault.CUT: 10,
    Fault.HOLD: 9,
    Fault.MUTE: 11,
    Fault.SLOW: 5,
    Fault.OUTAGE: 6,
    Fault.BROKER: 6,
    Fault.STOP_BROKER: 4,
}
_STORAGE = dict.fromkeys(sorted(STORAGE, key=lambda one: one.name), 6)


class Mix(enum.Enum):
    """Which faults there are, and how often each."""

    NONE = 'none'
    KILLS = 'kills'
    STOPS = 'stops'
    KAFKA = 'kafka'


_MIXES: dict[Mix, dict[Fault, int]] = {
    Mix.NONE: {Fault.NONE: 1},
    Mix.KILLS: _KILLS,
    Mix.STOPS: _KILLS | _STOPS,
    Mix.KAFKA: _KILLS | _STOPS | _KAFKA,
}


@dataclass(frozen=True)
class Scene:
    """What a schedule may choose from.

    ``drafting`` are those of the repositories that are not publishing;
    ``storage`` says that the blob store can fail as well.
    """

    primaries: Sequence[str]
    mirrors: Sequence[str]
    repos: Sequence[str]
    drafting: frozenset[str]
    mix: Mix = Mix.KILLS
    brokers: int = 0
    storage: bool = False


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
    weights = _MIXES[scene.mix] | (_STORAGE if scene.storage else {})
    fault = _weighted(chance, weights)
    if fault is Fault.DAEMON_POINT:
        points = DAEMON_POINTS
    if fault is Fault.RELAY_POINT:
        points = RELAY_POINTS
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
        lasting=_lasting(chance) if fault in LASTING else 0.0,
    )


def _victim(
    chance: random.Random, scene: Scene, fault: Fault, primary: int
) -> str:
    acting = scene.primaries[primary]
    if fault is Fault.PRIMARY or fault in RELAYS:
        return acting
    if fault in NETWORK:
        return chance.choice([acting, acting, *scene.mirrors])
    if fault in BROKERS:
        return str(chance.randrange(scene.brokers))
    # Mirrors are hit more often: they have more that can go wrong.
    return chance.choice([*scene.mirrors, *scene.mirrors, *scene.primaries])


def _lasting(chance: random.Random) -> float:
    """Return seconds: mostly few, and some more than a lease has."""
    return 0.05 + LONGEST * chance.random() ** 3


def _weighted(chance: random.Random, table: dict[_T, int]) -> _T:
    return chance.choices(list(table), weights=list(table.values()))[0]
