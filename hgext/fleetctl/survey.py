"""What all of a ledger says about blobs and snapshots; read from end to end."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from mercurial import error

from ..fleet.core import entry as entries
from ..fleet.core import snapshot as snapshots
from ..fleet.core.entry import FENCE_KEY, Record
from ..fleet.core.errors import BlobError, EntryUnreadable
from ..fleet.core.retention import Uncovered
from ..fleet.ports import Ledger
from ..replicate import shelf, snapfile
from ..replicate.node import Node, stream

DAY = 86400.0


@dataclass
class Survey:
    """``blobs`` are those that a record names, which may not go.

    ``uncovered`` has the oldest entry of each repository that its newest
    snapshot lacks.
    """

    blobs: set[str] = field(default_factory=set)
    uncovered: list[Uncovered] = field(default_factory=list)


def read(ledger: Ledger, partitions: int) -> Survey:
    """Read the ledger; raises LedgerError."""
    survey = Survey()
    for partition in range(partitions):
        _read(survey, shelf.records(ledger, stream(partition)))
    return survey


def _read(survey: Survey, records: Iterable[Record]) -> None:
    covered: dict[str, int] = {}
    waiting: dict[str, list[tuple[int, Uncovered]]] = {}
    for record in records:
        if record.key == FENCE_KEY:
            continue
        try:
            if record.key.startswith(snapshots.PREFIX):
                index = snapshots.decode(record.key, record.value)
            else:
                entry = entries.decode(record.key, record.value)
                if entry.payload is not None:
                    survey.blobs.add(entry.payload.sha256)
                late = Uncovered(entry.repo, entry.seq, entry.time / 1000)
                waiting.setdefault(entry.repo, []).append((record.offset, late))
                continue
        except EntryUnreadable:
            continue
        survey.blobs.update(one.blob for one in index.snapshots if one.blob)
        survey.blobs.update(index.dropped)
        newest = max((one.state.position for one in index.snapshots), default=0)
        covered[index.repo] = newest
    for repo, some in waiting.items():
        left = [one for at, one in some if at >= covered.get(repo, 0)]
        survey.uncovered += left[:1]


def orphans(
    node: Node, names: Iterable[str], survey: Survey, now: float
) -> Iterator[str]:
    """Yield the snapshots among these blobs that nothing names, a day old.

    ``names`` must have been listed before the ledger was read.  The payload
    of an entry is never among them, whether or not its entry was written: a
    snapshot says what it is, and when it was made.  Were one of them listed
    after all, it would be passed over as one that is missing.
    """
    for name in set(names) - survey.blobs:
        try:
            with node.blobs.open(name) as file:
                made = snapfile.made_at(file, node.ui)
        except (BlobError, EntryUnreadable, error.Error):
            continue
        except (struct.error, ValueError):
            continue
        if made is not None and made <= now - DAY:
            yield name
