"""Gathering the facts about the nodes, from where each is written down.

Nothing here changes anything.  What was never written is left out; whether
a node serves is asked of the node itself.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

from mercurial import ui as uimod

from ..fleet import adapters, edge, files, webaccess
from ..fleet.core import entry, shown, walk
from ..fleet.core.barrier import MIRROR, PRIMARY, Lease, Members
from ..fleet.core.errors import EntryUnreadable, LedgerError
from ..fleet.core.shown import Shown
from ..fleet.ports import Clock, Ledger
from ..fleet.webgate import Gate
from ..replicate import fence, members, rebuild
from ..replicate import node as replicate
from . import founding, plan, repos, running, sockets
from .facts import Checks, Facts, NodeFacts
from .layout import Layout
from .plan import Node
from .process import is_alive
from .running import Seen

_PROBE = 1.0
# How long to wait for mirrors after a change, and between two looks.
_PATIENCE = 10.0
_PAUSE = 0.03
_POSITIONS = 'positions.json'


def gather(layout: Layout) -> Facts:
    """Look at everything; raises FleetError when that is impossible.

    Where the ledger cannot be read, there is what the nodes themselves know.
    """
    nodes = [plan.placed(one) for one in plan.nodes(founding.record(layout))]
    its = repos.settings_of(layout, nodes[0].name)
    seen = running.read(layout)
    unread, ends = '', {}
    try:
        with closing(adapters.open_ledger(its.ledger)) as ledger:
            log = Log.read(ledger, its.partitions)
            found = [_node(layout, one, log, seen.parts) for one in nodes]
            ends = dict(log.ends)
    except LedgerError as problem:
        unread = f'{problem}'
        found = [_node(layout, one, None, seen.parts) for one in nodes]
    return Facts(
        up=seen.supervisor is not None and is_alive(seen.supervisor),
        ends=ends,
        nodes=tuple(found),
        repos=tuple(repos.facts(layout, tuple(found))),
        unread=unread,
    )


def primary(layout: Layout) -> str:
    """Return the name of the first primary that is not fenced, or of any."""
    every = plan.nodes(founding.record(layout))
    found = [one.name for one in every if one.role == PRIMARY]
    ledger = adapters.open_ledger(repos.settings_of(layout, found[0]).ledger)
    try:
        fenced = fence.fenced(ledger)
    finally:
        ledger.close()
    return next((name for name in found if name not in fenced), found[0])


def await_repository(layout: Layout, name: str, there: bool) -> list[str]:
    """Wait until every mirror that serves shows a repository, or none does.

    Returns lines about those where it takes too long.  What is not for
    everybody is shown nowhere, and not waited for.
    """
    nodes = [plan.placed(one) for one in plan.nodes(founding.record(layout))]
    path = f'/{name}?cmd=capabilities'
    late = [
        one
        for one in nodes
        if one.role == MIRROR
        and webaccess.Public([edge.local(layout.node(one.name).hgrc)])(name)
        and _serves(one)
    ]
    deadline = time.monotonic() + _PATIENCE
    while late and time.monotonic() < deadline:
        late = [
            one
            for one in late
            if (sockets.get(one.port, path, _PROBE) == 200) is not there
        ]
        time.sleep(_PAUSE if late else 0)
    still = 'does not show' if there else 'still shows'
    return [f'{one.name} {still} {name}' for one in late]


@dataclass(frozen=True)
class Log:
    """The ledger: who said what about itself, and where it ends."""

    ledger: Ledger
    members: Members
    fenced: frozenset[str]
    ends: Mapping[int, int]

    @classmethod
    def read(cls, ledger: Ledger, partitions: int) -> Log:
        """Read what is needed; raises LedgerError."""
        ends = {p: ledger.end(_stream(p)) for p in range(partitions)}
        return cls(ledger, members.read(ledger), fence.fenced(ledger), ends)

    def age(self, applied: Mapping[int, int], now: float) -> float:
        """Return how old the oldest entry is that is not applied; or 0."""
        ages = [
            now - entry.decode(record.key, record.value).time / 1000
            for partition, end in self.ends.items()
            if (position := applied.get(partition, 0)) < end
            for record in self.ledger.read(
                _stream(partition), position, limit=1
            )
            if _is_readable(record.key, record.value)
        ]
        return max([0.0, *ages])


def _stream(partition: int) -> str:
    return f'entries-{partition}'


def _is_readable(key: str, value: bytes) -> bool:
    try:
        entry.decode(key, value)
    except EntryUnreadable:
        return False
    return True


def _node(
    layout: Layout, node: Node, log: Log | None, parts: tuple[Seen, ...]
) -> NodeFacts:
    clock = adapters.system_clock()
    state = layout.node(node.name).state
    lease = log.members.leases.get(node.name) if log else None
    applied = _positions(state, lease)
    data = files.read(os.path.join(state, shown.FILE))
    shows = shown.decode(data) if data else None
    return NodeFacts(
        node,
        applied=applied,
        shown=shows,
        lease=_left(shows, clock) if node.role == MIRROR else None,
        lag_seconds=log.age(applied, clock.wall()) if log else None,
        serving=_serves(node),
        quarantined=lease.quarantined if lease else (),
        fenced=node.name in log.fenced if log else None,
        checks=_checks(layout, node.name),
        parts=tuple(one for one in parts if one.node == node.name),
    )


def _checks(layout: Layout, name: str) -> Checks:
    """Return what a node knows of its copies of repositories."""
    node = replicate.Node(uimod.ui(), repos.settings_of(layout, name))
    book = walk.decode(files.read(node.state(walk.FILE)))
    refused = [node.hosted(one).refused() for one in node.quarantined()]
    here = list(Gate(node.settings, node.clock).scan())
    return Checks(
        compared=walk.oldest(book, walk.Task.COMPARE, here),
        verified=walk.oldest(book, walk.Task.VERIFY, here),
        reasons={one.repo: one.reason for one in refused if one},
        kept=tuple(rebuild.kept(node)),
    )


def _positions(state: str, lease: Lease | None) -> dict[int, int]:
    """Return how far a node is: what it said, or noted later."""
    data = files.read(os.path.join(state, _POSITIONS))
    try:
        noted = {int(p): int(n) for p, n in json.loads(data or b'{}').items()}
    except (ValueError, AttributeError):
        noted = {}
    said = dict(lease.applied) if lease else {}
    return {p: max(said.get(p, 0), noted.get(p, 0)) for p in {*said, *noted}}


def _left(shows: Shown | None, clock: Clock) -> float:
    if shows is None or shows.boot != clock.boot_id():
        return 0.0
    return max(0.0, shows.until - clock.boot())


def _serves(node: Node) -> bool:
    if node.role == MIRROR:
        return sockets.get(node.port, '/readyz', _PROBE) == 200
    if node.ready and sockets.get(node.ready, '/readyz', _PROBE) != 200:
        return False
    return sockets.greets(node.port, _PROBE)
