"""Writing the lines of the log of the server, come what may.

A :class:`Recorder` is where the lines of a process go.  A :class:`Span` is
something that has a start and an end, and a line for each: it knows how long
it has taken, and what has been read and written meanwhile.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

from ..fleet import linelog

SETTING = '[serverlog] file'
_LONGEST = 500
# Seconds for which nothing is written after a line could not be.
_REST = 10.0


class Recorder:
    """Writes lines; one for all threads.  Nothing that goes wrong leaves it.

    ``complain`` is told the first time that a line is lost.
    """

    def __init__(
        self,
        url: str,
        node: str,
        complain: Callable[[str], object],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._node = node
        self._complain: Callable[[str], object] | None = complain
        self._now = now
        self._place: linelog.Place | None = None
        self._opening = threading.Lock()
        self._rests_until = 0.0

    def write(self, event: str, fields: dict[str, Any]) -> None:
        """Add a line, or lose it."""
        if self._now() < self._rests_until:
            return
        try:
            line = linelog.encode(
                {
                    'time': linelog.stamp(time.time()),
                    'node': self._node,
                    'event': event,
                    'pid': os.getpid(),
                    **fields,
                },
                _LONGEST,
            )
            self._opened().write(line)
        except Exception as problem:  # noqa: BLE001 nobody is to be hurt
            self._rests_until = self._now() + _REST
            self._lost(problem)

    def close(self) -> None:
        """Let go of the place; another line opens it again."""
        place, self._place = self._place, None
        if place is not None:
            try:
                place.close()
            except OSError as problem:
                self._lost(problem)

    def _opened(self) -> linelog.Place:
        with self._opening:
            if self._place is None:
                self._place = linelog.Place(self._url, SETTING, linelog.SERVICE)
            return self._place

    def _lost(self, problem: Exception) -> None:
        complain, self._complain = self._complain, None
        if complain is not None:
            complain(f'{SETTING}, {self._url}, cannot be written: {problem}')


class Tally:
    """Counts what goes by."""

    def __init__(self) -> None:
        self.read = 0
        self.written = 0


class Span:
    """Something that takes a while; its first line is written at once.

    ``fields`` stand in both lines, and ``cpu`` tells the time of a processor.
    """

    def __init__(
        self,
        recorder: Recorder,
        what: str,
        fields: dict[str, Any],
        tally: Tally,
        cpu: Callable[[], float],
    ) -> None:
        self._recorder = recorder
        self._what = what
        self._fields = fields
        self._tally = tally
        self._cpu = cpu
        recorder.write(f'{what}-start', fields)
        self._before = tally.read, tally.written, time.perf_counter(), cpu()

    def end(self, **more: Any) -> None:
        """Write the other line, which has ``more`` fields."""
        read, written, wall, cpu = self._before
        self._recorder.write(
            f'{self._what}-end',
            {
                **self._fields,
                'read': self._tally.read - read,
                'written': self._tally.written - written,
                'wall': round(time.perf_counter() - wall, 6),
                'cpu': round(self._cpu() - cpu, 6),
                **more,
            },
        )


def new_session() -> str:
    """Return what tells the lines of one session from all others."""
    return os.urandom(8).hex()
