"""The one loop: it goes on after failures, and stops when told to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hgext3rd.fleet import daemon
from hgext3rd.fleet.core.errors import (
    FleetError,
    LedgerUnavailable,
    SettingError,
)
from hgext3rd.fleet.daemon import Beside, Interrupted, Stop, run
from testlib.places import TESTS

# Before what they wait for would end by itself.
SOON = 45.0


@pytest.fixture
def signals() -> Iterator[None]:
    """Put back the handlers that a test replaces."""
    known = [signal.SIGTERM, signal.SIGINT, signal.SIGALRM]
    before = {one: signal.getsignal(one) for one in known}
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    for one, handler in before.items():
        signal.signal(one, handler)


@contextmanager
def quickly() -> Iterator[None]:
    start = time.monotonic()
    yield
    assert time.monotonic() - start < SOON


def nobody(problem: FleetError) -> None:
    raise AssertionError(problem)


# the loop


def test_it_runs_until_told_to_stop() -> None:
    stop, calls = Stop(), []

    def step() -> None:
        calls.append(1)
        if len(calls) == 5:
            stop.now()

    run(step, stop, nobody)
    assert len(calls) == 5
    run(step, stop, nobody)
    assert len(calls) == 5


def test_after_failures_it_goes_on_with_growing_pauses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop, heard, pauses = Stop(), [], []
    monkeypatch.setattr(daemon.random, 'uniform', lambda _low, high: high)
    monkeypatch.setattr(stop, 'pause', pauses.append)
    fails = iter([1] * 9 + [0] + [1] * 2 + [0])

    def step() -> None:
        if next(fails):
            raise LedgerUnavailable(f'no {len(heard)}')
        if len(heard) > 9:
            stop.now()

    run(step, stop, heard.append)
    assert [str(one) for one in heard] == [f'no {n}' for n in range(11)]
    growing = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]
    assert pauses == pytest.approx([*growing, 0.1, 0.2])


def test_pauses_differ_from_node_to_node() -> None:
    stop, pauses = Stop(), []
    stop.pause = pauses.append  # type: ignore[method-assign]

    def step() -> None:
        if len(pauses) == 20:
            stop.now()
        else:
            raise LedgerUnavailable('no')

    run(step, stop, lambda _problem: None)
    assert len(set(pauses)) > 10
    for number, pause in enumerate(pauses):
        longest = min(0.1 * 2**number, 5.0)
        assert longest / 2 <= pause <= longest


def test_anything_else_ends_it() -> None:
    def step() -> None:
        raise OSError(28, 'No space left on device')

    with pytest.raises(OSError, match='No space'):
        run(step, Stop(), nobody)


# stopping


def test_a_pause_ends_when_told_to_stop() -> None:
    stop = Stop()
    threading.Timer(0.05, stop.now).start()
    with quickly():
        stop.pause(60)
        # All that sleep wake, and nobody sleeps any more.
        stop.pause(60)


def test_a_pause_is_as_long_as_it_is() -> None:
    stop, start = Stop(), time.monotonic()
    stop.pause(0.05)
    assert time.monotonic() - start >= 0.05
    assert not stop


def test_told_to_stop_all_who_sleep_wake() -> None:
    stop = Stop()
    sleepers = [
        threading.Thread(target=stop.pause, args=(60,)) for _ in range(4)
    ]
    for sleeper in sleepers:
        sleeper.start()
    stop.now()
    with quickly():
        for sleeper in sleepers:
            sleeper.join(SOON)
    assert not any(sleeper.is_alive() for sleeper in sleepers)


def test_waiting_is_left_as_it_was() -> None:
    stop = Stop()
    with stop.waiting():
        pass
    stop.now()
    assert stop


@pytest.mark.usefixtures('signals')
@pytest.mark.parametrize('which', [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_waiting(which: int) -> None:
    stop, steps = Stop(), []
    daemon.listen(stop)

    def step() -> None:
        steps.append(1)
        with stop.waiting():
            os.kill(os.getpid(), which)
            time.sleep(SOON)
        stop.now()

    with quickly():
        run(step, stop, nobody)
    assert len(steps) == 1


@pytest.mark.usefixtures('signals')
def test_a_signal_lets_a_step_end() -> None:
    """And then there is no waiting any more."""
    stop, done = Stop(), []
    daemon.listen(stop)

    def step() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.02)
        done.append('work')
        with stop.waiting():
            done.append('waiting')

    run(step, stop, nobody)
    assert done == ['work']


@pytest.mark.usefixtures('signals')
def test_signals_at_any_moment_and_many_of_them_stop_it() -> None:
    for number in range(60):
        stop = Stop()
        daemon.listen(stop)
        signal.signal(signal.SIGALRM, stop.now)

        def step(stop: Stop = stop) -> None:
            stop.pause(0.0001)
            with stop.waiting():
                time.sleep(0.0001)

        with quickly():
            signal.setitimer(signal.ITIMER_REAL, 0.001 + number / 1e5, 0.0005)
            try:
                run(step, stop, nobody)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        assert stop


def test_it_is_interrupted_once() -> None:
    """While things are put in order, another signal does no harm."""
    stop, done = Stop(), []

    def told_twice() -> None:
        with stop.waiting():
            try:
                stop.now()
            finally:
                stop.now()
                done.append('in order')

    with pytest.raises(Interrupted):
        told_twice()
    assert done == ['in order']


# beside


@pytest.mark.usefixtures('signals')
def test_what_ends_the_work_beside_ends_the_daemon() -> None:
    stop = Stop()
    daemon.listen(stop)

    def work() -> None:
        raise OSError(28, 'No space left on device')

    beside = Beside(work)

    def step() -> None:
        with stop.waiting():
            time.sleep(SOON)
        stop.now()

    with quickly():
        run(step, stop, nobody)
        with pytest.raises(OSError, match='No space'):
            beside.join(SOON)


def test_work_that_comes_to_its_end_is_joined() -> None:
    stop = Stop()
    beside = Beside(lambda: stop.pause(60))
    stop.now()
    with quickly():
        beside.join(SOON)


# alone

HOLD = """
import sys
from hgext3rd.fleet import daemon
held = daemon.alone(sys.argv[1], 'the test')
print('held', flush=True)
sys.stdin.read()
"""


@pytest.fixture
def hold(tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Start processes that hold the lock in the folder of the test."""
    started = []

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, '-c', HOLD, str(tmp_path / 'state' / 'lock')],
            env={**os.environ, 'PYTHONPATH': str(TESTS / 'names')},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == 'held\n'
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_only_one_holds_the_lock(
    tmp_path: Path, hold: Callable[[], subprocess.Popen[str]]
) -> None:
    path = str(tmp_path / 'state' / 'lock')
    holder = hold()
    with pytest.raises(SettingError, match='the test is running') as caught:
        daemon.alone(path, 'the test', patience=0.1)
    assert f'(pid {holder.pid})' in str(caught.value)
    assert 'stop it' in caught.value.hint
    holder.kill()
    holder.wait()
    # Whatever the dead one left, the lock is free.
    with daemon.alone(path, 'the test'):
        assert Path(path).read_text() == f'{os.getpid()}\n'


def test_it_waits_for_one_who_is_just_leaving(
    tmp_path: Path, hold: Callable[[], subprocess.Popen[str]]
) -> None:
    holder = hold()
    threading.Timer(0.1, holder.kill).start()
    path = str(tmp_path / 'state' / 'lock')
    with quickly(), daemon.alone(path, 'the test', patience=SOON):
        pass
