"""Appending to Kafka, one record at a time.

The producer is kafka-python's: idempotent, ``acks=all``, no transactions.
Idempotent means that it may repeat a record whose acknowledgement was lost
and the broker keeps one, so a push survives the end of a partition's leader.

What a failure means is told by the gate that all attempts pass
(``kafka_gate``).  After any failure the gate is shut and the producer
dropped, so its thread sends nothing more and ends; if that thread should be
caught in a loop, it can do no harm.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from kafka import KafkaProducer, errors

from ..core.errors import LedgerError, LedgerFull, OutcomeUnknown
from .kafka_client import (
    CLOSING,
    LARGEST,
    Held,
    options,
    renamed,
    unavailable,
    why,
)
from .kafka_gate import Gate, nothing_written
from .kafka_url import Place

_GRACE = 2.0

_TOO_LARGE = (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError)


class Appender:
    """A connection that writes; made at the first append."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._producer: Any = None
        self._held = Held(Gate)

    def append(self, stream: str, key: str, value: bytes) -> int:
        """Write a record durably; the errors are those of the port."""
        doing = f'append to {stream}'
        try:
            with renamed(self._place, doing):
                topic, partition = self._place.partition(stream)
                producer = self._ready(topic, partition)
            try:
                future = producer.send(
                    topic, value, key.encode(), partition=partition
                )
                offset = future.get(self._place.timeout + _GRACE).offset
            except Exception as error:
                raise self._verdict(error, doing, len(value)) from error
            if not isinstance(offset, int) or offset < 0:
                raise self._unknown(doing, 'the broker does not say where')
        except BaseException:
            self.close()
            raise
        return offset

    def close(self) -> None:
        """Let go of the connection and of what it has not sent."""
        producer, self._producer = self._producer, None
        if self._held.client is not None:
            self._held.client.shut()
        if producer is None:
            self._held.close()
        else:
            # Its thread closes the client, now or when it gets to it.
            self._held.client = None
            _end(producer)

    def _ready(self, topic: str, partition: int) -> Any:
        """Return a producer that knows the topic."""
        if self._producer is None:
            self._producer = self._connect()
        if partition not in self._producer.partitions_for(topic):
            raise errors.UnknownTopicOrPartitionError
        self._held.client.forget()
        return self._producer

    def _connect(self) -> Any:
        wait = int(self._place.timeout * 1000)
        return KafkaProducer(
            **options(self._place),
            kafka_client=self._held,
            enable_idempotence=True,
            acks='all',
            delivery_timeout_ms=wait,
            max_block_ms=wait,
            max_request_size=LARGEST,
            allow_auto_create_topics=False,
            metrics_enabled=False,
        )

    def _verdict(self, error: Exception, doing: str, size: int) -> LedgerError:
        gate = self._held.client
        # From here on nothing is sent, so the list is complete.
        gate.shut()
        if not nothing_written(gate.fates()):
            return self._unknown(doing, why(error))
        if isinstance(error, _TOO_LARGE):
            return self._too_large(doing, size)
        return unavailable(self._place, doing, gate.refusal() or error)

    def _unknown(self, doing: str, reason: str) -> OutcomeUnknown:
        return OutcomeUnknown(
            f'no certainty about "{doing}" in {self._place}: {reason}',
            'the entry may still arrive; look before trying again',
        )

    def _too_large(self, doing: str, size: int) -> LedgerFull:
        return LedgerFull(
            f'cannot {doing} in {self._place}: a record of {size} bytes is '
            'larger than the topic takes',
            'lower replicate.inline-limit, or raise max.message.bytes of the '
            f'topic (up to {LARGEST})',
        )


def _end(producer: Any) -> None:
    with suppress(Exception):
        producer.close(timeout=CLOSING)
        return
    # It waits for what will not be sent, and there is no public way to tell
    # it so; it would also wait, and fail, as garbage.
    producer._sender.force_close()
    producer._closed = True
