"""The ledger's topic in Kafka, read without any of the code under test.

What counts as written is what the brokers let a plain consumer read.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from kafka import KafkaConsumer, TopicPartition

PATIENCE = 180.0


@dataclass(frozen=True)
class Topic:
    """Where the entries of a ledger are: partition N is ``entries-N``."""

    servers: str
    name: str
    partitions: int


def records(topic: Topic) -> list[tuple[str, int, str, bytes]]:
    """Return (stream, offset, key, value) of every record, in order."""
    consumer = KafkaConsumer(
        bootstrap_servers=topic.servers.split(','),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset='none',
    )
    with closing(consumer):
        rows = [
            (f'entries-{each.partition}', each.offset, _text(each.key), each)
            for each in _all(consumer, topic)
        ]
    rows.sort(key=lambda row: row[:2])
    return [
        (stream, offset, key, bytes(each.value or b''))
        for stream, offset, key, each in rows
    ]


def _all(consumer: Any, topic: Topic) -> Iterator[Any]:
    parts = [TopicPartition(topic.name, n) for n in range(topic.partitions)]
    ends = consumer.end_offsets(parts)
    consumer.assign(parts)
    for part in parts:
        consumer.seek(part, 0)
    deadline = time.monotonic() + PATIENCE
    while any(consumer.position(part) < ends[part] for part in parts):
        assert time.monotonic() < deadline, f'{topic} cannot be read'
        for batch in consumer.poll(timeout_ms=200).values():
            yield from batch


def _text(key: bytes | None) -> str:
    return (key or b'').decode('utf-8', 'surrogateescape')
