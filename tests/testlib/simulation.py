"""Mirrors with the real Membership, in a world that a test controls.

Each call of a mirror runs in a thread of its own, but only one thread runs
at a time: a call stops before and after everything that it does to the
ledger, after each look at the clock, and before it replaces its file, until
the test lets it go on.  Meanwhile others act, time passes (on each clock at
its own rate), or the mirror dies.  :meth:`World.check` is what must be true
whenever any call has stopped.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast
from unittest import mock

from hgext3rd.fleet.core import barrier, shown
from hgext3rd.fleet.core.barrier import STREAM, Members
from hgext3rd.fleet.core.errors import (
    EntryUnreadable,
    LedgerUnavailable,
    OutcomeUnknown,
)
from hgext3rd.fleet.core.shown import Shown
from hgext3rd.fleet.settings import Settings
from hgext3rd.replicate import membership
from hgext3rd.replicate.membership import Membership
from hgext3rd.replicate.node import Node

from .memory import MemoryLedger

TTL = 5.0
PARTITIONS = 2
_BOOT = 'boot'
_HANGS = 60.0


class Killed(BaseException):
    """Ends a call at the place where its process is killed."""


class Call:
    """One call in a thread, which goes on only when it is told to."""

    def __init__(self, what: Callable[[], Any]) -> None:
        self.done = False
        self.problem: BaseException | None = None
        self._what = what
        self._killed = False
        # Plain locks, each released by the other side, cost least.
        self._go = threading.Lock()
        self._stopped = threading.Lock()
        self._go.acquire()
        self._stopped.acquire()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def step(self) -> None:
        """Let the call go on to where it stops next."""
        self._go.release()
        if not self._stopped.acquire(timeout=_HANGS):
            raise AssertionError('a call of a mirror hangs')

    def kill(self) -> None:
        """End the call where it is."""
        self._killed = True
        while not self.done:
            self.step()
        self._thread.join()

    def pause(self) -> None:
        """Stop; called from within."""
        self._stopped.release()
        self._go.acquire()
        if self._killed:
            raise Killed

    def _run(self) -> None:
        self._go.acquire()
        try:
            if not self._killed:
                self._what()
        except (Killed, LedgerUnavailable, OutcomeUnknown):
            pass
        except BaseException as problem:  # noqa: BLE001 told to the test
            self.problem = problem
        self.done = True
        self._stopped.release()


class SimulatedClock:
    """A clock that runs a little fast or slow."""

    def __init__(self, world: World, rate: float, start: float) -> None:
        self._world = world
        self._rate = rate
        self._start = start

    def now(self) -> float:
        """Return its time, for the test."""
        return self._start + self._rate * self._world.time

    def boot(self) -> float:
        """Return its time; the caller may be stopped before it uses it."""
        now = self.now()
        self._world.pause('clock')
        return now

    def boot_id(self) -> str:
        """Return the name of the only boot there is."""
        return _BOOT

    def wall(self) -> float:
        """Refuse: no lease may depend on it."""
        raise AssertionError('the wall clock may be set back')


class SimulatedNode:
    """What Membership needs of a node."""

    def __init__(self, its: Settings, clock: SimulatedClock) -> None:
        self.settings = its
        self.clock = clock
        self.barriers: dict[int, int] = {}

    def state(self, *parts: str) -> str:
        """Return the path of a file of this node."""
        return '/'.join((self.settings.node, *parts))


class SimulatedFiles:
    """The files of all nodes, in memory."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._content: dict[str, bytes] = {}

    def read(self, path: str) -> bytes | None:
        """Return the content, or None."""
        return self._content.get(path)

    def replace(self, path: str, data: bytes) -> None:
        """Replace the content; the caller may be stopped before."""
        self._world.pause('file')
        self._content[path] = data

    def forget(self, node: str) -> None:
        """Lose the files of a node."""
        self._content.pop(f'{node}/{shown.FILE}', None)


@dataclass
class Mirror:
    """A node of the world, dead or alive.

    ``has`` is what it has applied, and ``positions`` what it knows of that
    when it starts; ``fails`` is how its next appends end; ``said`` is what
    its file said last.
    """

    name: str
    role: str
    clock: SimulatedClock
    positions: dict[int, int]
    has: dict[int, int]
    fails: list[type[Exception]] = field(default_factory=list)
    said: Shown | None = None
    node: SimulatedNode | None = None
    membership: Membership | None = None
    call: Call | None = None

    def serving(self) -> Shown | None:
        """Return what its web tier shows, when it answers at this moment."""
        refused = shown.refusal(self.said, _BOOT, self.clock.now())
        return None if refused else self.said


class World:
    """The nodes, their ledger, and the time."""

    def __init__(
        self,
        rates: tuple[float, ...] = (1.0, 1.0, 1.0),
        roles: tuple[str, ...] = (),
        wait: str = 'none',
    ) -> None:
        self.time = 0.0
        self.ledger = MemoryLedger(self.pause)
        self.files = SimulatedFiles(self)
        # The most that was ever shown to anybody, by partition.
        self.seen = dict.fromkeys(range(PARTITIONS), 0)
        self._wait = wait
        self._running: Mirror | None = None
        self._place = ''
        self._members: tuple[int, Members] = (0, Members())
        self._patch = mock.patch.object(membership, 'files', self.files)
        self._patch.start()
        self.mirrors = [
            Mirror(
                name=f'{role[0]}{number}',
                role=role,
                clock=SimulatedClock(self, rate, 1000.0 * number),
                positions=dict.fromkeys(range(PARTITIONS), 0),
                has=dict.fromkeys(range(PARTITIONS), 0),
            )
            for number, (rate, role) in enumerate(
                zip(rates, roles or ('mirror',) * len(rates), strict=True)
            )
        ]

    def pause(self, where: str) -> None:
        """Stop the running call, if one is running; fail if it is to."""
        mirror = self._running
        if mirror is None or mirror.call is None:
            return
        self._place = where
        if where == 'append' and mirror.fails[:1] == [LedgerUnavailable]:
            mirror.fails.pop(0)
            raise LedgerUnavailable('simulated')
        mirror.call.pause()
        if where == 'was appended' and mirror.fails[:1] == [OutcomeUnknown]:
            mirror.fails.pop(0)
            raise OutcomeUnknown('simulated')

    # what happens

    def start(self, mirror: Mirror) -> None:
        """Start the mirror's daemon."""
        assert mirror.membership is None
        mirror.node = SimulatedNode(self._settings(mirror), mirror.clock)
        mirror.membership = Membership(
            cast(Node, mirror.node), mirror.positions
        )

    def _settings(self, mirror: Mirror) -> Settings:
        return Settings(
            node=mirror.name,
            role=mirror.role,
            root='',
            state='',
            ledger='',
            blobs='',
            url='',
            ssh='',
            partitions=PARTITIONS,
            partition_rules=(),
            inline_limit=0,
            lease=TTL,
            wait=self._wait,
        )

    def crash(self, mirror: Mirror, forgets: int = 0) -> None:
        """Kill the mirror's daemon, wherever it is.

        It may forget that it has applied the last entries: when one of
        their repositories was put off, it goes back to that.
        """
        for partition, position in mirror.positions.items():
            mirror.positions[partition] = max(0, position - forgets)
        if mirror.call is not None:
            mirror.call.kill()
        mirror.call = mirror.node = mirror.membership = None
        mirror.fails.clear()

    def wipe(self, mirror: Mirror) -> None:
        """Kill the mirror's daemon, and lose its disk."""
        self.crash(mirror)
        mirror.positions = dict.fromkeys(mirror.positions, 0)
        mirror.has = dict.fromkeys(mirror.has, 0)
        mirror.said = None
        self.files.forget(mirror.name)

    def begin(self, mirror: Mirror, what: str) -> None:
        """Begin a call: attend or acknowledge."""
        member = mirror.membership
        assert member is not None
        assert mirror.call is None
        if what == 'attend':
            mirror.call = Call(lambda: member.attend(self.ledger))
        else:
            has = dict(mirror.positions)
            mirror.call = Call(lambda: member.acknowledge(self.ledger, has, ()))

    def go(self, mirror: Mirror) -> None:
        """Let the mirror's call go on to where it stops next."""
        call = mirror.call
        assert call is not None
        self._running = mirror
        call.step()
        self._running = None
        if call.done:
            mirror.call = None
            if call.problem is not None:
                raise call.problem

    def run(self, mirror: Mirror, what: str = 'attend') -> None:
        """Let the mirror's call come to its end, ``what`` if it has none."""
        if mirror.call is None:
            self.begin(mirror, what)
        while mirror.call is not None:
            self.go(mirror)
            self.check()

    def run_to(self, mirror: Mirror, where: str, what: str = 'attend') -> None:
        """Let the mirror's call go on to the next such place."""
        if mirror.call is None:
            self.begin(mirror, what)
        while mirror.call is not None:
            self.go(mirror)
            self.check()
            if mirror.call is not None and self._place == where:
                return
        raise AssertionError(f'the call of {mirror.name} ended before {where}')

    def push(self, partition: int = 0) -> None:
        """Have one more entry in the ledger."""
        self.ledger.append(f'entries-{partition}', 'demo', b'')

    def apply(
        self, mirror: Mirror, partition: int = 0, most: int = 1000
    ) -> None:
        """Have the mirror apply at most so many entries that it has not."""
        end = self.ledger.end(f'entries-{partition}')
        before = mirror.positions[partition]
        now = mirror.positions[partition] = min(end, before + most)
        mirror.has[partition] = max(now, mirror.has[partition])

    def close(self) -> None:
        """Kill everything."""
        for mirror in self.mirrors:
            self.crash(mirror)
        self._patch.stop()

    # what must be true

    def members(self) -> Members:
        """Return what the members stream says now."""
        end = self.ledger.end(STREAM)
        if self._members[0] != end:
            said = []
            for record in self.ledger.read(STREAM, 0):
                with contextlib.suppress(EntryUnreadable):
                    said.append(barrier.decode(record.key, record.value))
            self._members = (end, barrier.fold(Members(), said))
        return self._members[1]

    def check(self) -> None:
        """Check everything that must be true at any moment."""
        for mirror in self.mirrors:
            self._look(mirror)
        serving = [one for one in self.mirrors if one.serving()]
        for mirror in serving:
            assert mirror.said is not None
            for partition, position in mirror.said.positions.items():
                before = self.seen.get(partition, 0)
                self.seen[partition] = max(before, position)
        live = {lease.node for lease in self.members().live()}
        for mirror in serving:
            assert mirror.name in live, (
                f'nobody waits for {mirror.name}, which still serves'
            )
            for partition, position in self.seen.items():
                has = mirror.has[partition]
                assert has >= position, (
                    f'{mirror.name} serves with {has} of partition '
                    f'{partition}, of which {position} were shown'
                )

    def _look(self, mirror: Mirror) -> None:
        """Read the mirror's file; it must not have gone back."""
        data = self.files.read(f'{mirror.name}/{shown.FILE}')
        found = shown.decode(data) if data else None
        if found is None:
            return
        if mirror.said is not None:
            for partition, position in mirror.said.positions.items():
                now = found.positions[partition]
                assert now >= position, (
                    f'{mirror.name} went back from {position} to {now} of '
                    f'partition {partition}'
                )
        mirror.said = found
        for partition, position in self._forgotten(mirror).items():
            assert position <= found.positions.get(partition, 0), (
                f'{mirror.name} forgets what is below {position} of '
                f'partition {partition} before it shows it'
            )

    def _forgotten(self, mirror: Mirror) -> dict[int, int]:
        """Return up to where applied repositories no longer look back."""
        return mirror.node.barriers if mirror.node else {}
