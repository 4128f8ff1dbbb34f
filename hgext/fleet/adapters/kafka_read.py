"""Reading from Kafka: records, ends, and waiting for more.

A consumer of kafka-python reads ahead and remembers where it is; a ledger is
asked for any position of any stream.  :class:`Reader` asks the partition's
leader for the end, so it returns what was acknowledged before the call, and
goes on where it was when it can.  :class:`Watcher` has a consumer of its own
whose request the brokers hold back until there is news; it fetches as little
as they allow, since what it sees is read again.

There is no consumer group and nothing is committed: a node knows where it
is.  A position before the first record that the brokers still have is an
error, never a jump.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any

from kafka import KafkaConsumer, TopicPartition, errors

from ..core.errors import OutOfReach
from ..ports import Batch, Record
from .kafka_client import CLOSING, LARGEST, Held, options, renamed
from .kafka_url import Place

_BATCH = 1000
_FIRST_PATIENCE = 0.25
# Seconds for which an answer of the brokers is enough, and the shortest wait
# for which it is; records that are looked at once more rather than asking.
_TRUST = 0.9
_LEAST = 0.1
_NEAR = 8


class Consumer:
    """A consumer that is made when it is needed and dropped when it fails."""

    def __init__(self, place: Place, **configs: Any) -> None:
        self.place = place
        self._configs = configs
        self._consumer: Any = None
        self._held = Held()

    def get(self) -> Any:
        """Return the consumer, connected; raises errors of the library."""
        if self._consumer is None:
            self._consumer = self._connect()
        return self._consumer

    def _connect(self) -> Any:
        return KafkaConsumer(
            **options(self.place),
            **self._configs,
            kafka_client=self._held,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset='none',
            allow_auto_create_topics=False,
            metrics_enabled=False,
        )

    def ends(self, streams: Collection[str]) -> dict[str, int]:
        """Return the position after the last record of some streams."""
        parts = {stream: self.part(stream) for stream in streams}
        found = self._asked(self.get().end_offsets, list(parts.values()))
        return {stream: found[part] for stream, part in parts.items()}

    def start(self, stream: str) -> int:
        """Return the position of the first record of a stream."""
        part = self.part(stream)
        found = self._asked(self.get().beginning_offsets, [part])
        return found[part]

    def _asked(
        self, ask: Callable[..., Any], parts: list[TopicPartition]
    ) -> dict[TopicPartition, int]:
        """Return what the leaders of partitions answer.

        Of a broker that leads no longer the library asks the same again at
        once, until time is up, and never who leads now.  So it gets little
        time at first, and more later.
        """
        deadline = time.monotonic() + self.place.timeout
        patience = _FIRST_PATIENCE
        while True:
            left = max(0.0, deadline - time.monotonic())
            try:
                return ask(  # type: ignore[no-any-return]
                    parts, timeout_ms=int(min(patience, left) * 1000) + 1
                )
            except errors.KafkaTimeoutError:
                if left <= patience:
                    raise
            self._held.client.cluster.request_update()
            patience *= 2

    def part(self, stream: str) -> TopicPartition:
        """Return the partition that holds a stream."""
        return TopicPartition(*self.place.partition(stream))

    def close(self) -> None:
        """Let go of the connection; the next call makes another."""
        consumer, self._consumer = self._consumer, None
        with suppress(Exception):
            if consumer is not None:
                consumer.close(autocommit=False, timeout_ms=int(CLOSING * 1000))
        self._held.close()


class Reader:
    """Reads records; a class for one thread."""

    def __init__(self, place: Place) -> None:
        self._place = place
        # There is something to fetch whenever this one fetches.
        self._consumer = Consumer(
            place,
            fetch_max_wait_ms=10,
            max_partition_fetch_bytes=LARGEST,
            max_poll_records=_BATCH,
        )
        self._stream = ''
        self._next = -1

    def end(self, stream: str) -> int:
        """Return the position after the last record."""
        try:
            with renamed(self._place, f'find the end of {stream}'):
                return self._consumer.ends([stream])[stream]
        except BaseException:
            self.close()
            raise

    def read(
        self,
        stream: str,
        position: int,
        keys: Collection[str] | None,
        limit: int,
    ) -> Batch:
        """Return up to ``limit`` records from ``position`` on."""
        if limit <= 0 or (keys is not None and not keys):
            return Batch((), position)
        try:
            with renamed(self._place, f'read {stream}'):
                end = self._consumer.ends([stream])[stream]
                if position >= end:
                    return Batch((), end)
                self._seek(stream, position)
                return self._take(end, keys, limit)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the connection; the next call makes another."""
        self._stream, self._next = '', -1
        self._consumer.close()

    def _seek(self, stream: str, position: int) -> None:
        consumer = self._consumer.get()
        part = self._consumer.part(stream)
        if stream != self._stream:
            consumer.assign([part])
        if (stream, position) != (self._stream, self._next):
            consumer.seek(part, position)
        self._stream, self._next = stream, position

    def _take(
        self, end: int, keys: Collection[str] | None, limit: int
    ) -> Batch:
        """Read on to ``end``, or until there is enough."""
        wanted = None if keys is None else frozenset(keys)
        found: list[Record] = []
        deadline = time.monotonic() + self._place.timeout
        while self._next < end and len(found) < limit:
            most = _BATCH if wanted is not None else limit - len(found)
            batch = self._poll(deadline, min(most, _BATCH))
            if self._moved():
                deadline = time.monotonic() + self._place.timeout
            for record in batch:
                if wanted is None or record.key in wanted:
                    found.append(record)
        upto = self._next
        if len(found) > limit:
            # Those left over are to be read again.
            self._next = -1
            upto = found[limit - 1].offset + 1
        return Batch(found[:limit], upto)

    def _poll(self, deadline: float, most: int) -> list[Record]:
        left = deadline - time.monotonic()
        if left <= 0:
            raise errors.KafkaTimeoutError('the brokers send nothing')
        try:
            batches = self._consumer.get().poll(
                timeout_ms=int(min(left, 0.2) * 1000) + 1, max_records=most
            )
        except errors.OffsetOutOfRangeError:
            raise self._forgotten() from None
        return [_record(one) for batch in batches.values() for one in batch]

    def _moved(self) -> bool:
        """Note where the consumer is, past gaps too; tell if it moved."""
        part = self._consumer.part(self._stream)
        before = self._next
        self._next = self._consumer.get().position(part, timeout_ms=0)
        return self._next != before

    def _forgotten(self) -> OutOfReach:
        return OutOfReach(
            f'cannot read {self._stream} in {self._place} from position '
            f'{self._next}: the ledger does not reach back that far',
            'start this node from a snapshot',
            start=self._consumer.start(self._stream),
        )


class Watcher:
    """Waits for streams to grow; a class for one thread."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._consumer = Consumer(
            place,
            fetch_max_wait_ms=500,
            fetch_max_bytes=1,
            max_partition_fetch_bytes=1,
        )
        self._streams: frozenset[str] = frozenset()
        self._at: dict[str, int] = {}
        self._asked = 0.0

    def wait(
        self, positions: Mapping[str, int], timeout: float
    ) -> frozenset[str]:
        """Block until streams have grown past their positions; say which."""
        deadline = time.monotonic() + timeout
        try:
            with renamed(self._place, f'wait for {", ".join(positions)}'):
                return self._wait(positions, deadline)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the connection; the next call makes another."""
        self._streams = frozenset()
        self._consumer.close()

    def _wait(
        self, positions: Mapping[str, int], deadline: float
    ) -> frozenset[str]:
        if self._streams and self._streams != frozenset(positions):
            # The brokers may hold back an answer about other streams, and
            # it would hold up the question about these.
            self.close()
        if not self._is_there(positions, deadline):
            self._go(positions)
        parts = {self._consumer.part(stream): stream for stream in positions}
        while not (grown := self._grown(positions)):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            found = self._consumer.get().poll(timeout_ms=int(left * 1000) + 1)
            for part, records in found.items():
                self._at[parts[part]] = records[-1].offset + 1
        return grown

    def _is_there(self, positions: Mapping[str, int], deadline: float) -> bool:
        """Tell whether going on from where the consumer is will do.

        For whoever waits again and again that saves a question each time;
        but only an answer shows that the brokers are still there.
        """
        now = time.monotonic()
        if now > self._asked + _TRUST or deadline < now + _LEAST:
            return False
        return bool(self._streams) and all(
            0 <= at - self._at[stream] <= _NEAR
            for stream, at in positions.items()
        )

    def _go(self, positions: Mapping[str, int]) -> None:
        """Be at the ends of these streams."""
        ends = self._consumer.ends(positions)
        self._asked = time.monotonic()
        consumer = self._consumer.get()
        parts = {stream: self._consumer.part(stream) for stream in positions}
        if not self._streams:
            consumer.assign(list(parts.values()))
            self._streams = frozenset(positions)
            self._at = {}
        for stream, part in parts.items():
            if self._at.get(stream) != ends[stream]:
                consumer.seek(part, ends[stream])
                self._at[stream] = ends[stream]

    def _grown(self, positions: Mapping[str, int]) -> frozenset[str]:
        return frozenset(
            stream for stream, at in positions.items() if self._at[stream] > at
        )


def _record(found: Any) -> Record:
    key = (found.key or b'').decode('utf-8', 'surrogateescape')
    return Record(found.offset, key, bytes(found.value or b''))
