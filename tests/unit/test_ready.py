"""When a primary says that it can take pushes, and that it cannot."""

from __future__ import annotations

import json
import math
import socket
import threading
import urllib.error
import urllib.request
from dataclasses import replace
from typing import Any, cast

import pytest

from hgext3rd.fleet.core import entry as entries
from hgext3rd.fleet.core.entry import FENCE_KEY, Entry, Kind, Record
from hgext3rd.fleet.core.errors import SettingError
from hgext3rd.fleet.core.ready import Vitals, refusal
from hgext3rd.replicate import health, serve
from hgext3rd.replicate.health import Health, address
from testlib.haproxy import free_ports
from testlib.memory import MemoryLedger

WELL = Vitals(now=10.0, until=12.0, behind=0)


@pytest.mark.parametrize(
    ('vitals', 'reason'),
    [
        (WELL, ''),
        (replace(WELL, until=10.0), 'lost touch with the ledger'),
        (replace(WELL, until=math.nan), 'lost touch with the ledger'),
        (replace(WELL, behind=None), 'is catching up with the ledger'),
        (replace(WELL, behind=3), 'catching up with the ledger, 3 to go'),
        (replace(WELL, trouble='no answer'), 'the ledger: no answer'),
        (replace(WELL, fenced=True), 'is fenced'),
        (replace(WELL, free=3 << 20, needed=64 << 20), '3 MB left'),
        (replace(WELL, free=64 << 20, needed=64 << 20), ''),
        (replace(WELL, door=False), 'sshd of this primary does not answer'),
    ],
)
def test_the_reason(vitals: Vitals, reason: str) -> None:
    said = refusal(vitals)
    assert bool(said) == bool(reason)
    assert said.endswith(reason) or reason in said


class Node:
    """What Health needs of a node, of its clock and of its membership."""

    until = 5.0

    def __init__(self, **settings: Any) -> None:
        self.settings = self
        self.clock = self
        self.node = 'hg1'
        self.root = self.state = '/'
        self.room = 0
        self.sshd = ''
        self.now = 1.0
        self.__dict__.update(settings)

    def boot(self) -> float:
        return self.now


def made(node: Node, positions: dict[int, int] | None = None) -> Health:
    return Health(cast(Any, node), cast(Any, node), positions or {0: 0})


def fence(name: str, action: str, offset: int) -> Record:
    value = entries.encode(
        Entry(
            kind=Kind.FENCE,
            repo='',
            seq=0,
            prev=0,
            node='hg2',
            user='ann',
            time=1,
            source=action,
            text=name,
        )
    )
    return Record(offset, FENCE_KEY, value)


def test_it_catches_up_with_what_there_was_and_not_with_what_comes() -> None:
    ledger = MemoryLedger()
    for _ in range(2):
        ledger.append('entries-0', 'demo', b'')
    positions = {0: 0, 1: 0}
    one = made(Node(), positions)
    assert 'catching up' in one.refusal()
    one.begin(ledger)
    assert '2 to go' in one.refusal()
    positions[0] = 2
    ledger.append('entries-0', 'demo', b'')
    one.begin(ledger)
    assert one.refusal() == ''


def test_what_hinders_it_is_told_until_it_goes_on() -> None:
    one = made(Node())
    one.begin(MemoryLedger())
    one.step('the ledger is locked')
    assert 'the ledger is locked' in one.refusal()
    one.step()
    assert one.refusal() == ''


def test_the_last_fence_counts_whoever_reads_it_first() -> None:
    ledger = MemoryLedger()
    ledger.append('entries-0', FENCE_KEY, fence('hg1', 'fence', 0).value)
    one = made(Node(), {0: 1})
    one.begin(ledger)
    assert 'fenced' in one.refusal()
    one.hear(0, [fence('hg1', 'unfence', 7)])
    one.hear(0, [fence('hg1', 'fence', 0), fence('hg2', 'fence', 9)])
    assert one.refusal() == ''
    one.hear(1, [fence('hg1', 'fence', 8)])
    assert one.refusal() == ''
    one.hear(0, [fence('hg1', 'fence', 8)])
    assert 'fenced' in one.refusal()


def test_a_disk_without_room_is_no_place_for_pushes() -> None:
    one = made(Node(room=1 << 60))
    one.begin(MemoryLedger())
    assert 'MB left' in one.refusal()


def test_sshd_is_greeted_now_and_then() -> None:
    node = Node(sshd='127.0.0.1:22', until=100.0)
    one = made(node)
    one.begin(MemoryLedger())
    answers = [True, False, False, True]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(health, '_greets', lambda _where: answers.pop(0))
        assert one.refusal() == ''
        assert one.refusal() == ''
        node.now += 60
        assert 'sshd' in one.refusal()
        assert 'sshd' in one.refusal()
        assert one.refusal() == ''
        assert answers == []


@pytest.mark.parametrize(
    ('said', 'good'),
    [(b'SSH-2.0-OpenSSH_9.2\r\n', True), (b'', False), (b'HTTP/1.0 4', False)],
)
def test_how_an_sshd_greets(said: bytes, good: bool) -> None:
    with socket.create_server(('127.0.0.1', 0)) as server:

        def answer() -> None:
            peer, _where = server.accept()
            with peer:
                peer.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        assert health._greets(server.getsockname()) is good
        thread.join()


def ask(port: int, path: str) -> tuple[int, str]:
    try:
        where = f'http://127.0.0.1:{port}{path}'
        with urllib.request.urlopen(where, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as problem:
        with problem:
            return problem.code, problem.read().decode()


def test_what_is_answered() -> None:
    (port,) = free_ports(1)
    one = made(Node(), {0: 3})
    health.listen(one, f'127.0.0.1:{port}')
    status, said = ask(port, '/readyz')
    assert (status, said) == (
        503,
        'this primary is catching up with the ledger\n',
    )
    one.begin(MemoryLedger())
    assert ask(port, '/readyz') == (200, 'ready\n')
    assert ask(port, '/demo')[0] == 404
    status, said = ask(port, '/healthz')
    assert status == 200
    assert json.loads(said) == {
        'node': 'hg1',
        'serving': True,
        'reason': '',
        'lease': 4.0,
        'positions': {'0': 3},
    }
    with pytest.raises(SettingError, match='cannot listen at'):
        health.listen(one, f'127.0.0.1:{port}')


def test_a_mirror_answers_by_its_web_server() -> None:
    node = Node(role='mirror', ready='127.0.0.1:9022')
    with pytest.raises(SettingError, match='hg1 is a mirror'):
        serve._tell(made(node), cast(Any, node))


@pytest.mark.parametrize('value', ['9022', ':9022', 'host:', 'host:x', 'h:²'])
def test_an_address_has_a_host_and_a_port(value: str) -> None:
    with pytest.raises(SettingError, match=r'fleet\.ready is'):
        address('fleet.ready', value)


def test_an_address_of_version_6() -> None:
    assert address('fleet.ready', '[::1]:9022') == ('::1', 9022)
