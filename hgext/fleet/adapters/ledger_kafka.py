"""The ledger in Apache Kafka, for a fleet of more than one machine.

    [fleet]
    ledger = kafka://hg1:9092,hg2:9092,hg3:9092/hgfleet

``kafka_url`` describes the URL, ``kafka_topics`` the two topics, which must
have been made.  The stream ``entries-N`` is partition N of the one, and is
kept for ever; ``members`` is the only partition of the other, compacted one.
Records have the bytes of the port, key and value, and nothing else.

A record counts as written when all brokers that are in step have it, and at
least ``min.insync.replicas`` of them (``acks=all``).  There is no index by
key: reading by key reads everything from the position on and picks.

Nothing is connected before it is needed, and a push makes two connections:
one that reads (``kafka_read``) and one that writes (``kafka_append``).  Every
call ends within about the ``timeout`` of the URL, whatever the brokers do.

One ledger object belongs to one thread.  The connections have threads of
their own, which a forked child would not have, so forking closes them first;
parent and child make their own at their next call.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from weakref import WeakSet

from ..ports import Batch
from .kafka_append import Appender
from .kafka_read import Reader, Watcher
from .kafka_url import parse
from .owner import Owner


class KafkaLedger:
    """The ledger of the URL ``kafka://REST``; raises SettingError."""

    def __init__(self, rest: str) -> None:
        self.place = parse(rest)
        self._owner = Owner(f'the ledger {self.place}')
        self._appender = Appender(self.place)
        self._reader = Reader(self.place)
        self._watcher = Watcher(self.place)
        _open.add(self)

    def append(self, stream: str, key: str, value: bytes) -> int:
        """Write a record durably; return its offset.

        Raises LedgerUnavailable or LedgerFull when nothing was written,
        OutcomeUnknown when that is not certain.
        """
        self._owner.check()
        return self._appender.append(stream, key, value)

    def read(
        self,
        stream: str,
        position: int,
        keys: Collection[str] | None = None,
        limit: int = 1000,
    ) -> Batch:
        """Return at most ``limit`` records from ``position`` on, in order.

        With ``keys``, only records with one of these keys.  Raises
        LedgerUnavailable, also when the records there have been deleted.
        """
        self._owner.check()
        return self._reader.read(stream, position, keys, limit)

    def end(self, stream: str) -> int:
        """Return the position after the last record; LedgerUnavailable."""
        self._owner.check()
        return self._reader.end(stream)

    def wait(
        self, positions: Mapping[str, int], timeout: float
    ) -> frozenset[str]:
        """Block until a stream has grown past its position.

        Returns the streams that may have, none when ``timeout`` (seconds)
        ran out first.  Raises LedgerUnavailable.
        """
        self._owner.check()
        return self._watcher.wait(positions, timeout)

    def close(self) -> None:
        """Let go of connections; harmless when repeated."""
        self._owner.closed = True
        _open.discard(self)
        self.release()

    def release(self) -> None:
        """Close what must not be inherited; the next call opens it again."""
        self._appender.close()
        self._reader.close()
        self._watcher.close()

    def forking(self) -> None:
        """Let go of the connections if it is the owner who forks."""
        if self._owner.is_here:
            self.release()


_open: WeakSet[KafkaLedger] = WeakSet()


def _before_fork() -> None:
    for ledger in list(_open):
        ledger.forking()


os.register_at_fork(before=_before_fork)
