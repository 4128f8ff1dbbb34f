"""What can go wrong with a Kafka broker, and how it is told.

The broker of this module is stopped, killed and started again, so it is
this module's own.  Whatever the verdict on an append was, the ledger is asked
afterwards whether it was true.
"""

from __future__ import annotations

import signal
import socket
import threading
import time
import uuid
from contextlib import ExitStack, closing, contextmanager

import pytest
from kafka import KafkaAdminClient, TopicPartition, errors
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.future import Future

from hgext3rd.fleet.adapters import kafka_gate, open_ledger
from hgext3rd.fleet.adapters.kafka_topics import (
    check_topics,
    ensure_topics,
    keeping,
)
from hgext3rd.fleet.adapters.kafka_url import parse
from hgext3rd.fleet.core.errors import (
    LedgerError,
    LedgerFull,
    LedgerUnavailable,
    OutcomeUnknown,
    OutOfReach,
)
from hgext3rd.fleet.core.retention import Keeping
from testlib import kafka

# kafka-python leaves it to the garbage collector to close a socket that could
# not be connected; see the fixture tidy.
pytestmark = [
    pytest.mark.filterwarnings('ignore:unclosed:ResourceWarning'),
    pytest.mark.usefixtures('tidy'),
]

E0 = 'entries-0'
PATIENCE = 180.0


@pytest.fixture(scope='module')
def cluster(tmp_path_factory):
    # The cleaner, which compacts, looks often.
    extra = ('log.cleaner.backoff.ms=100', 'log.roll.ms=86400000')
    try:
        kafka.jars()
    except kafka.Missing as reason:
        pytest.skip(str(reason))
    with kafka.Cluster(tmp_path_factory.mktemp('kafka'), extra=extra) as one:
        yield one


@pytest.fixture
def broker(cluster):
    yield cluster.brokers[0]
    cluster.revive()


@pytest.fixture
def rest(cluster, broker):
    rest = f'{cluster.servers}/test-{uuid.uuid4().hex}'
    ensure_topics(parse(rest), partitions=2, replication=1)
    return rest


@pytest.fixture
def ledger(rest):
    """A ledger that loses its patience after some seconds."""
    with closing(open_ledger(f'kafka://{rest}?timeout=6')) as ledger:
        yield ledger


@pytest.fixture
def patient(rest):
    with closing(open_ledger(f'kafka://{rest}?timeout=60')) as ledger:
        yield ledger


@contextmanager
def admin(cluster):
    with closing(
        KafkaAdminClient(bootstrap_servers=cluster.servers.split(','))
    ) as client:
        yield client


def configure(client, topic, settings):
    client.alter_configs(
        [ConfigResource(ConfigResourceType.TOPIC, topic, settings)]
    )


def values(ledger, stream=E0):
    return [record.value for record in ledger.read(stream, 0, limit=10_000)]


def on_produce(monkeypatch, after):
    """Have something done to the answer to the next request that writes."""
    real = kafka_gate.KafkaNetClient.send

    def send(client, node, request, **options):
        future = real(client, node, request, **options)
        if not isinstance(request, kafka_gate.ProduceRequest):
            return future
        monkeypatch.setattr(kafka_gate.KafkaNetClient, 'send', real)
        return after(client, future)

    monkeypatch.setattr(kafka_gate.KafkaNetClient, 'send', send)


def eventually(true, what):
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


# -- nobody there ------------------------------------------------------------


def every_call(ledger):
    return {
        'append': lambda: ledger.append(E0, 'k', b''),
        'read': lambda: ledger.read(E0, 0),
        'end': lambda: ledger.end('members'),
        'wait': lambda: ledger.wait({E0: 0}, 1),
    }


@pytest.mark.parametrize('call', ['append', 'read', 'end', 'wait'])
def test_nobody_listens(call):
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        where = f'127.0.0.1:{taken.getsockname()[1]}'
        url = f'kafka://{where}/p?timeout=1'
        with closing(open_ledger(url)) as ledger:
            start = time.monotonic()
            with pytest.raises(LedgerUnavailable, match=where) as caught:
                every_call(ledger)[call]()
            assert time.monotonic() - start < PATIENCE
            assert caught.value.hint
    eventually(lambda: not kafka.clients(), 'a thread goes on')


@pytest.mark.parametrize('call', ['append', 'read', 'end', 'wait'])
def test_a_broker_that_hangs_is_not_waited_for(ledger, patient, broker, call):
    broker.signal(signal.SIGSTOP)
    start = time.monotonic()
    with pytest.raises(LedgerUnavailable):
        every_call(ledger)[call]()
    assert time.monotonic() - start < PATIENCE
    broker.signal(signal.SIGCONT)
    patient.end(E0)
    assert every_call(ledger)['append']() == 0


@pytest.mark.parametrize('call', ['read', 'end', 'wait'])
def test_a_broker_that_hangs_later_is_not_waited_for(
    ledger, patient, broker, call
):
    ledger.append(E0, 'k', b'')
    assert ledger.read(E0, 0)
    assert ledger.wait({E0: 0}, 1)
    broker.signal(signal.SIGSTOP)
    start = time.monotonic()
    with pytest.raises(LedgerUnavailable):
        every_call(ledger)[call]()
    assert time.monotonic() - start < PATIENCE
    broker.signal(signal.SIGCONT)
    patient.end(E0)
    assert len(ledger.read(E0, 0)) == 1


def test_missing_topics_are_told(cluster, broker):
    url = f'kafka://{cluster.servers}/never-made?timeout=2'
    with closing(open_ledger(url)) as ledger:
        for call in every_call(ledger).values():
            with pytest.raises(LedgerUnavailable, match='never-made'):
                call()


def test_a_stream_too_many_is_told(ledger):
    for call in (
        lambda: ledger.append('entries-2', 'k', b''),
        lambda: ledger.read('entries-2', 0),
    ):
        with pytest.raises(LedgerUnavailable, match='entries-2'):
            call()


# -- before, during and after the append -------------------------------------


def test_killed_before(ledger, patient, broker):
    assert ledger.append(E0, 'k', b'first') == 0
    broker.kill()
    with pytest.raises(LedgerError) as caught:
        ledger.append(E0, 'k', b'second')
    with pytest.raises(LedgerUnavailable):
        ledger.append(E0, 'k', b'third')
    broker.revive()
    assert b'third' not in values(patient)
    if not isinstance(caught.value, OutcomeUnknown):
        assert values(patient) == [b'first']
    assert ledger.append(E0, 'k', b'last') == len(values(patient)) - 1


def test_hanging_when_the_record_is_sent(ledger, patient, broker):
    assert ledger.append(E0, 'k', b'first') == 0
    broker.signal(signal.SIGSTOP)
    with pytest.raises(OutcomeUnknown, match=r'append to entries-0') as caught:
        ledger.append(E0, 'k', b'second')
    assert 'may still arrive' in caught.value.hint
    eventually(lambda: not kafka.clients(), 'something might still send it')
    broker.signal(signal.SIGCONT)
    patient.end(E0)
    assert ledger.append(E0, 'k', b'third') == len(values(patient)) - 1
    assert values(patient) in (
        [b'first', b'second', b'third'],
        [b'first', b'third'],
    )


def test_killed_while_the_record_is_on_its_way(
    ledger, patient, broker, monkeypatch
):
    assert ledger.append(E0, 'k', b'first') == 0

    def end(_client, future):
        broker.kill()
        return future

    on_produce(monkeypatch, end)
    with pytest.raises(OutcomeUnknown):
        ledger.append(E0, 'k', b'second')
    broker.revive()
    assert values(patient)[:1] == [b'first']
    ledger.append(E0, 'k', b'third')
    assert values(patient) in (
        [b'first', b'second', b'third'],
        [b'first', b'third'],
    )


def test_a_lost_acknowledgement_is_asked_for_again(patient, monkeypatch):
    assert patient.append(E0, 'k', b'first') == 0

    def lose(client, future):
        client.poll(timeout_ms=60_000, future=future)
        assert future.succeeded()
        return Future().failure(errors.KafkaConnectionError('lost'))

    on_produce(monkeypatch, lose)
    assert patient.append(E0, 'k', b'second') == 1
    assert patient.append(E0, 'k', b'third') == 2
    assert values(patient) == [b'first', b'second', b'third']


def test_killed_after(ledger, patient, broker):
    """What was acknowledged is there, since the broker was only killed."""
    acknowledged = [ledger.append(E0, 'k', b'%d' % n) for n in range(20)]
    broker.kill()
    broker.revive()
    assert acknowledged == list(range(20))
    assert values(patient) == [b'%d' % n for n in range(20)]


def test_reading_goes_on_when_the_broker_is_back(ledger, patient, broker):
    ledger.append(E0, 'k', b'first')
    assert values(patient) == [b'first']
    broker.kill()
    with pytest.raises(LedgerUnavailable):
        ledger.end(E0)
    broker.revive()
    assert values(patient) == [b'first']
    assert ledger.append(E0, 'k', b'second') == 1
    assert patient.read(E0, 1)[0].value == b'second'


def test_a_leader_that_nobody_knows(ledger, monkeypatch):
    """kafka-python's sender alone would try at once and for ever."""
    ledger.append(E0, 'k', b'first')
    metadata = ledger._appender._held.client.cluster
    asked = []

    def leader(part):
        asked.append(part)
        return 99

    monkeypatch.setattr(metadata, 'leader_for_partition', leader)
    with pytest.raises(LedgerUnavailable):
        ledger.append(E0, 'k', b'second')
    # Some thousands in each second, if it does not pause.
    assert len(asked) < 1000
    eventually(lambda: not kafka.clients(), 'the sender goes on')
    assert ledger.append(E0, 'k', b'third') == 1
    assert values(ledger) == [b'first', b'third']


def test_a_leader_that_is_known_again(patient, monkeypatch):
    patient.append(E0, 'k', b'first')
    metadata = patient._appender._held.client.cluster
    real = metadata.leader_for_partition
    asked = []

    def leader(part):
        asked.append(part)
        return 99 if len(asked) < 20 else real(part)

    monkeypatch.setattr(metadata, 'leader_for_partition', leader)
    assert patient.append(E0, 'k', b'second') == 1
    assert len(asked) >= 20


def test_a_sender_that_is_stuck_sends_nothing_later(
    ledger, patient, monkeypatch
):
    """Even one that ignores that time is up cannot pass a gate."""
    ledger.append(E0, 'k', b'first')
    held = threading.Event()
    sender = ledger._appender._producer._sender
    real = sender.run_once

    def run_once():
        held.wait()
        real()

    monkeypatch.setattr(sender, 'run_once', run_once)
    with pytest.raises(LedgerUnavailable):
        ledger.append(E0, 'k', b'second')
    held.set()
    sender.join(PATIENCE)
    assert not sender.is_alive()
    assert ledger.append(E0, 'k', b'third') == 1
    assert values(patient) == [b'first', b'third']


# -- refusals ----------------------------------------------------------------


def test_a_record_can_be_too_large_to_send(ledger):
    with pytest.raises(LedgerFull, match='9000000 bytes') as caught:
        ledger.append(E0, 'k', bytes(9_000_000))
    assert 'inline-limit' in caught.value.hint
    assert ledger.append(E0, 'k', b'') == 0


def test_a_record_can_be_too_large_for_the_topic(cluster, rest, ledger):
    topic = parse(rest).entries
    with admin(cluster) as client:
        configure(client, topic, {'max.message.bytes': '100000'})
    with pytest.raises(LedgerFull, match='200000 bytes'):
        ledger.append(E0, 'k', bytes(200_000))
    assert ledger.append(E0, 'k', bytes(50_000)) == 0
    (fault,) = check_topics(parse(rest), 2, 1, 64 << 10)
    assert 'max.message.bytes=100000' in fault


def test_what_is_deleted_is_never_skipped(cluster, rest, ledger):
    for number in range(5):
        ledger.append(E0, 'k', b'%d' % number)
    with admin(cluster) as client:
        client.delete_records({TopicPartition(parse(rest).entries, 0): 3})
    for position in (0, 2):
        with pytest.raises(OutOfReach, match='reach back') as caught:
            ledger.read(E0, position)
        assert f'entries-0 in kafka://{rest} from position {position}' in str(
            caught.value
        )
        assert caught.value.start == 3
    assert [record.offset for record in ledger.read(E0, 3)] == [3, 4]
    assert ledger.end(E0) == 5


def reads_what_is_left(ledger, position, limit):
    """Compare a read with all that is there, once that stays the same."""
    while True:
        before = ledger.read('members', 0)
        found = ledger.read('members', position, limit=limit)
        if ledger.read('members', 0) == before:
            left = [record for record in before if record.offset >= position]
            return found == left[:limit]


def test_reading_passes_the_gaps_of_compaction(cluster, rest, ledger):
    topic = parse(rest).members
    with admin(cluster) as client:
        configure(
            client,
            topic,
            {'min.cleanable.dirty.ratio': '0.01', 'segment.bytes': '1048576'},
        )
    for number in range(12):
        ledger.append('members', 'ab'[number % 2], bytes(200_000))
    ledger.append('members', 'c', b'end')
    eventually(lambda: len(ledger.read('members', 0)) < 13, 'no compaction')
    records = ledger.read('members', 0)
    offsets = [record.offset for record in records]
    assert {'a', 'b', 'c'} == {record.key for record in records}
    assert offsets[-1] == 12
    assert offsets == sorted(offsets)
    for position in range(14):
        for limit in (1000, 1):
            assert reads_what_is_left(ledger, position, limit)
    assert ledger.end('members') == 13


# -- the topics --------------------------------------------------------------


def test_topics_are_made_once_and_found_to_be_good(rest):
    ensure_topics(parse(rest), 2, 1)
    assert check_topics(parse(rest), 2, 1, 64 << 10) == []


def test_what_is_wrong_with_the_topics(cluster, broker):
    place = parse(f'{cluster.servers}/wrong-{uuid.uuid4().hex}')
    assert check_topics(place, 2, 1, 0) == [
        f'the topic {place.entries} does not exist',
        f'the topic {place.members} does not exist',
    ]
    with admin(cluster) as client:
        client.create_topics(
            {
                name: {'num_partitions': 3, 'replication_factor': 1}
                for name in (place.entries, place.members)
            },
            wait_for_metadata=True,
        )
    ensure_topics(place, 2, 2)
    found = '\n'.join(check_topics(place, 2, 3, 64 << 10))
    for words in (
        'entries has 3 partitions instead of 2',
        'members has 3 partitions instead of 1',
        'entries is kept 1 times instead of 3',
        'entries has min.insync.replicas=1, not 2',
        'members has cleanup.policy=delete, not compact',
        'members has segment.ms=86400000, not 600000',
    ):
        assert words in found
    assert 'max.message.bytes' not in found
    assert 'entries has segment.ms' not in found
    assert 'unclean' not in found
    # That is a choice, as long as snapshots have what it deletes.
    assert 'retention' not in found
    assert keeping(place) == Keeping(7 * 86400.0)


def test_topics_that_are_made_keep_everything(rest):
    ensure_topics(parse(rest), 2, 1)
    assert keeping(parse(rest)).forever


def test_topics_that_cannot_be_made(cluster, broker):
    place = parse(f'{cluster.servers}/many?timeout=5')
    with pytest.raises(LedgerUnavailable, match='make the topics'):
        ensure_topics(place, 1, 3)


# -- use ---------------------------------------------------------------------


def test_nothing_runs_on_after_closing(rest):
    with ExitStack() as stack:
        for _ in range(3):
            ledger = stack.enter_context(
                closing(open_ledger(f'kafka://{rest}'))
            )
            ledger.append(E0, 'k', b'')
            ledger.read(E0, 0)
            ledger.wait({E0: 99}, 0)
        assert kafka.clients()
    eventually(lambda: not kafka.clients(), 'a thread goes on')


def test_reading_far_is_done_in_parts(ledger):
    for number in range(30):
        ledger.append(E0, 'ab'[number % 2], b'%02d' % number * 50_000)
    whole = ledger.read(E0, 0)
    assert [record.offset for record in whole] == list(range(30))
    assert ledger.read(E0, 0, {'b'}) == whole[1::2]
    position, parts = 0, []
    while batch := ledger.read(E0, position, limit=7):
        parts += batch
        position = batch[-1].offset + 1
    assert parts == whole
