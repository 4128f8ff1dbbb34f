"""The ledger on three brokers, of which one at a time is taken away.

Whoever appends notes what was acknowledged; afterwards each of those records
is there, once, at the offset that was told.  A record whose fate was not
known may be there, once; one that was refused is not.
"""

from __future__ import annotations

import signal
import threading
import time
import uuid
from collections import Counter
from contextlib import closing, contextmanager, suppress

import pytest
from kafka import KafkaAdminClient, errors

from hgext3rd.fleet.adapters import open_ledger
from hgext3rd.fleet.adapters.kafka_client import Held
from hgext3rd.fleet.adapters.kafka_topics import (
    check_topics,
    ensure_topics,
)
from hgext3rd.fleet.adapters.kafka_url import parse
from hgext3rd.fleet.core.errors import LedgerUnavailable, OutcomeUnknown
from testlib import kafka

# kafka-python leaves it to the garbage collector to close a socket that could
# not be connected; see the fixture tidy.
pytestmark = [
    pytest.mark.filterwarnings('ignore:unclosed:ResourceWarning'),
    pytest.mark.usefixtures('tidy'),
]

E0 = 'entries-0'
PATIENCE = 300.0


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    try:
        kafka.jars()
    except kafka.Missing as reason:
        pytest.skip(str(reason))
    with kafka.Cluster(tmp_path_factory.mktemp('kafka'), 3) as cluster:
        yield cluster


@pytest.fixture
def cluster(whole):
    yield whole
    whole.revive()
    eventually(lambda: calm(whole), 'the brokers are not in step again')


@pytest.fixture
def rest(cluster):
    rest = f'{cluster.servers}/test-{uuid.uuid4().hex}'
    ensure_topics(parse(rest), partitions=2, replication=3)
    return rest


@pytest.fixture
def ledger(rest):
    with closing(open_ledger(f'kafka://{rest}?timeout=60')) as ledger:
        yield ledger


@contextmanager
def admin(cluster):
    held = Held()
    try:
        yield KafkaAdminClient(
            bootstrap_servers=cluster.servers.split(','),
            request_timeout_ms=10_000,
            kafka_client=held,
        )
    finally:
        held.close()


def parts(cluster, topic=None):
    """Return the partitions, as a broker that is there describes them."""
    found = []

    def ask():
        # The client asks one broker, which may be the one that is down.
        with suppress(errors.KafkaError), admin(cluster) as client:
            found.extend(client.describe_topics([topic] if topic else None))
        return bool(found)

    eventually(ask, 'no broker answers')
    return [part for one in found for part in one['partitions']]


def calm(cluster):
    """Tell whether every partition has all its copies in step."""
    return all(
        len(part['isr_nodes']) == len(part['replica_nodes'])
        for part in parts(cluster)
    )


def leader(cluster, topic):
    number = parts(cluster, topic)[0]['leader_id']
    return cluster.brokers[number - 1]


def eventually(true, what):
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


class Writer(threading.Thread):
    """Appends until told to stop, and notes what became of each record."""

    def __init__(self, url):
        super().__init__()
        self.url = url
        self.acknowledged = {}
        self.unknown = set()
        self.refused = set()
        self.stopped = threading.Event()

    def run(self):
        number = 0
        with closing(open_ledger(self.url)) as ledger:
            while not self.stopped.is_set():
                value = b'%d' % number
                number += 1
                try:
                    self.acknowledged[ledger.append(E0, 'k', value)] = value
                except OutcomeUnknown:
                    self.unknown.add(value)
                except LedgerUnavailable:
                    self.refused.add(value)

    def await_more(self, count=20):
        wanted = len(self.acknowledged) + count
        eventually(
            lambda: len(self.acknowledged) >= wanted, 'nothing is written'
        )

    def check(self, ledger):
        records = ledger.read(E0, 0, limit=1_000_000)
        assert [r.offset for r in records] == list(range(len(records)))
        there = {record.offset: record.value for record in records}
        assert self.acknowledged.items() <= there.items()
        counted = Counter(there.values())
        assert set(counted.values()) <= {1}
        assert not self.refused & set(counted)
        extra = set(counted) - set(self.acknowledged.values())
        assert extra <= self.unknown


@pytest.fixture
def writer(rest):
    writer = Writer(f'kafka://{rest}?timeout=30')
    writer.start()
    yield writer
    writer.stopped.set()
    writer.join()


@pytest.mark.parametrize('how', [signal.SIGKILL, signal.SIGSTOP])
def test_each_broker_goes_in_turn(cluster, rest, ledger, writer, how):
    topic = parse(rest).entries
    writer.await_more()
    for _ in range(3):
        broker = leader(cluster, topic)
        broker.signal(how)
        if how == signal.SIGKILL:
            broker.kill()
        writer.await_more()
        broker.revive()
        eventually(lambda: calm(cluster), 'it does not come back')
        writer.await_more()
    writer.stopped.set()
    writer.join()
    writer.check(ledger)
    assert len(writer.acknowledged) >= 7 * 20


def test_reading_and_waiting_survive_the_leader(cluster, rest, ledger):
    for number in range(5):
        assert ledger.append(E0, 'k', b'%d' % number) == number
    assert len(ledger.read(E0, 0)) == 5
    assert not ledger.wait({E0: 5, 'members': 0}, 0)
    leader(cluster, parse(rest).entries).kill()
    assert len(ledger.read(E0, 0)) == 5
    with closing(open_ledger(f'kafka://{rest}?timeout=60')) as other:
        assert other.append(E0, 'k', b'5') == 5
    assert ledger.wait({E0: 5, 'members': 0}, PATIENCE)
    assert ledger.read(E0, 5)[0].value == b'5'


def test_who_was_away_meanwhile_finds_the_new_leader(cluster, rest):
    """Nothing was asked while the leader changed, so nothing is known."""
    with closing(open_ledger(f'kafka://{rest}?timeout=60')) as ledger:
        assert ledger.append(E0, 'k', b'first') == 0
        assert len(ledger.read(E0, 0)) == 1
        deposed = leader(cluster, parse(rest).entries)
        deposed.kill()
        eventually(
            lambda: leader(cluster, parse(rest).entries) is not deposed,
            'nobody leads',
        )
        deposed.revive()
        eventually(lambda: calm(cluster), 'it does not come back')
        assert ledger.end(E0) == 1
        assert len(ledger.read(E0, 0)) == 1


def test_too_few_copies_refuse_and_nothing_is_written(cluster):
    """Of two copies both must be there, and one is not."""
    place = parse(f'{cluster.servers}/test-{uuid.uuid4().hex}')
    with admin(cluster) as client:
        client.create_topics(
            {
                place.entries: {
                    'num_partitions': 1,
                    'replication_factor': 2,
                    'configs': {'min.insync.replicas': '2'},
                }
            },
            wait_for_metadata=True,
        )
    (part,) = parts(cluster, place.entries)
    first, second = (
        cluster.brokers[n - 1]
        for n in sorted(
            part['replica_nodes'], key=lambda n: n != part['leader_id']
        )
    )
    assert first.number == part['leader_id']
    url = f'{place}?timeout=30'
    with closing(open_ledger(url)) as ledger:
        assert ledger.append(E0, 'k', b'first') == 0
        second.kill()
        eventually(
            lambda: len(parts(cluster, place.entries)[0]['isr_nodes']) == 1,
            'the brokers do not miss it',
        )
        with pytest.raises(LedgerUnavailable, match='too few') as caught:
            ledger.append(E0, 'k', b'second')
        assert 'brokers that are down' in caught.value.hint
        second.revive()
        eventually(lambda: calm(cluster), 'it does not come back')
        ledger.append(E0, 'k', b'third')
        values = [record.value for record in ledger.read(E0, 0)]
        assert values == [b'first', b'third']


def test_no_majority(cluster, rest):
    """With two of three brokers gone nothing can be acknowledged."""
    topic = parse(rest).entries
    with closing(open_ledger(f'kafka://{rest}?timeout=20')) as ledger:
        assert ledger.append(E0, 'k', b'first') == 0
        kept = leader(cluster, topic)
        for broker in cluster.brokers:
            if broker is not kept:
                broker.kill()
        with pytest.raises((OutcomeUnknown, LedgerUnavailable)):
            ledger.append(E0, 'k', b'second')
        cluster.revive()
        eventually(lambda: calm(cluster), 'they do not come back')
    with closing(open_ledger(f'kafka://{rest}?timeout=60')) as ledger:
        ledger.append(E0, 'k', b'third')
        values = [record.value for record in ledger.read(E0, 0)]
        assert values[0] == b'first'
        assert values[-1] == b'third'
        assert len(values) in (2, 3)


def test_topics_are_kept_three_times(rest):
    assert check_topics(parse(rest), 2, 3, 64 << 10) == []
