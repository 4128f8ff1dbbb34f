"""The two topics of a ledger: making them, and saying what is wrong.

``PREFIX.entries``
    one partition for each stream; never deleted from, neither by age nor by
    size, unless somebody chooses so (:func:`keeping`).
``PREFIX.members``
    one partition, compacted.  Kafka does not touch the segment that is being
    written, and a push that waits for mirrors reads all that is there: hence
    ``segment.ms``.

In both a record is written when ``min.insync.replicas`` brokers have it, and
a broker that lacks records can never become the leader (``unclean.leader.
election.enable=false``); either without the other would lose pushes.  The
brokers' clocks stamp the records, so that a client whose clock is wrong is
not refused.

:func:`wanted` and :func:`faults` decide and touch nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient, errors
from kafka.admin import ConfigResource, ConfigResourceType

from ..core.retention import Keeping
from .kafka_client import LARGEST, Held, options, renamed
from .kafka_url import Place

ELECTION = 12.0
"""Seconds without a leader when a broker ends, with the brokers' defaults:
``broker.session.timeout.ms`` (9000), and the election."""

_ROOM = 64 << 10
"""Bytes of an entry beside its payload."""

_FOREVER = {'retention.ms': '-1', 'retention.bytes': '-1'}
"""What new topics get; another choice is no fault, see ``keeping``."""

_LEAST = {'min.insync.replicas': int, 'max.message.bytes': int}
_MOST = frozenset({'segment.ms'})


@dataclass(frozen=True)
class Topic:
    """A topic as it is or should be."""

    name: str
    partitions: int
    replication: int
    settings: Mapping[str, str]


def wanted(place: Place, partitions: int, replication: int) -> list[Topic]:
    """Return the topics of a ledger; of three copies two must be there."""
    both = {
        'min.insync.replicas': str(max(1, replication - 1)),
        'unclean.leader.election.enable': 'false',
        'message.timestamp.type': 'LogAppendTime',
        'max.message.bytes': str(LARGEST),
    }
    entries = {'cleanup.policy': 'delete', **_FOREVER}
    members = {'cleanup.policy': 'compact', 'segment.ms': '600000'}
    return [
        Topic(place.entries, partitions, replication, both | entries),
        Topic(place.members, 1, replication, both | members),
    ]


def faults(want: Topic, have: Topic | None, inline_limit: int) -> list[str]:
    """Return what is wrong with a topic, a sentence each."""
    name = want.name
    if have is None:
        return [f'the topic {name} does not exist']
    found = []
    if have.partitions != want.partitions:
        found.append(
            f'the topic {name} has {have.partitions} partitions instead of '
            f'{want.partitions}'
        )
    if have.replication < want.replication:
        found.append(
            f'the topic {name} is kept {have.replication} times instead of '
            f'{want.replication}'
        )
    for key, value in want.settings.items():
        if key in _FOREVER:
            continue
        least = _LEAST.get(key)
        stands = have.settings.get(key, '0' if least else '')
        if key == 'max.message.bytes':
            value = str(inline_limit + _ROOM)
        if key in _MOST:
            good = int(stands or 0) <= int(value)
        else:
            good = least(stands) >= least(value) if least else stands == value
        if not good:
            found.append(f'the topic {name} has {key}={stands}, not {value}')
    return found


def keeping(place: Place) -> Keeping:
    """Return what the topic of entries keeps; raises LedgerUnavailable."""
    want = Topic(place.entries, 1, 1, {})
    with _admin(place, 'look at the topics') as admin:
        have = _described(admin, [want]).get(place.entries)
    if have is None:
        return Keeping()
    millis = _limit(have.settings.get('retention.ms', '-1'))
    return Keeping(millis / 1000, _limit(have.settings['retention.bytes']))


def _limit(value: str) -> float:
    return float(value) if value.isdigit() else math.inf


def check_topics(
    place: Place, partitions: int, replication: int, inline_limit: int
) -> list[str]:
    """Return what is wrong with the topics; raises LedgerUnavailable."""
    want = wanted(place, partitions, replication)
    with _admin(place, 'look at the topics') as admin:
        have = _described(admin, want)
    return [
        fault
        for topic in want
        for fault in faults(topic, have.get(topic.name), inline_limit)
    ]


def ensure_topics(place: Place, partitions: int, replication: int) -> None:
    """Make the topics that are missing; harmless when repeated.

    Raises LedgerUnavailable.  What is there is left as it is: see
    :func:`check_topics`.
    """
    want = wanted(place, partitions, replication)
    with _admin(place, 'make the topics') as admin:
        have = _described(admin, want)
        for topic in want:
            if topic.name not in have:
                _make(admin, topic, int(place.timeout * 1000))


@contextmanager
def _admin(place: Place, doing: str) -> Iterator[Any]:
    """Lend a client that may make topics; rename errors."""
    with renamed(place, doing):
        held = Held()
        try:
            yield KafkaAdminClient(**options(place), kafka_client=held)
        finally:
            held.close()


def _make(admin: Any, topic: Topic, wait: int) -> None:
    form = {
        'num_partitions': topic.partitions,
        'replication_factor': topic.replication,
        'configs': dict(topic.settings),
    }
    # Another may have been quicker, and has then made the same.
    with suppress(errors.TopicAlreadyExistsError):
        admin.create_topics(
            {topic.name: form}, timeout_ms=wait, wait_for_metadata=True
        )


def _described(admin: Any, want: Sequence[Topic]) -> dict[str, Topic]:
    """Return those of the topics that exist, as they are."""
    names = [topic.name for topic in want]
    found = [
        one for one in admin.describe_topics(names) if not one['error_code']
    ]
    if not found:
        return {}
    settings = admin.describe_configs(
        [
            ConfigResource(ConfigResourceType.TOPIC, one['name'])
            for one in found
        ],
        config_filter='all',
    )['topic']
    return {
        one['name']: Topic(
            one['name'],
            len(one['partitions']),
            min(len(part['replica_nodes']) for part in one['partitions']),
            {
                key: str(item['value'])
                for key, item in settings[one['name']].items()
            },
        )
        for one in found
    }
