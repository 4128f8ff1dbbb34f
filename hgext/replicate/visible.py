"""Waiting until every live mirror shows an entry.

With ``replicate.wait = visible`` a push returns only then, so whoever it is
announced to can read it from any mirror.  A mirror that dies meanwhile is
waited for until its lease has run out, no longer.
"""

from __future__ import annotations

from ..fleet.core import barrier
from ..fleet.core.barrier import GRACE, STREAM, Members
from ..fleet.core.errors import EntryUnreadable
from .node import Hosted


def wait(hosted: Hosted, offset: int) -> bool:
    """Return True when all live mirrors show the record at ``offset``.

    Returns False when that has not come about in the time in which every
    mirror either shows it or loses its lease.
    """
    node = hosted.node
    deadline = node.clock.boot() + 3 * GRACE * node.settings.lease
    members = Members()
    position = 0
    while True:
        for record in node.ledger.read(STREAM, position):
            position = record.offset + 1
            try:
                said = barrier.decode(record.key, record.value)
            except EntryUnreadable:
                continue
            members = barrier.fold(members, [said])
        if all(
            lease.shown.get(hosted.partition, 0) > offset
            for lease in members.live()
        ):
            return True
        left = deadline - node.clock.boot()
        if left <= 0:
            return False
        node.ledger.wait({STREAM: position}, left)
