"""The course of one part's life, as a table; no process is touched here.

A part that ends while it should run is started again after a pause: 0.2 s
at first, twice as long each time, at most 30 s, and 0.2 s again once it has
run for ten seconds.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 30.0
STEADY_AFTER = 1.0
FORGIVEN_AFTER = 10.0


class State(enum.Enum):
    """Where a part is in its life; the values are shown by ``status``."""

    STOPPED = 'stopped'
    STARTING = 'starting'
    RUNNING = 'running'
    BACKING_OFF = 'backing off'
    STOPPING = 'stopping'


class Event(enum.Enum):
    """What happens to a part."""

    START = 'it is wanted'
    STEADY = 'it has lived a second'
    EXITED = 'its process ended'
    DUE = 'the pause is over'
    STOP = 'it is no longer wanted'


class Action(enum.Enum):
    """What is to be done about it."""

    NONE = 'nothing'
    SPAWN = 'start its process'
    TERMINATE = 'ask its process to end'


TABLE: dict[tuple[State, Event], tuple[State, Action]] = {
    (State.STOPPED, Event.START): (State.STARTING, Action.SPAWN),
    (State.STARTING, Event.STEADY): (State.RUNNING, Action.NONE),
    (State.STARTING, Event.EXITED): (State.BACKING_OFF, Action.NONE),
    (State.RUNNING, Event.EXITED): (State.BACKING_OFF, Action.NONE),
    (State.BACKING_OFF, Event.DUE): (State.STARTING, Action.SPAWN),
    (State.BACKING_OFF, Event.STOP): (State.STOPPED, Action.NONE),
    (State.STARTING, Event.STOP): (State.STOPPING, Action.TERMINATE),
    (State.RUNNING, Event.STOP): (State.STOPPING, Action.TERMINATE),
    (State.STOPPING, Event.EXITED): (State.STOPPED, Action.NONE),
}


@dataclass(frozen=True)
class Course:
    """How far a part has come.

    ``since`` is when it was started last, ``due`` when it is to be started
    again, ``pause`` how long the next wait will be (seconds, of a clock
    that only advances); ``restarts`` counts the starts but the first.
    """

    state: State = State.STOPPED
    since: float = 0.0
    due: float = 0.0
    pause: float = FIRST_PAUSE
    restarts: int = 0


def after(course: Course, event: Event, now: float) -> tuple[Course, Action]:
    """Return the course after ``event``, and what to do.

    An event that the state does not know changes nothing: a process can
    end, or a stop be asked for, at any moment.
    """
    known = TABLE.get((course.state, event))
    if known is None:
        return course, Action.NONE
    state, action = known
    course = replace(course, state=state)
    if event is Event.EXITED and state is State.BACKING_OFF:
        forgiven = now - course.since >= FORGIVEN_AFTER
        pause = FIRST_PAUSE if forgiven else course.pause
        longer = min(2 * pause, LONGEST_PAUSE)
        course = replace(course, due=now + pause, pause=longer)
    if event is Event.DUE:
        course = replace(course, restarts=course.restarts + 1)
    if action is Action.SPAWN:
        course = replace(course, since=now)
    return course, action


def timer(course: Course) -> tuple[float, Event] | None:
    """Return when time alone will change the course, and to which event."""
    if course.state is State.STARTING:
        return course.since + STEADY_AFTER, Event.STEADY
    if course.state is State.BACKING_OFF:
        return course.due, Event.DUE
    return None
