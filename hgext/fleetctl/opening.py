"""From the start to ``ready:``: what must be true, and how it is told.

The fleet is ready when every daemon has renewed its node's lease, every sshd
answers, every mirror says on ``/readyz`` that it is current, and (on the
first start) the repository ``demo`` is made and can be cloned from every
mirror.  Nodes that are far behind may take their time, as long as they come
nearer.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..fleet import files, webaccess
from ..fleet.core.barrier import PRIMARY, Lease
from ..fleet.core.errors import FleetError
from . import process, sockets
from .course import Course
from .plan import Fleet, Node

PATIENCE = 60.0
REPOSITORY = 'demo'
_CREATION = 'create-demo'
# A part that has ended so often is not going to work.
_HOPELESS = 3
_PROBE = 0.5


class NotReady(FleetError):
    """The fleet did not come up; everything was stopped again."""


@dataclass(frozen=True)
class Gate:
    """One thing that must be true; ``part`` is whose log tells why not."""

    what: str
    part: str
    passed: Callable[[], bool]


class DemoOpening:
    """Waits for the gates, and makes ``demo`` when the fleet is new.

    ``leases`` returns the last lease of each node; ``say`` is given lines of
    progress; ``at_ready`` is called once.
    """

    def __init__(
        self,
        fleet: Fleet,
        leases: Callable[[], Mapping[str, Lease]],
        say: Callable[[str], None],
        at_ready: Callable[[], None],
    ) -> None:
        self._fleet = fleet
        self._layout = fleet.layout
        self._first = fleet.nodes[0].name
        self._making = not fleet.record.founded and not self._is_made()
        self._say = say
        self._at_ready = at_ready
        self._creation = 0
        self._renewals = Renewals(leases)
        self._gates = gates(fleet, self._renewals)
        self._deadline = time.monotonic() + PATIENCE

    def begin(self) -> None:
        """Start making ``demo``, if it is to be made."""
        if self._making:
            argv = (self._fleet.tools.hg, 'replicate::create', REPOSITORY)
            env = self._fleet.of_node(self._first)
            log = self._layout.log(_CREATION)
            self._creation = process.spawn(argv, env, log).pid

    def ended(self, pid: int, code: int) -> None:
        """Hear that a child which is no part has ended."""
        if pid == self._creation and code != 0 and not self._is_made():
            raise NotReady(
                f'the repository {REPOSITORY} could not be made: '
                f'{self._last_line(_CREATION)}',
                f'see {self._layout.log(_CREATION)}',
            )

    def poll(self, courses: Mapping[str, Course]) -> bool:
        """Tell whether all gates are passed; NotReady when it is hopeless."""
        for gate in opened(self._gates):
            self._gates.remove(gate)
            self._say(gate.what)
        if not self._gates:
            self._at_ready()
            return True
        for name, course in courses.items():
            if course.restarts >= _HOPELESS:
                raise NotReady(
                    f'{name} ends whenever it is started: '
                    f'{self._last_line(name)}',
                    f'see {self._layout.log(name)}',
                )
        if time.monotonic() > self._deadline:
            self._extend()
        return False

    def _extend(self) -> None:
        """Go on waiting for nodes that have much to catch up with."""
        progress = self._renewals.progress()
        gate = self._gates[0]
        if progress <= 0:
            raise NotReady(
                f'no progress for {PATIENCE:.0f} seconds, still waiting for '
                f'"{gate.what}"',
                f'see {self._layout.log(gate.part)}',
            )
        self._say(f'catching up: {progress} entries applied')
        self._deadline = time.monotonic() + PATIENCE

    def _is_made(self) -> bool:
        repos = self._layout.node(self._first).repos
        return os.path.isdir(f'{repos}/{REPOSITORY}/.hg')

    def _last_line(self, name: str) -> str:
        # On a full disk it may never have been made.
        data = files.read(self._layout.log(name)) or b''
        lines = data.decode('utf-8', 'replace').split('\n')
        said = [line.strip() for line in lines if line.strip()]
        aborts = [line for line in said if line.startswith('abort: ')]
        return (aborts or said or ['it says nothing'])[-1]


def opened(gates: list[Gate]) -> list[Gate]:
    """Return the gates that are passed, of each part in their order."""
    passed = []
    waiting = set()
    for gate in gates:
        if gate.part not in waiting and gate.passed():
            passed.append(gate)
        else:
            waiting.add(gate.part)
    return passed


class Renewals:
    """What the leases of the nodes tell since this was made.

    A lease that is still good from an earlier life of a node proves nothing.
    """

    def __init__(self, leases: Callable[[], Mapping[str, Lease]]) -> None:
        self._leases = leases
        self._before = leases()
        self._applied = self._sum(self._before)

    def since(self, node: str) -> bool:
        """Tell whether the node has renewed its lease."""
        now, before = self._now().get(node), self._before.get(node)
        return now is not None and (before is None or now.beat > before.beat)

    def progress(self) -> int:
        """Return how many entries were applied since it was asked last."""
        before, self._applied = self._applied, self._sum(self._now())
        return self._applied - before

    def _now(self) -> Mapping[str, Lease]:
        try:
            return self._leases()
        except FleetError as problem:
            if problem.retry:
                return {}
            raise

    @staticmethod
    def _sum(leases: Mapping[str, Lease]) -> int:
        return sum(sum(one.applied.values()) for one in leases.values())


def gates(fleet: Fleet, renewals: Renewals) -> list[Gate]:
    """Return what must be true of a fleet that is ready."""
    nodes, demo = fleet.nodes, not fleet.record.founded
    made = [_daemon(node, renewals) for node in nodes]
    for node in nodes:
        if node.role == PRIMARY:
            made.append(_sshd(node))
        else:
            made.append(
                _web(node, '/readyz', f'{node.name}: serves {node.url}')
            )
    for node in nodes:
        if demo and node.role != PRIMARY and _is_public(fleet, node):
            path = f'/{REPOSITORY}?cmd=capabilities'
            what = f'{node.name}: shows {REPOSITORY}'
            made.append(_web(node, path, what))
    return made


def _is_public(fleet: Fleet, node: Node) -> bool:
    hgrc = fleet.layout.node(node.name).hgrc
    return webaccess.Public([os.fsencode(hgrc)])(REPOSITORY)


def _daemon(node: Node, renewals: Renewals) -> Gate:
    return Gate(
        f'{node.name}: follows the ledger',
        f'{node.name}.daemon',
        lambda: renewals.since(node.name),
    )


def _sshd(node: Node) -> Gate:
    return Gate(
        f'{node.name}: sshd answers on port {node.port}',
        f'{node.name}.sshd',
        lambda: sockets.greets(node.port, _PROBE),
    )


def _web(node: Node, path: str, what: str) -> Gate:
    return Gate(
        what,
        f'{node.name}.web',
        lambda: sockets.get(node.port, path, _PROBE) == 200,
    )
