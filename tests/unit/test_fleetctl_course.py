"""The course of a part's life: the table, the pauses, the timers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgext3rd.fleetctl import course
from hgext3rd.fleetctl.course import Action, Course, Event, State, after, timer


def go(*events: tuple[Event, float]) -> Course:
    now = Course()
    for event, at in events:
        now, _action = after(now, event, at)
    return now


def test_it_is_started_and_becomes_steady() -> None:
    first, action = after(Course(), Event.START, 5.0)
    assert (first.state, action) == (State.STARTING, Action.SPAWN)
    assert timer(first) == (6.0, Event.STEADY)
    second, action = after(first, Event.STEADY, 6.0)
    assert (second.state, action) == (State.RUNNING, Action.NONE)
    assert timer(second) is None


def test_pauses_double_up_to_the_longest() -> None:
    one = go((Event.START, 0.0))
    pauses = []
    now = 0.0
    for _ in range(10):
        one, _action = after(one, Event.EXITED, now)
        pauses.append(round(one.due - now, 3))
        now = one.due
        one, action = after(one, Event.DUE, now)
        assert action is Action.SPAWN
    assert pauses == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]
    assert one.restarts == 10


@pytest.mark.parametrize(
    ('lived', 'pause'), [(9.9, 0.4), (10.0, 0.2), (1000.0, 0.2)]
)
def test_a_long_life_is_forgiven(lived: float, pause: float) -> None:
    one = go((Event.START, 0.0), (Event.EXITED, 0.0), (Event.DUE, 1.0))
    one, _action = after(one, Event.EXITED, 1.0 + lived)
    assert one.due - (1.0 + lived) == pytest.approx(pause)


def test_stopping_does_not_start_again() -> None:
    one = go((Event.START, 0.0), (Event.STEADY, 1.0))
    one, action = after(one, Event.STOP, 2.0)
    assert action is Action.TERMINATE
    one, action = after(one, Event.EXITED, 3.0)
    assert (one.state, action) == (State.STOPPED, Action.NONE)


def test_stopping_while_it_waits_needs_no_process() -> None:
    one = go((Event.START, 0.0), (Event.EXITED, 0.0))
    one, action = after(one, Event.STOP, 0.1)
    assert (one.state, action) == (State.STOPPED, Action.NONE)
    assert timer(one) is None


@given(
    st.lists(
        st.tuples(st.sampled_from(Event), st.floats(0.01, 40.0)), max_size=40
    )
)
def test_no_two_processes_at_once(steps: list[tuple[Event, float]]) -> None:
    """Whatever happens in whatever order, SPAWN comes only without one."""
    one, now, alive = Course(), 0.0, False
    for event, passed in steps:
        now += passed
        if event is Event.EXITED:
            if not alive:
                continue
            alive = False
        one, action = after(one, event, now)
        if action is Action.SPAWN:
            assert not alive
            alive = True
        if action is Action.TERMINATE:
            assert alive
        running = (State.STARTING, State.RUNNING, State.STOPPING)
        assert alive is (one.state in running)
        assert one.pause <= course.LONGEST_PAUSE
