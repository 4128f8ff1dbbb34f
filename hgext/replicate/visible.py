"""Waiting until every live mirror shows an entry.

With ``replicate.wait = visible`` a push returns only then, so whoever it is
announced to can read it from any mirror.  A mirror that dies meanwhile is
waited for until its lease has run out, no longer.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from ..fleet.core import barrier
from ..fleet.core.barrier import GRACE, STREAM, Eviction, Lease, Members
from ..fleet.core.errors import EntryUnreadable
from ..fleet.ports import Record
from .node import Hosted

_AT_ONCE = 1000


def wait(hosted: Hosted, offset: int) -> bool:
    """Return True when all live mirrors show the record at ``offset``.

    Returns False when that has not come about in the time in which every
    mirror either shows it or loses its lease.
    """
    node = hosted.node
    began = node.clock.boot()
    members = Members()
    position = 0
    while True:
        # To its end: who is live is not known before.
        while batch := node.ledger.read(STREAM, position, limit=_AT_ONCE):
            members = barrier.fold(members, _said(batch))
            position = batch.upto
            if len(batch) < _AT_ONCE:
                break
        live = members.live()
        if all(one.shown.get(hosted.partition, 0) > offset for one in live):
            return True
        # Leases need not be as long as that of this node.
        longest = max(node.settings.lease, *(one.ttl for one in live))
        left = began + 3 * GRACE * longest - node.clock.boot()
        if left <= 0:
            return False
        node.ledger.wait({STREAM: position}, left)


def _said(batch: Iterable[Record]) -> Iterator[Lease | Eviction]:
    for record in batch:
        with contextlib.suppress(EntryUnreadable):
            yield barrier.decode(record.key, record.value)
