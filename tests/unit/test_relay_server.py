"""The relay: errors, order, limits, and clients that misbehave."""

from __future__ import annotations

import math
import os
import select
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from hgext3rd.fleet.adapters import unixsocket
from hgext3rd.fleet.adapters.ledger_relay import RelayLedger, RelayUnfit
from hgext3rd.fleet.core import relay as frames
from hgext3rd.fleet.core.errors import (
    LedgerFull,
    LedgerUnavailable,
    OutcomeUnknown,
    SettingError,
)
from hgext3rd.fleet.core.relay import (
    Append,
    Declined,
    End,
    Hello,
    Message,
    Number,
    Working,
)
from hgext3rd.replicate import relay as server
from hgext3rd.replicate import relaypool
from hgext3rd.replicate.relay import LIMITS, State
from testlib.relayworld import SOON, Beside, Raw, World

E0, E1 = 'entries-0', 'entries-1'


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path).running() as world:
        yield world


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SOON
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.005)


# errors


@pytest.mark.parametrize(
    'problem',
    [
        LedgerUnavailable('away', 'wait'),
        LedgerFull('full', 'make room'),
        OutcomeUnknown('perhaps', 'look'),
        SettingError('wrong', 'correct it'),
    ],
)
def test_errors_arrive_as_they_were_raised(
    world: World, problem: LedgerUnavailable
) -> None:
    with world.client() as ledger:
        for call in (
            lambda: ledger.append(E0, 'k', b''),
            lambda: ledger.read(E0, 0),
        ):
            world.failures = [problem]
            with pytest.raises(type(problem)) as caught:
                call()
            assert type(caught.value) is type(problem)
            assert caught.value.message == problem.message
            assert caught.value.hint == problem.hint
        assert ledger.append(E0, 'k', b'') == 0


def test_a_defect_is_no_certainty_for_an_append(world: World) -> None:
    with world.client() as ledger:
        world.failures = [ZeroDivisionError('oops')]
        with pytest.raises(OutcomeUnknown, match='oops'):
            ledger.append(E0, 'k', b'')
        world.failures = [ZeroDivisionError('oops')]
        with pytest.raises(LedgerUnavailable, match='oops'):
            ledger.read(E0, 0)
        assert ledger.append(E0, 'k', b'') == 0
    assert len(world.heard) == 2


def test_a_failed_ledger_is_opened_afresh(world: World) -> None:
    until(lambda: world.opened == relaypool.CALLERS)
    with world.client() as ledger:
        world.failures = [LedgerUnavailable('gone')]
        with pytest.raises(LedgerUnavailable):
            ledger.append(E0, 'k', b'')
        for number in range(2 * relaypool.CALLERS):
            assert ledger.append(E0, 'k', b'') == number
    # The thread that had dropped it may not have had another turn.
    assert world.opened <= relaypool.CALLERS + 1
    world.failures = [LedgerFull('no room')]
    before = world.opened
    with world.client() as ledger, pytest.raises(LedgerFull):
        ledger.append(E0, 'k', b'')
    assert world.opened <= before + 1


def test_a_ledger_that_cannot_be_opened(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.refusal = SettingError('not a ledger', 'restore it')
    with world.running(), world.client() as ledger:
        with pytest.raises(SettingError, match='not a ledger') as caught:
            ledger.append(E0, 'k', b'')
        assert caught.value.hint == 'restore it'
        world.refusal = None
        assert ledger.append(E0, 'k', b'') == 0
    assert 'not a ledger' in world.heard[0]


# order


def test_one_stream_keeps_its_order_and_others_do_not_wait(
    world: World,
) -> None:
    world.gate.clear()
    first = world.append_beside(E0, b'first')
    with Raw(world.path) as later, world.client() as other:
        later.say(End(E0))
        assert other.end(E1) == 0
        assert other.read(E1, 0) == []
        world.gate.set()
        assert later.hear() == Number(1)
    assert first.join() == 0


def test_many_at_once(world: World) -> None:
    besides = [
        Beside(world, f'entries-{number % 3}', b'%d' % number)
        for number in range(60)
    ]
    offsets = [one.join() for one in besides]
    assert sorted(offsets) == sorted([*range(20)] * 3)


def test_what_its_client_has_left_is_not_begun(world: World) -> None:
    world.gate.clear()
    first = world.append_beside(E0, b'first')
    with Raw(world.path) as leaver, Raw(world.path) as later:
        leaver.say(Append(E0, 'k', b'left'))
        leaver.link.close()
        # When the second answer comes, the relay has heard of the end.
        for _ in range(2):
            later.say(End(E1))
            assert later.hear() == Number(0)
        world.gate.set()
        later.say(End(E0))
        assert later.hear() == Number(1)
    assert first.join() == 0


def test_what_could_not_be_begun_in_time_is_declined(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relaypool, 'QUEUE', 0.0)
    with world.client() as ledger, pytest.raises(RelayUnfit, match='busy'):
        ledger.append(E0, 'k', b'')
    assert world.ledger.end(E0) == 0


def test_who_waits_for_an_answer_hears_that_it_is_coming(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, 'BEAT', 0.02)
    monkeypatch.setattr(server, '_TICK', 0.02)
    world.gate.clear()
    with Raw(world.path) as raw:
        raw.say(Append(E0, 'k', b''))
        assert [raw.hear() for _ in range(3)] == [Working()] * 3
        world.gate.set()
        while (said := raw.hear()) == Working():
            pass
        assert said == Number(0)


# clients that cost the others nothing


@pytest.mark.parametrize(
    'rubbish',
    [
        b'GET / HTTP/1.0\r\n\r\n',
        bytes(4096),
        b'HGFR' + b'\xff' * 100,
        b''.join(frames.encode(End(E0))),
        b''.join(frames.encode(Working())),
    ],
    ids=['http', 'zeros', 'lengths', 'no hello', 'no request'],
)
def test_rubbish_ends_the_connection(world: World, rubbish: bytes) -> None:
    with world.client() as ledger, Raw(world.path, greets=False) as raw:
        raw.link.sendall(rubbish)
        assert raw.hear() is None
        assert ledger.append(E0, 'k', b'') == 0


@pytest.mark.parametrize('said', [Working(), Hello(1, ''), Number(1)])
def test_what_is_no_request_ends_the_connection(
    world: World, said: Message
) -> None:
    with Raw(world.path) as raw:
        raw.say(said)
        assert raw.hear() is None


def test_who_speaks_out_of_turn_is_dropped(world: World) -> None:
    world.gate.clear()
    with Raw(world.path) as raw, world.client() as ledger:
        raw.say(Append(E0, 'k', b''))
        raw.say(End(E0))
        assert raw.hear() is None
        assert ledger.end(E1) == 0


@pytest.mark.parametrize(
    ('state', 'said'),
    [
        (State.GREETING, b''),
        (State.GREETING, b'HGFR'),
        (State.IDLE, None),
        (State.HEARING, b'HGFR\0\0'),
    ],
)
def test_silence_ends_the_connection(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    state: State,
    said: bytes | None,
) -> None:
    monkeypatch.setitem(LIMITS, state, 0.05)
    with Raw(world.path, greets=state is not State.GREETING) as raw:
        # Whoever is slow is hung up on before.
        with suppress(BrokenPipeError):
            raw.link.sendall(said or b'')
        assert raw.hear() is None
    monkeypatch.setitem(LIMITS, state, math.inf)
    with world.client() as ledger:
        assert ledger.append(E0, 'k', b'') == 0


def test_who_does_not_take_the_answer_is_dropped(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.ledger.append(E0, 'k', bytes(8 << 20))
    monkeypatch.setitem(LIMITS, State.TELLING, 0.05)
    with Raw(world.path) as raw:
        raw.say(frames.Read(E0, 0, None, 1))
        with world.client() as ledger:
            assert ledger.end(E0) == 1
        # Not by a word of this side, which would be out of turn.
        hung_up = select.poll()
        hung_up.register(raw.link, 0)
        assert hung_up.poll(SOON * 1000)


def test_too_many_are_sent_away(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, 'MOST', 3)
    raws = [Raw(world.path) for _ in range(3)]
    with pytest.raises(RelayUnfit, match='too many'):
        world.client()
    for one in raws:
        one.link.close()

    def admitted() -> bool:
        try:
            RelayLedger(world.path).close()
        except RelayUnfit:
            return False
        return True

    until(admitted)


def test_another_user_is_not_served(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = unixsocket.user
    monkeypatch.setattr(unixsocket, 'user', lambda link: real(link) + 1)
    with Raw(world.path, greets=False) as raw:
        assert raw.hear() is None
    with pytest.raises(RelayUnfit, match='another user'):
        world.client()


def test_told_to_stop_it_ends_what_it_has_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, 'DRAIN', SOON)
    world = World(tmp_path)
    world.gate.clear()
    with world.running():
        begun = world.append_beside(E0, b'begun')
        with Raw(world.path) as later, Raw(world.path) as idle:
            later.say(End(E0))
            # Heard in the order in which they speak.
            idle.say(End(E1))
            assert idle.hear() == Number(0)
            world.stop()
            assert idle.hear() is None
            assert not os.path.exists(world.path)
            world.gate.set()
            assert later.hear() == Number(1)
            assert later.hear() is None
    assert begun.join() == 0


def test_what_does_not_end_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, 'DRAIN', 0.05)
    world = World(tmp_path)
    world.gate.clear()
    with world.running(), Raw(world.path) as raw:
        raw.say(Append(E0, 'k', b''))
        assert world.arrived.acquire(timeout=SOON)
        world.stop()
        assert raw.hear() is None


# the first words


def test_another_version_is_declined(world: World) -> None:
    with Raw(world.path, greets=False) as raw:
        raw.say(Hello(frames.VERSION + 1, ''))
        assert raw.hear() == Declined(f'it has version {frames.VERSION}')
        assert raw.hear() is None


def test_another_ledger_is_declined(world: World) -> None:
    with pytest.raises(RelayUnfit, match='another ledger') as caught:
        RelayLedger(world.path, 'kafka://elsewhere/x')
    assert 'replicate::relay' in caught.value.hint
    RelayLedger(world.path).close()
