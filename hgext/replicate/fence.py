"""Fencing: nothing that a node does from now on counts, on any node.

A fence is one record in each partition, under a key that every reader of
the partition follows (``core/ledger.py``).  What the node appends after it
is void, however late it wakes up: no clock and no message to the node is
needed.  A fence that was cut off while it was set holds in some partitions;
setting it again completes it.
"""

from __future__ import annotations

from ..fleet import auditing
from ..fleet.core import entry as entries
from ..fleet.core import names
from ..fleet.core.barrier import PRIMARY
from ..fleet.core.entry import FENCE_KEY, Entry, Kind
from ..fleet.core.errors import EntryUnreadable, NameRefused
from ..fleet.core.ledger import RepoState, fold
from ..fleet.ports import Ledger
from . import members, shelf
from . import node as nodes
from .node import Node

FENCE, UNFENCE = 'fence', 'unfence'


def put(node: Node, name: str, action: str, force: bool = False) -> None:
    """Fence the node of that name, or lift its fence (``action``).

    Raises NameRefused when no primary of that name has ever been heard of,
    unless ``force``; LedgerError when it may hold in some partitions only.
    """
    names.node(name)
    if not force:
        _check_known(node.ledger, name)
    record = entries.encode(
        Entry(
            kind=Kind.FENCE,
            repo='',
            seq=0,
            prev=0,
            node=node.settings.node,
            user=auditing.user(node.ui),
            time=int(node.clock.wall() * 1000),
            source=action,
            text=name,
        )
    )
    # The first one last: where it is, all of them are.
    for partition in reversed(range(node.settings.partitions)):
        node.ledger.append(nodes.stream(partition), FENCE_KEY, record)
    auditing.told(node.ui, action, auditing.ALLOWED, what=name)


def fenced(ledger: Ledger) -> frozenset[str]:
    """Return the names of the nodes that are fenced; raises LedgerError."""
    stream = nodes.stream(0)
    state = RepoState()
    for record in shelf.records(ledger, stream, {FENCE_KEY}):
        state = fold(state, record).state
        if state.halted:
            raise EntryUnreadable(
                f'{stream}: {state.halted}',
                'upgrade hgfleet here, or restore the ledger',
            )
    return state.fenced


def _check_known(ledger: Ledger, name: str) -> None:
    leases = members.read(ledger).leases.values()
    primaries = sorted(one.node for one in leases if one.role == PRIMARY)
    if name not in primaries:
        raise NameRefused(
            f'{name} is not a primary of this fleet',
            f'its primaries are {", ".join(primaries) or "not known yet"}',
        )
