"""What every ledger must do, whatever it is made of."""

from __future__ import annotations

import random
import statistics
import threading
import time
from contextlib import closing

import pytest

from hgext3rd.fleet.adapters import open_ledger
from hgext3rd.fleet.ports import Record

E0 = 'entries-0'


def lines(process, count):
    return [process.stdout.readline().strip() for _ in range(count)]


def fill(ledger, keys, stream=E0):
    return [
        Record(ledger.append(stream, key, b'%d' % i), key, b'%d' % i)
        for i, key in enumerate(keys)
    ]


def test_an_empty_stream_ends_where_it_starts(ledger):
    assert ledger.end(E0) == 0
    assert ledger.read(E0, 0) == []
    assert ledger.read(E0, 7) == []
    assert ledger.end('members') == 0
    assert ledger.read('members', 0) == []


def test_records_come_back_in_order_without_a_gap(ledger):
    records = fill(ledger, 'abcab')
    assert [record.offset for record in records] == [0, 1, 2, 3, 4]
    assert ledger.read(E0, 0) == records
    assert ledger.end(E0) == 5


def test_streams_do_not_mix(ledger):
    fill(ledger, 'ab')
    other = fill(ledger, 'a', 'entries-1')
    assert other[0].offset == 0
    assert ledger.read('entries-1', 0) == other
    assert (ledger.end(E0), ledger.end('entries-1')) == (2, 1)
    assert ledger.read('entries-1', 0, {'b'}) == []


def test_reading_goes_on_from_a_position(ledger):
    records = fill(ledger, 'abc')
    assert ledger.read(E0, 1) == records[1:]
    assert ledger.read(E0, 3) == []
    assert ledger.read(E0, 9) == []


def test_a_limit_cuts_the_end(ledger):
    records = fill(ledger, 'abab')
    assert ledger.read(E0, 0, limit=3) == records[:3]
    assert ledger.read(E0, 1, limit=1) == records[1:2]
    assert ledger.read(E0, 0, {'b'}, limit=1) == records[1:2]
    assert ledger.read(E0, 0, {'a', 'b'}, limit=3) == records[:3]
    assert ledger.read(E0, 0, limit=0) == []


def test_keys_choose_records(ledger):
    records = fill(ledger, 'abcab')
    assert ledger.read(E0, 0, {'a'}) == [records[0], records[3]]
    assert ledger.read(E0, 1, ['b', 'c', 'b']) == [
        records[1],
        records[2],
        records[4],
    ]
    assert ledger.read(E0, 0, {'nobody'}) == []
    assert ledger.read(E0, 0, ()) == []


@pytest.mark.parametrize('seed', range(3))
def test_any_read_agrees_with_a_plain_list(ledger, seed):
    chance = random.Random(seed)
    model = fill(ledger, chance.choices('abcdefgh', k=120))
    for _ in range(100):
        position = chance.randrange(130)
        limit = chance.randrange(20)
        keys = None
        if chance.random() < 0.7:
            keys = chance.sample('abcdefghij', chance.randrange(6))
        wanted = [
            record
            for record in model[position:]
            if keys is None or record.key in keys
        ]
        found = ledger.read(E0, position, keys, limit)
        assert found == wanted[:limit]
        told = [record for record in wanted if record.offset < found.upto]
        assert told == found
        assert found.upto >= min(position, len(model))
        if len(found) < limit and keys != []:
            assert found.upto == len(model)


@pytest.mark.parametrize(
    'value',
    [b'', bytes(range(256)), b'\xff' * (256 << 10)],
    ids=['empty', 'every byte', '256 KiB'],
)
def test_any_bytes_are_kept(ledger, value):
    ledger.append(E0, 'päth/with spaces', value)
    (record,) = ledger.read(E0, 0, {'päth/with spaces'})
    assert record == Record(0, 'päth/with spaces', value)


def test_members_keeps_the_last_of_each_key_and_never_goes_back(ledger):
    offsets = [
        ledger.append('members', 'node%d' % (i % 3), b'%d' % i)
        for i in range(30)
    ]
    assert offsets == sorted(set(offsets))
    records = ledger.read('members', 0)
    last = {record.key: record.value for record in records}
    assert last == {'node0': b'27', 'node1': b'28', 'node2': b'29'}
    assert [record.offset for record in records] == sorted(
        record.offset for record in records
    )
    assert ledger.end('members') == offsets[-1] + 1
    assert ledger.read('members', offsets[-1]) == records[-1:]


def test_closing_twice_and_opening_again(ledger_url):
    ledger = open_ledger(ledger_url)
    records = fill(ledger, 'abc')
    ledger.append('members', 'a', b'here')
    ledger.close()
    ledger.close()
    with closing(open_ledger(ledger_url)) as ledger:
        assert ledger.read(E0, 0) == records
        assert ledger.read('members', 0)[-1].value == b'here'
        assert ledger.append(E0, 'd', b'') == 3


def test_processes_append_at_once(ledger, ledger_url, act):
    names = ['p', 'q', 'r', 's']
    actors = {n: act('append', ledger_url, E0, n, 50, 2048) for n in names}
    acknowledged = {}
    for name, actor in actors.items():
        assert actor.stdout.readline() == 'ready\n'
        for number, line in enumerate(actor.stdout):
            assert int(line) not in acknowledged
            acknowledged[int(line)] = f'{name} {number}'
        assert actor.wait() == 0
    assert sorted(acknowledged) == list(range(200))
    records = ledger.read(E0, 0)
    assert {
        record.offset: record.value.decode().rstrip() for record in records
    } == acknowledged


def test_wait_returns_at_once_when_there_is_something(ledger):
    fill(ledger, 'a')
    start = time.monotonic()
    assert ledger.wait({E0: 0}, 30)
    assert E0 in ledger.wait({'entries-1': 0, E0: 0}, 30)
    assert time.monotonic() - start < 25


def test_wait_times_out(ledger):
    fill(ledger, 'a')
    start = time.monotonic()
    assert not ledger.wait({E0: 1, 'members': 0}, 0)
    assert not ledger.wait({E0: 1, 'members': 0}, 0.3)
    assert time.monotonic() - start >= 0.3


def test_an_idle_wait_costs_nothing(ledger):
    ledger.wait({E0: 0}, 0)
    before = time.process_time()
    assert not ledger.wait({E0: 0, 'members': 0}, 2)
    # To ask all the time would take as much as there is.
    assert time.process_time() - before < 0.3


@pytest.mark.parametrize('stream', [E0, 'entries-1', 'members'])
def test_wait_wakes_at_another_process(ledger, ledger_url, act, stream):
    actor = act('listen', ledger_url, E0, 'entries-1', 'members')
    assert lines(actor, 1) == ['ready']
    delays = []
    for number in range(20):
        ledger.append(stream, 'k', b'')
        written = time.monotonic()
        where, offset, seen = actor.stdout.readline().split()
        assert (where, int(offset)) == (stream, number)
        delays.append(float(seen) - written)
    # A quiet machine needs some 0.2 ms; to look once a second is too slow.
    assert statistics.median(delays) < 0.5


def test_all_who_wait_wake(ledger, ledger_url, act):
    actors = [act('listen', ledger_url, E0) for _ in range(3)]
    for actor in actors:
        assert lines(actor, 1) == ['ready']
    actors[0].kill()
    actors[0].wait()
    delays = []
    for _ in range(9):
        ledger.append(E0, 'k', b'')
        written = time.monotonic()
        for actor in actors[1:]:
            assert actor.stdout.readline().startswith(E0)
        delays.append(time.monotonic() - written)
    assert statistics.median(delays) < 0.5


def test_a_forked_child_has_a_ledger_of_its_own(ledger_url, act):
    actor = act('fork', ledger_url)
    assert lines(actor, 1) == ['child']
    assert actor.wait(120) == 0
    # Opened and closed by another while only the child still has it.
    with closing(open_ledger(ledger_url)) as ledger:
        ledger.append(E0, 'k', b'other')
        ledger.append('members', 'm', b'other')
    actor.stdin.write('\n')
    actor.stdin.flush()
    assert lines(actor, 1) == ['written']
    with closing(open_ledger(ledger_url)) as ledger:
        values = [record.value for record in ledger.read(E0, 0)]
        assert values == [
            b'parent, before',
            b'parent, after',
            b'other',
            b'child',
        ]
        last = {r.key: r.value for r in ledger.read('members', 0)}
        assert last == {'k': b'parent, before', 'l': b'child', 'm': b'other'}


@pytest.mark.parametrize('seed', range(6))
def test_a_killed_appender_loses_nothing(ledger_url, act, seed):
    chance = random.Random(seed)
    acknowledged = 0
    for life in range(3):
        size = chance.choice([10, 3000, 100_000])
        actor = act('append', ledger_url, E0, f'life{life}', 0, size)
        wanted = chance.randrange(1, 40)
        assert lines(actor, 1) == ['ready']
        seen = [int(line) for line in lines(actor, wanted)]
        time.sleep(chance.random() * 0.005)
        actor.kill()
        actor.wait()
        seen += [int(line) for line in actor.stdout if line.endswith('\n')]
        with closing(open_ledger(ledger_url)) as ledger:
            end = ledger.end(E0)
            # Those said, and at most the one in hand.
            assert seen == list(range(acknowledged, acknowledged + len(seen)))
            assert end - acknowledged - len(seen) in (0, 1)
            records = ledger.read(E0, acknowledged, limit=end)
        for number, record in enumerate(records):
            assert record.offset == acknowledged + number
            assert record.value.split() == [b'life%d' % life, b'%d' % number]
        acknowledged = end


def test_misuse_is_told(ledger):
    caught = []

    def elsewhere():
        try:
            ledger.end(E0)
        except RuntimeError as error:
            caught.append(str(error))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert 'another thread' in caught[0]
    ledger.close()
    with pytest.raises(RuntimeError, match='closed'):
        ledger.end(E0)
