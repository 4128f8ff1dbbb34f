"""The supervisor's loop: keep every part running until told to stop.

All that is decided is in ``course.py``; here processes are started and
ended, and what happens is written down (``running.py``).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable
from typing import Protocol

from . import process, running
from .course import Action, Course, Event, State, after, timer
from .keeper import AWAITED, stops
from .layout import Layout
from .plan import Part
from .process import Process
from .running import Running, Seen

# Pushes that are under way may end by themselves for DRAIN seconds, then
# they are told to; whatever is left after GRACE more seconds is killed.
DRAIN = 2.0
GRACE = 5.0
LONGEST_LOG = 16 * 1024 * 1024
# How often to look whether a log has become too long.
LOOK = 60.0
_POLL = 0.03


class Opening(Protocol):
    """What happens between the start and ``ready:``."""

    def begin(self) -> None:
        """Is called once, before the parts are started."""
        ...

    def ended(self, pid: int, code: int) -> None:
        """Hears of children that are no parts."""
        ...

    def poll(self, courses: dict[str, Course]) -> bool:
        """Tell whether all is ready; FleetError when it will never be."""
        ...


class Supervisor:
    """Runs parts, and writes down which process each of them is."""

    def __init__(
        self, layout: Layout, parts: list[Part], say: Callable[[str], None]
    ) -> None:
        self._layout = layout
        self._say = say
        self._parts = {part.name: part for part in parts}
        self._keeper = process.identify(os.getppid())
        self._me = process.identify(os.getpid())
        self._courses = {part.name: Course() for part in parts}
        self._processes: dict[str, Process] = {}
        self._exits: dict[str, int] = {}
        self._started: dict[str, float] = {}
        self._looked = -LOOK

    def run(self, opening: Opening) -> None:
        """Run until a signal says stop, or ``opening`` fails.

        Raises the FleetError of ``opening`` when everything was stopped.
        """
        try:
            opening.begin()
            self._happen(Event.START, *self._parts)
            ready = False
            while not self._wait(None if ready else _POLL, opening.ended):
                ready = ready or opening.poll(self._courses)
        finally:
            self._say('stopping')
            self._stop()

    def _wait(
        self, longest: float | None, stranger: Callable[[int, int], None]
    ) -> bool:
        """Wait for something to happen, and let it; True: stop now."""
        timers = [one for one in map(timer, self._courses.values()) if one]
        now = time.monotonic()
        patience = min([LOOK, *(at - now for at, _event in timers)])
        if longest is not None:
            patience = min(patience, longest)
        got = signal.sigtimedwait(AWAITED, max(0.0, patience))
        for pid, code in process.reap().items():
            self._exited(pid, code, stranger)
        now = time.monotonic()
        for name, course in self._courses.items():
            due = timer(course)
            if due and due[0] <= now:
                self._happen(due[1], name)
        if now - self._looked >= LOOK:
            self._looked = now
            for name in ('up', *self._parts):
                _shorten(self._layout.log(name))
        return got is not None and stops(got.si_signo)

    def _exited(
        self, pid: int, code: int, stranger: Callable[[int, int], None]
    ) -> None:
        for name, one in self._processes.items():
            if one.pid == pid:
                del self._processes[name]
                self._exits[name] = code
                self._happen(Event.EXITED, name)
                self._tell_end(name, code)
                return
        stranger(pid, code)

    def _tell_end(self, name: str, code: int) -> None:
        course = self._courses[name]
        if course.state is State.BACKING_OFF:
            pause = course.due - time.monotonic()
            how = f'exit code {code}' if code >= 0 else f'signal {-code}'
            self._say(f'{name} ended ({how}); starts again in {pause:.1f} s')

    def _happen(self, event: Event, *names: str) -> None:
        for name in names:
            course, action = after(self._courses[name], event, time.monotonic())
            self._courses[name] = course
            if action is Action.SPAWN:
                self._spawn(name)
            elif action is Action.TERMINATE:
                process.send(self._processes[name], signal.SIGTERM)
        self._write()

    def _spawn(self, name: str) -> None:
        part, log = self._parts[name], self._layout.log(name)
        self._started[name] = time.time()
        try:
            one = process.spawn(part.argv, part.env, log)
        except OSError as problem:
            # No more processes, or no memory: the others shall go on.
            self._say(f'{name} cannot be started: {problem.strerror}')
            course, now = self._courses[name], time.monotonic()
            self._courses[name], _action = after(course, Event.EXITED, now)
        else:
            self._processes[name] = one

    def _stop(self) -> None:
        until = time.monotonic() + DRAIN
        self._happen(Event.STOP, *self._parts)
        while process.descendants([self._me.pid]):
            # Told a second time to stop, it does not wait any longer.
            if self._wait(_POLL, _ignore) or time.monotonic() > until:
                break
        process.finish(lambda: process.descendants([self._me.pid]), GRACE)
        self._processes.clear()
        self._happen(Event.EXITED, *self._parts)

    def _write(self) -> None:
        seen = tuple(
            Seen(
                name=name,
                node=part.node,
                kind=part.kind,
                state=self._courses[name].state.value,
                process=self._processes.get(name),
                restarts=self._courses[name].restarts,
                since=self._started.get(name, 0.0),
                exit=self._exits.get(name),
            )
            for name, part in self._parts.items()
        )
        try:
            running.write(self._layout, Running(self._keeper, self._me, seen))
        except OSError as problem:
            # A full disk must not end what still works.
            self._say(f'cannot write {self._layout.running}: {problem}')


def _shorten(log: str) -> None:
    """Move what is in a log that has become long out of the way.

    Whoever writes to it goes on, at its new end.
    """
    with contextlib.suppress(OSError):
        if os.path.getsize(log) > LONGEST_LOG:
            shutil.copyfile(log, f'{log}.1')
            os.truncate(log, 0)


def _ignore(_pid: int, _code: int) -> None:
    """Hear of a child that is no part, while everything ends."""
