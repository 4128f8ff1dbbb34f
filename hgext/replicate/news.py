"""What the follower of a partition can tell without asking the ledger again.

It reads every record of a partition, once, and has each repository that one
names catch up.  A copy that is still as it was left then lacks nothing but
what the next batch holds for it, as long as no fence came in between: fences
concern every repository, and are folded in only where an entry follows.

About anything else nothing is told, and the repository reads for itself what
it lacks: when it is first met, after it was put off or made anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..fleet.core.entry import FENCE_KEY, Record
from ..fleet.ports import Batch
from .node import Hosted


@dataclass(frozen=True)
class News:
    """All that is to be read for a copy which is at this position."""

    position: int
    batch: Batch


class Known:
    """Where the copies of a node were left."""

    def __init__(self) -> None:
        self._left: dict[str, int] = {}
        # Of each partition, the position after the last fence before now.
        self._fences: dict[int, int] = {}

    def left(self, hosted: Hosted, end: int | None) -> None:
        """Note how a copy is left, whose last record so far ends at ``end``.

        If that record was no valid entry, or is not known, the copy does not
        tell which fences came before it.
        """
        position = hosted.applied().state.position
        if end is not None and position >= end:
            self._left[hosted.name] = position

    def passed(self, partition: int, batch: Sequence[Record]) -> None:
        """Note that a batch has been gone through."""
        for record in batch:
            if record.key == FENCE_KEY:
                self._fences[partition] = record.offset + 1

    def news(self, hosted: Hosted, batch: Sequence[Record]) -> News | None:
        """Return what a batch, the next one, holds for a repository.

        That can be told once, and then when it has been left again.
        """
        position = self._left.pop(hosted.name, -1)
        if position < self._fences.get(hosted.partition, 0) or not batch:
            return None
        own = [record for record in batch if record.key in hosted.keys]
        return News(position, Batch(own, batch[-1].offset + 1))
