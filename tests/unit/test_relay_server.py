"""The relay's two halves in one process: order, limits, and bad clients."""

from __future__ import annotations

import math
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from hgext3rd.fleet import daemon
from hgext3rd.fleet.adapters import ledger_relay, unixsocket
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
    Assembler,
    Declined,
    End,
    Hello,
    Message,
    Number,
    Welcome,
    Working,
)
from hgext3rd.replicate import relay as server
from hgext3rd.replicate import relaypool
from hgext3rd.replicate.relay import LIMITS, Relay, State
from testlib.memory import MemoryLedger

E0, E1 = 'entries-0', 'entries-1'
SOON = 20.0


class Told(daemon.Stop):
    """Told to stop by another thread, rather than by a signal."""

    def now(self, *_signal: object) -> None:
        self._told = True


class World:
    """A relay in a thread, and the ledger behind it.

    ``opened`` counts how often it was opened; ``refusal`` is raised by
    opening; a stream in ``gates`` is held up until its event is set.
    """

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / 'ledger.sock')
        self.ledger = MemoryLedger(self._between)
        self.failures: list[BaseException] = []
        self.refusal: Exception | None = None
        self.opened = 0
        self.heard: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.arrived = threading.Semaphore(0)
        self._stop = Told()

    def _between(self, where: str) -> None:
        if where == 'append':
            self.arrived.release()
            assert self.gate.wait(SOON)
        if self.failures and where in ('append', 'read'):
            raise self.failures.pop(0)

    def open(self) -> MemoryLedger:
        self.opened += 1
        if self.refusal:
            raise self.refusal
        return self.ledger

    @contextmanager
    def running(self) -> Iterator[World]:
        one = Relay(self.path, 'memory://', self.open, self.heard.append)
        thread = threading.Thread(target=one.run, args=(self._stop,))
        thread.start()
        try:
            yield self
        finally:
            self.gate.set()
            self.stop()
            thread.join(SOON)
            assert not thread.is_alive()
            assert not os.path.exists(self.path)

    def stop(self) -> None:
        self._stop.now()
        with socket.socket(socket.AF_UNIX) as wake, suppress(OSError):
            # Where it has not noticed yet.
            wake.connect(self.path)

    def client(self) -> closing[RelayLedger]:
        return closing(RelayLedger(self.path, 'memory://'))

    def append_beside(self, stream: str, value: bytes) -> Beside:
        """Append in another thread; return when the ledger is asked."""
        beside = Beside(self, stream, value)
        assert self.arrived.acquire(timeout=SOON)
        return beside


class Beside:
    """An append in a thread of its own."""

    def __init__(self, world: World, stream: str, value: bytes) -> None:
        self.offset: int | None = None
        self._call = (world, stream, value)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        world, stream, value = self._call
        with world.client() as ledger:
            self.offset = ledger.append(stream, 'k', value)

    def join(self) -> int | None:
        self._thread.join(SOON)
        return self.offset


class Raw:
    """A client that says what it likes."""

    def __init__(self, path: str, greets: bool = True) -> None:
        self.link = socket.socket(socket.AF_UNIX)
        self.link.settimeout(SOON)
        self.link.connect(path)
        if greets:
            self.say(Hello(frames.VERSION, ''))
            assert self.hear() == Welcome(frames.VERSION)

    def say(self, message: Message) -> None:
        self.link.sendall(b''.join(frames.encode(message)))

    def hear(self) -> Message | None:
        """Return the next message; None when the relay has hung up."""
        inbox = Assembler()
        while True:
            try:
                data = self.link.recv(inbox.wanted)
            except ConnectionResetError:
                return None
            if not data:
                return None
            message = inbox.feed(data)
            if message is not None:
                return message

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_problem: object) -> None:
        self.link.close()


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
        # Heard in the order in which they speak.
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


# the client, with a relay that does as the test likes


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
    'first', [Welcome(frames.VERSION + 1), Number(3), Declined('no')]
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
    half = frames.encode(frames.Records((), more=True))
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
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, 'BEAT', 0.02)
    monkeypatch.setattr(server, '_TICK', 0.02)
    monkeypatch.setattr(ledger_relay, 'PATIENCE', 0.2)
    world.gate.clear()
    with (
        world.client() as ledger,
        pytest.raises(OutcomeUnknown, match='too long'),
    ):
        ledger.append(E0, 'k', b'')
