"""The gate that records pass on their way to Kafka, and what it has seen.

A producer sends by itself: it retries, and when it gives up it only says
that time ran out.  Whether a push is lost or may still arrive depends on
more than that, so every request that could write passes a :class:`Gate`:

- it notes the fate of each attempt (:class:`Fate`).  If every attempt was
  refused in a way that leaves nothing behind, or there was none, then
  nothing was written.  Any other attempt leaves that open, even if a later
  one was refused;
- once shut it lets nothing through, so what the caller has given up cannot
  be sent behind its back.

The gate is put between producer and network by ``kafka_client``, an option
of kafka-python for this purpose; all else goes to the client behind it.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Iterable
from threading import Lock
from typing import Any

from kafka import errors
from kafka.future import Future
from kafka.net.compat import KafkaNetClient
from kafka.protocol.producer import ProduceRequest

# A broker answers with one of these before it has written anything.  Most
# other answers it may also give afterwards: NotLeaderForPartition, for one,
# to a record that it wrote and was deposed before others had it.
REFUSALS = frozenset(
    {
        errors.CorruptRecordError.errno,
        errors.MessageSizeTooLargeError.errno,
        errors.InvalidTopicError.errno,
        errors.RecordListTooLargeError.errno,
        errors.NotEnoughReplicasError.errno,
        errors.InvalidRequiredAcksError.errno,
        errors.TopicAuthorizationFailedError.errno,
        errors.ClusterAuthorizationFailedError.errno,
        errors.InvalidTimestampError.errno,
        errors.UnsupportedVersionError.errno,
        errors.UnsupportedForMessageFormatError.errno,
        errors.PolicyViolationError.errno,
        errors.InvalidRecordError.errno,
    }
)


_PAUSE = 0.05


class Fate(enum.Enum):
    """What became of one attempt to write."""

    PENDING = 'not answered yet'
    WRITTEN = 'acknowledged'
    REFUSED = 'refused, and nothing was written'
    UNCLEAR = 'not answered, or answered so that it may have been written'


def nothing_written(fates: Iterable[Fate]) -> bool:
    """Tell whether it is certain that no attempt has written."""
    return all(fate is Fate.REFUSED for fate in fates)


def fate(code: int) -> Fate:
    """Return the fate that the error code in a broker's answer means."""
    if code == errors.NoError.errno:
        return Fate.WRITTEN
    return Fate.REFUSED if code in REFUSALS else Fate.UNCLEAR


class Gate:
    """A network client of kafka-python that watches requests to write."""

    def __init__(self, **configs: Any) -> None:
        self._client = KafkaNetClient(**configs)
        self._lock = Lock()
        self._shut = False
        self._fates: dict[int, Fate] = {}
        self._refusal: int | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def send(self, node_id: Any, request: Any, **options: Any) -> Any:
        """Send a request; called by the producer's own thread."""
        if not isinstance(request, ProduceRequest):
            return self._client.send(node_id, request, **options)
        with self._lock:
            if self._shut:
                return Future().failure(errors.Cancelled())
            number = len(self._fates)
            self._fates[number] = Fate.PENDING
        future = self._client.send(node_id, request, **options)
        future.add_callback(self._answered, number)
        future.add_errback(self._failed, number)
        return future

    def maybe_connect(self, node_id: Any, **options: Any) -> None:
        """Begin to connect to a broker; called by the producer's thread.

        When the leader of a partition is in no list of brokers, which is so
        for a moment while one leaves, the library raises here, and its
        thread tries again at once and for ever.
        """
        try:
            self._client.maybe_connect(node_id, **options)
        except errors.UnknownBrokerIdError:
            self._client.cluster.request_update()
            time.sleep(_PAUSE)

    def shut(self) -> None:
        """Let nothing through any more; for good."""
        with self._lock:
            self._shut = True

    def forget(self) -> None:
        """Start to watch the attempts of another record."""
        with self._lock:
            self._fates.clear()
            self._refusal = None

    def fates(self) -> list[Fate]:
        """Return what became of each attempt since the last forget."""
        with self._lock:
            return list(self._fates.values())

    def refusal(self) -> BaseException | None:
        """Return why a broker refused since the last forget, if one did.

        The producer itself says in the end only that time ran out.
        """
        with self._lock:
            code = self._refusal
        return None if code is None else errors.for_code(code)()

    def _answered(self, number: int, response: Any) -> None:
        codes = [
            part.error_code
            for topic in response.responses
            for part in topic.partition_responses
        ]
        # One record is one partition.
        code = codes[0] if len(codes) == 1 else errors.UnknownError.errno
        if code in REFUSALS:
            with self._lock:
                self._refusal = code
        self._settle(number, fate(code))

    def _failed(self, number: int, error: BaseException) -> None:
        # There was no connection to begin with.
        unsent = isinstance(error, errors.NodeNotReadyError)
        self._settle(number, Fate.REFUSED if unsent else Fate.UNCLEAR)

    def _settle(self, number: int, outcome: Fate) -> None:
        with self._lock:
            if number in self._fates:
                self._fates[number] = outcome
