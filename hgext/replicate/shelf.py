"""Where snapshots are listed: one record in the repository's own stream.

So a new machine finds them with nothing but the ledger and the blob store.
See ``core/snapshot.py`` for what the record says.
"""

from __future__ import annotations

import collections
from collections.abc import Collection, Iterator

from ..fleet.core import snapshot as snapshots
from ..fleet.core.errors import EntryUnreadable, OutOfReach
from ..fleet.core.snapshot import Index
from ..fleet.edge import local
from ..fleet.ports import Ledger, Record
from .node import Hosted


def current(hosted: Hosted) -> Index:
    """Return the last list of the repository's snapshots, or an empty one.

    One that cannot be read counts as empty, with a warning: there is always
    another way to get the repository.  Raises LedgerUnavailable.
    """
    key = snapshots.key(hosted.name)
    newest = collections.deque(
        records(hosted.node.ledger, hosted.stream, {key}), maxlen=1
    )
    try:
        for record in newest:
            return snapshots.decode(key, record.value)
    except EntryUnreadable as problem:
        hosted.node.ui.warn(local(f'{problem}\n'))
    return Index(hosted.name)


def records(
    ledger: Ledger, stream: str, keys: Collection[str] | None = None
) -> Iterator[Record]:
    """Yield the records of a stream that the ledger has not forgotten."""
    position = 0
    while True:
        try:
            batch = ledger.read(stream, position, keys)
        except OutOfReach as problem:
            position = problem.start
            continue
        if not batch:
            return
        yield from batch
        position = batch[-1].offset + 1


def put(hosted: Hosted, index: Index) -> None:
    """List these snapshots from now on; raises LedgerError."""
    hosted.node.ledger.append(
        hosted.stream, snapshots.key(hosted.name), snapshots.encode(index)
    )
