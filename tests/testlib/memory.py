"""A ledger in memory, for tests that want to see between its calls.

It does what the port asks, the compacted stream included, and calls
``between`` before and after whatever it does, so that a test can let others
act there, fail, or stop for good.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from hgext3rd.fleet.ports import Batch, Record

COMPACTED = frozenset({'members'})

Between = Callable[[str], None]


def _nothing(_where: str) -> None:
    pass


class MemoryLedger:
    """The ledger of one process.

    ``between`` is told ``read`` or ``append`` before, and ``was read`` or
    ``was appended`` after it was done; what it raises, the caller gets.
    """

    def __init__(self, between: Between = _nothing) -> None:
        self.between = between
        self._streams: dict[str, list[Record]] = {}
        self._ends: dict[str, int] = {}

    def append(self, stream: str, key: str, value: bytes) -> int:
        """Write a record; return its offset."""
        self.between('append')
        offset = self._ends.get(stream, 0)
        self._ends[stream] = offset + 1
        records = self._streams.setdefault(stream, [])
        if stream in COMPACTED:
            records[:] = [one for one in records if one.key != key]
        records.append(Record(offset, key, value))
        self.between('was appended')
        return offset

    def read(
        self,
        stream: str,
        position: int,
        keys: Collection[str] | None = None,
        limit: int = 1000,
    ) -> Batch:
        """Return at most ``limit`` records from ``position`` on."""
        self.between('read')
        found = [
            one
            for one in self._streams.get(stream, ())
            if one.offset >= position and (keys is None or one.key in keys)
        ]
        upto = self.end(stream)
        if len(found) > limit:
            upto = found[limit - 1].offset + 1 if limit else position
        self.between('was read')
        return Batch(found[:limit], upto)

    def end(self, stream: str) -> int:
        """Return the position after the last record."""
        return self._ends.get(stream, 0)

    def wait(
        self, positions: Mapping[str, int], timeout: float
    ) -> frozenset[str]:
        """Return the streams that have grown; never blocks."""
        return frozenset(
            stream for stream, at in positions.items() if self.end(stream) > at
        )

    def close(self) -> None:
        """Do nothing; there is nothing to let go of."""
