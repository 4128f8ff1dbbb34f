"""The relay's client, and relays that break off, are silent, or babble."""

from __future__ import annotations

import socket
import threading
from contextlib import closing, suppress
from pathlib import Path

import pytest

from hgext3rd.fleet.adapters import ledger_relay, unixsocket
from hgext3rd.fleet.adapters.ledger_relay import RelayLedger, RelayUnfit
from hgext3rd.fleet.core import relay as frames
from hgext3rd.fleet.core.errors import OutcomeUnknown
from hgext3rd.fleet.core.relay import (
    Append,
    Declined,
    Hello,
    Message,
    Number,
    Welcome,
)
from hgext3rd.replicate import relay as server
from testlib.relayworld import SOON, World

E0 = 'entries-0'


class Puppet:
    """A relay that answers as told, in a thread, and then hangs up.

    It greets with ``first``, takes ``much`` bytes, and says ``then``.
    """

    def __init__(
        self, path: str, first: Message, much: int, then: bytes
    ) -> None:
        self._listener = unixsocket.listen(path, 5)
        self._act = (first, much, then)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        first, much, then = self._act
        link, _address = self._listener.accept()
        with link:
            hello = b''.join(frames.encode(Hello(frames.VERSION, '')))
            taken = link.recv(len(hello), socket.MSG_WAITALL)
            assert taken == hello
            link.sendall(b''.join(frames.encode(first)))
            if much:
                link.recv(much, socket.MSG_WAITALL)
            with suppress(BrokenPipeError):
                link.sendall(then)

    def __enter__(self) -> Puppet:
        return self

    def __exit__(self, *_problem: object) -> None:
        self._thread.join(SOON)
        self._listener.close()


WELCOME = Welcome(frames.VERSION)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / 'ledger.sock')


@pytest.mark.parametrize(
    'first',
    [Welcome(frames.VERSION + 1), Number(1), Declined('no')],
)
def test_a_relay_of_another_kind_is_not_used(path: str, first: Message) -> None:
    with Puppet(path, first, 0, b''), pytest.raises(RelayUnfit):
        RelayLedger(path)


REQUEST = b''.join(frames.encode(Append(E0, 'k', b'value')))


@pytest.mark.parametrize('then', [b'', b'HGFR', b'?' * 40, REQUEST])
@pytest.mark.parametrize('much', [1, len(REQUEST)])
def test_a_break_after_sending_is_no_certainty(
    path: str, much: int, then: bytes
) -> None:
    with Puppet(path, WELCOME, much, then), closing(RelayLedger(path)) as near:
        with pytest.raises(OutcomeUnknown, match='append to entries-0') as e:
            near.append(E0, 'k', b'value')
        assert e.value.hint


def test_a_break_before_sending_is_certain(path: str) -> None:
    near = _left_alone(path)
    with closing(near), pytest.raises(RelayUnfit, match='to entries-0'):
        near.append(E0, 'k', b'value')


def _left_alone(path: str) -> RelayLedger:
    with Puppet(path, WELCOME, 0, b''):
        return RelayLedger(path)


def test_a_break_while_reading_is_certain(path: str) -> None:
    half = frames.encode(frames.Records((), 0, more=True))
    with (
        Puppet(path, WELCOME, 1, b''.join(half)),
        closing(RelayLedger(path)) as near,
        pytest.raises(RelayUnfit, match='read entries-0'),
    ):
        near.read(E0, 0)


def test_silence_is_bounded(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_relay, 'GREETING', 0.05)
    listener = unixsocket.listen(path, 5)
    with closing(listener), pytest.raises(RelayUnfit, match='silent'):
        RelayLedger(path)


def test_an_endless_answer_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    monkeypatch.setattr(server, 'BEAT', 0.02)
    monkeypatch.setattr(server, '_TICK', 0.02)
    monkeypatch.setattr(ledger_relay, 'PATIENCE', 0.2)
    world.gate.clear()
    with (
        world.running(),
        world.client() as ledger,
        pytest.raises(OutcomeUnknown, match='takes too long'),
    ):
        ledger.append(E0, 'k', b'')
