"""Membership: this node's lease, its acknowledgements, and the barrier.

The rules are those of ``core/barrier.py``; here they meet the ledger, the
clock and the file that the web tier reads.  Two threads of the daemon use
one :class:`Membership`: the one that applies entries acknowledges them, the
other keeps the lease while an entry takes long to apply.  Each gives its own
connection to the ledger.

A mirror's right to serve is a chain of leases, each renewed before the one
before it had run out, by this mirror's own clock.  As long as the chain
holds, nobody can have stopped waiting for it.  Where it breaks, nobody can
tell from the compacted stream what happened meanwhile; so the mirror starts
a new chain, and serves again only when it has applied all that any mirror
had applied by then.  While it is far behind it calls itself joining, so that
the others do not wait for it.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from ..fleet import files
from ..fleet.core import barrier, shown, walk
from ..fleet.core.barrier import (
    MIRROR,
    PRIMARY,
    STREAM,
    Eviction,
    Lease,
    Members,
    Watch,
)
from ..fleet.core.entry import Record
from ..fleet.core.errors import EntryUnreadable
from ..fleet.core.shown import Shown
from ..fleet.ports import Ledger
from .node import Node, stream

# A lease is renewed when a third of it has passed.
_RENEWALS = 3
_BATCH = 1000


@dataclass(frozen=True)
class Goal:
    """Positions to be reached, and when they were set."""

    positions: Mapping[int, int]
    at: float


class Membership:
    """What this node knows of the fleet, and tells it."""

    def __init__(self, node: Node, positions: Mapping[int, int]) -> None:
        its = node.settings
        self._node = node
        self._clock = node.clock
        self._guard = threading.RLock()
        self._members = Members()
        self._read_to = 0
        self._watch = Watch()
        self._lease = Lease(
            node=its.node,
            role=MIRROR if its.role == 'mirror' else PRIMARY,
            beat=0,
            ttl=its.lease,
            applied=dict(positions),
            joining=its.role == 'mirror',
            url=its.url,
            ssh=its.ssh,
        )
        self._sent: dict[int, float] = {}
        self._until = 0.0
        self._renew_at = 0.0
        # What must be applied before this mirror may serve; None as long as
        # no chain of leases has begun.
        self._required: dict[int, int] | None = None
        # ... and show, where pushes are waited for: they were not waited for
        # by those who found no mirror alive.
        self._promised: dict[int, int] = {}
        # What the others had applied when this node last acknowledged.
        self._goal = Goal({}, -math.inf)
        before = self._before()
        self._barriers = dict(before.positions) if before else {}
        # A mirror that was not serving, or not in this boot, may be one that
        # has lost what it had shown; if it is the only one, nobody else
        # knows.  It must have all that was in the ledger when it started:
        # None until that is known.
        boot = node.clock.boot_id()
        self._floor: dict[int, int] | None = None
        served = before and not before.joining and before.boot == boot
        if served or self._lease.role != MIRROR:
            self._floor = {}
        # Nor can one look back there to before what it begins with: snapshots,
        # or what it had applied when it was no mirror.  That must have become
        # visible first.
        self._looks_back = before is not None
        self._written: Shown | None = None
        self._boot_id = boot
        node.barriers = dict(self._barriers)

    def _before(self) -> Shown | None:
        """Return what an earlier life of this daemon showed last."""
        data = files.read(self._node.state(shown.FILE))
        return shown.decode(data) if data else None

    def acknowledge(
        self,
        ledger: Ledger,
        positions: Mapping[int, int],
        quarantined: Collection[str],
    ) -> None:
        """Tell the fleet what this node has applied by now."""
        with self._guard:
            self._lease = replace(
                self._lease,
                applied=dict(positions),
                quarantined=tuple(sorted(quarantined)),
            )
            self._renew(ledger)
            self._goal = Goal(self._demanded(), self._clock.boot())

    def attend(self, ledger: Ledger) -> None:
        """Read what others said; renew, evict and show what is due."""
        with self._guard:
            self._read(ledger)
            now = self._clock.boot()
            me = self._lease.node
            for eviction in self._watch.overdue(self._members, me, now):
                ledger.append(STREAM, eviction.key, barrier.encode(eviction))
                self._read(ledger)
            self._show()
            if now >= self._renew_at or self._has_news(now):
                self._renew(ledger)
                self._show()

    def until_next(self) -> float:
        """Return the seconds until something is due without any news."""
        now = self._clock.boot()
        return max(0.0, min(self._renew_at - now, self._lease.ttl / 2))

    def makes_snapshots(self) -> bool:
        """Tell whether this node is the one that does, for the fleet."""
        with self._guard:
            heard = self._watch.heard(self._members, self._clock.boot())
            found = walk.snapshooter(self._members, heard)
            return found == self._lease.node

    @property
    def until(self) -> float:
        """When this node's last sign of life in the ledger runs out."""
        return self._until

    @property
    def position(self) -> int:
        """How far the members stream has been read."""
        return self._read_to

    def _has_news(self, now: float) -> bool:
        """Tell whether this mirror can join, or shows what others await."""
        if self._lease.role != MIRROR:
            return False
        if self._is_awaited() and self._node.barriers != self._lease.shown:
            return True
        return not self._is_live() and self._caught_up(now)

    def _caught_up(self, now: float) -> bool:
        """Tell whether others may wait for this mirror.

        While there are pushes, they are always a little ahead; it is enough
        to have what they had a moment ago.
        """
        if self._has(self._demanded()):
            return True
        fresh = now - self._goal.at < self._lease.ttl
        return fresh and self._has(self._goal.positions)

    def _demanded(self) -> dict[int, int]:
        floor = self._floor or {}
        return {
            partition: max(
                barrier.demanded(self._members, partition),
                floor.get(partition, 0),
            )
            for partition in self._partitions()
        }

    def _has(self, positions: Mapping[int, int]) -> bool:
        applied = self._lease.applied
        return all(applied.get(p, 0) >= n for p, n in positions.items())

    def _is_awaited(self) -> bool:
        """Tell whether pushes return only when they can be read."""
        return self._node.settings.wait == 'visible'

    def _ends(self, ledger: Ledger) -> dict[int, int]:
        return {p: ledger.end(stream(p)) for p in self._partitions()}

    def _partitions(self) -> range:
        return range(self._node.settings.partitions)

    def _renew(self, ledger: Ledger) -> None:
        self._read(ledger)
        lease = self._lease
        if lease.role == MIRROR:
            keeps_up = self._serving() or self._caught_up(self._clock.boot())
            lease = replace(
                lease, shown=dict(self._node.barriers), joining=not keeps_up
            )
            if lease.joining:
                # What an earlier life of this daemon wrote may still allow
                # to serve.
                self._show()
        self._lease = barrier.renewed(lease, self._members)
        sent = self._clock.boot()
        self._sent = {self._lease.beat: sent}
        ledger.append(STREAM, self._lease.key, barrier.encode(self._lease))
        self._renew_at = sent + self._lease.ttl / _RENEWALS
        self._read(ledger)

    def _read(self, ledger: Ledger) -> None:
        if self._floor is None:
            self._floor = self._ends(ledger)
        while True:
            batch = ledger.read(STREAM, self._read_to, limit=_BATCH)
            for record in batch:
                self._hear(record)
                self._read_to = record.offset + 1
            if len(batch) < _BATCH:
                break
        for partition in self._partitions():
            self._barriers[partition] = barrier.barrier(
                self._members,
                partition,
                self._barriers.get(partition, 0),
                self._lease.applied.get(partition, 0),
            )
        if not self._is_live():
            self._required = None
        elif self._required is None:
            # Not what the stream said before this node's lease: of that,
            # compaction may have left nothing.
            self._required = self._demanded()
            if not self._looks_back:
                self._promised = dict(self._lease.applied)
                self._looks_back = True
            if self._lease.role == MIRROR and self._is_awaited():
                self._promised = self._ends(ledger)

    def _hear(self, record: Record) -> None:
        try:
            said = barrier.decode(record.key, record.value)
        except EntryUnreadable:
            # Of a newer version, or damaged: its sender counts as silent.
            return
        self._members = barrier.fold(self._members, [said])
        if isinstance(said, Eviction):
            return
        now = self._clock.boot()
        self._watch.note(said, now)
        sent = self._sent.get(said.beat)
        if said.node == self._lease.node and sent is not None:
            if now >= self._until:
                self._required = None
            self._until = sent + said.ttl

    def _is_live(self) -> bool:
        me = self._lease.node
        return any(one.node == me for one in self._members.live())

    def _serving(self) -> bool:
        if self._required is None or not self._has(self._required):
            return False
        return all(self._barriers[p] >= n for p, n in self._promised.items())

    def _show(self) -> None:
        if self._lease.role != MIRROR:
            return
        now = Shown(
            node=self._lease.node,
            boot=self._boot_id,
            until=self._until,
            positions=dict(self._barriers),
            joining=not self._serving(),
        )
        if now != self._written:
            files.replace(self._node.state(shown.FILE), shown.encode(now))
            self._written = now
            # Only now, since what is below is forgotten where it was applied.
            self._node.barriers = dict(self._barriers)
