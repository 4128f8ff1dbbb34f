"""The barrier: what every live mirror has, and who is live.

Every node writes two kinds of record into the compacted stream ``members``:

*lease* (key ``lease/NODE``)
    "I am NODE; this is my beat-th renewal; I hold the lease for ``ttl``
    seconds from now on; I have applied up to these positions, and show up
    to those."
*eviction* (key ``evict/NODE``)
    "The lease of NODE with that beat ran out; stop waiting for it."

The last record of each key is the whole truth, so all nodes that have read
the same prefix agree.  A mirror is *live* when its lease is newer than its
eviction and it does not call itself joining.  The barrier of a partition is
the least position that any live mirror has applied, and never goes back.

No wall clock is read.  A mirror counts its own lease from the moment
*before* it sent the renewal; everybody else counts from the moment *after*
having read it, and waits ``GRACE`` times as long before evicting.  So it
stops serving strictly before others stop waiting for it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from .errors import EntryUnreadable

STREAM = 'members'
GRACE = 1.25
MIRROR = 'mirror'
PRIMARY = 'primary'


@dataclass(frozen=True)
class Lease:
    """One renewal.  Positions are by partition; ``ttl`` is in seconds."""

    node: str
    role: str
    beat: int
    ttl: float
    applied: Mapping[int, int]
    shown: Mapping[int, int] = field(default_factory=dict)
    joining: bool = False
    url: str = ''
    ssh: str = ''
    quarantined: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The key in the members stream."""
        return f'lease/{self.node}'


@dataclass(frozen=True)
class Eviction:
    """The claim that a node's lease with this beat has run out."""

    node: str
    beat: int
    by: str

    @property
    def key(self) -> str:
        """The key in the members stream."""
        return f'evict/{self.node}'


@dataclass(frozen=True)
class Members:
    """The fold of a prefix of the members stream."""

    leases: Mapping[str, Lease] = field(default_factory=dict)
    evictions: Mapping[str, int] = field(default_factory=dict)

    def evicted(self, node: str) -> bool:
        """Tell whether the node's last lease was ended by an eviction."""
        lease = self.leases.get(node)
        return lease is not None and self.evictions.get(node, 0) >= lease.beat

    def live(self) -> list[Lease]:
        """Return the leases of the mirrors that must be waited for."""
        return [
            lease
            for name, lease in sorted(self.leases.items())
            if lease.role == MIRROR
            and not lease.joining
            and not self.evicted(name)
        ]


def fold(members: Members, records: Iterable[Lease | Eviction]) -> Members:
    """Return the members after these records, read in order."""
    leases = dict(members.leases)
    evictions = dict(members.evictions)
    for record in records:
        if isinstance(record, Lease):
            leases[record.node] = record
        else:
            evictions[record.node] = record.beat
    return Members(leases, evictions)


def barrier(
    members: Members, partition: int, reached: int, applied: int
) -> int:
    """Return the position up to which this node may show ``partition``.

    ``reached`` is what it was before, ``applied`` what this node knows that
    it has: a node never shows what it does not have.  When it has just
    started it may know less than it had shown already.
    """
    shown = [lease.shown.get(partition, 0) for lease in members.leases.values()]
    live = [lease.applied.get(partition, 0) for lease in members.live()]
    agreed = max([reached, *shown, min(live, default=0)])
    return max(reached, min(agreed, applied))


def demanded(members: Members, partition: int) -> int:
    """Return a position that no mirror can have shown more than.

    A mirror must have applied this much when it begins to serve: what
    others already show was agreed on without it.  All mirrors count, dead
    and joining ones too, since what one showed is what all that lived then
    had applied.
    """
    return max(
        (
            max(lease.shown.get(partition, 0), lease.applied.get(partition, 0))
            for lease in members.leases.values()
            if lease.role == MIRROR
        ),
        default=0,
    )


class Watch:
    """Notes when each beat was first read, by a clock that only advances."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, float]] = {}

    def note(self, lease: Lease, now: float) -> None:
        """Remember that ``lease`` was read at ``now`` (seconds)."""
        known = self._seen.get(lease.node)
        if known is None or known[0] != lease.beat:
            self._seen[lease.node] = (lease.beat, now)

    def heard(self, members: Members, now: float) -> set[str]:
        """Return the nodes whose last lease can still hold at ``now``."""
        return {
            name
            for name, (_beat, seen) in self._seen.items()
            if name in members.leases
            and now - seen <= members.leases[name].ttl * GRACE
        }

    def overdue(self, members: Members, by: str, now: float) -> list[Eviction]:
        """Return the evictions that are due at ``now``, never of ``by``."""
        due = []
        for lease in members.live():
            beat, seen = self._seen.get(lease.node, (lease.beat, now))
            late = now - seen > lease.ttl * GRACE
            if lease.node != by and beat == lease.beat and late:
                due.append(Eviction(lease.node, lease.beat, by))
        return due


def renewed(lease: Lease, members: Members) -> Lease:
    """Return ``lease`` with a beat above all that the stream has seen."""
    old = members.leases.get(lease.node)
    beat = max(
        lease.beat,
        old.beat if old else 0,
        members.evictions.get(lease.node, 0),
    )
    return replace(lease, beat=beat + 1)


def encode(record: Lease | Eviction) -> bytes:
    """Return the bytes of a members record (JSON)."""
    if isinstance(record, Eviction):
        body: dict[str, object] = {'beat': record.beat, 'by': record.by}
    else:
        body = {
            'role': record.role,
            'beat': record.beat,
            'ttl': record.ttl,
            'applied': {str(p): n for p, n in record.applied.items()},
            'shown': {str(p): n for p, n in record.shown.items()},
            'joining': record.joining,
            'url': record.url,
            'ssh': record.ssh,
            'quarantined': list(record.quarantined),
        }
    return json.dumps(body, sort_keys=True, separators=(',', ':')).encode()


def decode(key: str, value: bytes) -> Lease | Eviction:
    """Return the record; EntryUnreadable when it is not one."""
    what, _slash, node = key.partition('/')
    try:
        body = json.loads(value)
        if what == 'evict':
            return Eviction(node, int(body['beat']), str(body['by']))
        if what == 'lease':
            return _lease(node, body)
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    except (OverflowError, RecursionError):
        # JSON has Infinity, and any depth.
        pass
    raise EntryUnreadable(f'the members record {key[:80]!r} cannot be read')


def _lease(node: str, body: Mapping[str, object]) -> Lease:
    def positions(name: str) -> dict[int, int]:
        stated = body[name]
        if not isinstance(stated, dict):
            raise TypeError(name)
        return {int(p): int(n) for p, n in stated.items()}

    beat, ttl, names = body['beat'], body['ttl'], body['quarantined']
    if type(beat) is not int or not isinstance(ttl, int | float):
        raise TypeError('beat, ttl')
    if not 0 < ttl < math.inf:
        # It would be waited for until the end of time.
        raise ValueError('ttl')
    if not isinstance(names, list):
        raise TypeError('quarantined')
    return Lease(
        node=node,
        role=str(body['role']),
        beat=beat,
        ttl=float(ttl),
        applied=positions('applied'),
        shown=positions('shown'),
        joining=body['joining'] is True,
        url=str(body['url']),
        ssh=str(body['ssh']),
        quarantined=tuple(str(name) for name in names),
    )
