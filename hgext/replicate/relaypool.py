"""The threads of a relay: each has a ledger of its own, and does requests.

What concerns one stream is done in the order in which it came, one thing at
a time, so that nobody reads past what an earlier client is just appending;
different streams do not wait for each other.  Waiting is done by threads of
its own: one wait for all who are waiting, cut into short pieces, so that
others can join.

A ledger that has failed is closed, and opened afresh for the next request.
A request whose client has gone, or that could not be begun in time, is not
begun.
"""

from __future__ import annotations

import functools
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ..fleet import failpoint
from ..fleet.core import relay
from ..fleet.core.errors import (
    FleetError,
    LedgerFull,
    LedgerUnavailable,
    OutcomeUnknown,
)
from ..fleet.core.relay import (
    Append,
    Declined,
    End,
    Failed,
    Message,
    Number,
    Read,
    Request,
    TooLarge,
    Wait,
    Waited,
)
from ..fleet.ports import Ledger

CALLERS = 4
WATCHERS = 2
QUEUE = 15.0
"""Seconds after which a request that was not begun is declined."""

_SLICE = 0.1

T = TypeVar('T')


@dataclass(eq=False)
class Job:
    """A request, and ``done``, which is given the bytes of the answer.

    ``since`` is when it came.  Nobody waits for the answer any more when it
    is ``abandoned``.
    """

    request: Request
    done: Callable[[list[bytes]], None]
    since: float
    abandoned: bool = False

    def answer(self, message: Message) -> None:
        """Give an answer that is one message."""
        self.done(relay.encode(message))


class Lanes:
    """Jobs that wait for a thread: one lane for each stream."""

    def __init__(self) -> None:
        self._lanes: dict[str, deque[Job]] = {}
        self._ready: deque[str] = deque()

    def add(self, stream: str, job: Job) -> None:
        """Put a job at the end of its lane."""
        if stream not in self._lanes:
            self._lanes[stream] = deque()
            self._ready.append(stream)
        self._lanes[stream].append(job)

    def take(self) -> tuple[str, Job] | None:
        """Return the next job and block its lane; None: there is none."""
        if not self._ready:
            return None
        stream = self._ready.popleft()
        return stream, self._lanes[stream].popleft()

    def release(self, stream: str) -> None:
        """Free the lane of a job that is done."""
        if self._lanes[stream]:
            self._ready.append(stream)
        else:
            del self._lanes[stream]


class Held:
    """One thread's ledger: open, or about to be opened."""

    def __init__(self, open_ledger: Callable[[], Ledger]) -> None:
        self._open = open_ledger
        self._ledger: Ledger | None = None

    def open(self) -> Ledger:
        """Return it, opened; raises LedgerError and SettingError."""
        if self._ledger is None:
            self._ledger = self._open()
        return self._ledger

    def use(self, call: Callable[[Ledger], T]) -> T:
        """Call with the ledger, which is dropped if that fails."""
        try:
            return call(self.open())
        except LedgerFull:
            # There may be no room to open it again.
            raise
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of it."""
        ledger, self._ledger = self._ledger, None
        if ledger is not None:
            ledger.close()


class Pool:
    """The threads.  ``complain`` hears of ledgers that fail, from them."""

    def __init__(
        self,
        open_ledger: Callable[[], Ledger],
        complain: Callable[[str], None],
    ) -> None:
        self._open = open_ledger
        self._complain = complain
        lock = threading.Lock()
        # One for those who call, and one for those who watch: to wake a
        # thread that has nothing to do takes time from the one that has.
        self._called = threading.Condition(lock)
        self._watched = threading.Condition(lock)
        self._lanes = Lanes()
        self._waits: list[Job] = []
        self._stopping = False
        self._threads = [
            threading.Thread(target=work, daemon=True)
            for work in [self._call] * CALLERS + [self._watch] * WATCHERS
        ]
        for each in self._threads:
            each.start()

    def submit(self, job: Job) -> None:
        """Have a request done."""
        with self._called:
            if isinstance(job.request, Wait):
                self._waits.append(job)
                self._watched.notify()
            else:
                self._lanes.add(job.request.stream, job)
                self._called.notify()

    def stop(self, patience: float) -> None:
        """End the threads; at most for ``patience`` seconds wait for them."""
        deadline = time.monotonic() + patience
        with self._called:
            self._stopping = True
            self._called.notify_all()
            self._watched.notify_all()
        for each in self._threads:
            each.join(max(0.0, deadline - time.monotonic()))

    def _call(self) -> None:
        held = Held(self._open)
        try:
            held.open()
        except Exception as problem:  # noqa: BLE001 it is tried again
            self._failure(problem, writing=False)
        while taken := self._next():
            stream, job = taken
            if not job.abandoned:
                job.done(self._outcome(held, job))
            with self._called:
                # What that makes ready, this thread will take.
                self._lanes.release(stream)
        held.close()

    def _next(self) -> tuple[str, Job] | None:
        with self._called:
            while not (taken := self._lanes.take()):
                if self._stopping:
                    return None
                self._called.wait()
            return taken

    def _outcome(self, held: Held, job: Job) -> list[bytes]:
        """Do a request; return the bytes of the answer."""
        if time.monotonic() - job.since > QUEUE:
            return relay.encode(Declined('the ledger keeps it busy'))
        try:
            found = held.use(lambda ledger: perform(ledger, job.request))
            return [piece for one in found for piece in relay.encode(one)]
        except TooLarge as problem:
            return relay.encode(Declined(str(problem)))
        except Exception as problem:  # noqa: BLE001 the client is told
            writing = isinstance(job.request, Append)
            return relay.encode(self._failure(problem, writing))

    def _failure(self, problem: Exception, writing: bool) -> Failed:
        if isinstance(problem, FleetError):
            self._complain(str(problem))
            return Failed.of(problem)
        said = f'the relay has a defect: {type(problem).__name__}: {problem}'
        self._complain(said)
        if writing:
            return Failed.of(OutcomeUnknown(said, 'look before trying again'))
        return Failed.of(LedgerUnavailable(said))

    def _watch(self) -> None:
        held = Held(self._open)
        while batch := self._waiting():
            try:
                seen = held.use(functools.partial(look, jobs=batch))
            except Exception as problem:  # noqa: BLE001 the clients are told
                answer = self._failure(problem, writing=False)
                for job in batch:
                    job.answer(answer)
                continue
            now = time.monotonic()
            for job, grown in zip(batch, seen, strict=True):
                if grown or _due(job) <= now:
                    job.answer(Waited(grown))
                else:
                    self.submit(job)
        held.close()

    def _waiting(self) -> list[Job]:
        """Return all who are to be waited for; nobody: it is over."""
        with self._watched:
            while not self._stopping:
                found = [one for one in self._waits if not one.abandoned]
                self._waits = []
                if found:
                    return found
                self._watched.wait()
            return []


def perform(ledger: Ledger, request: Request) -> Sequence[Message]:
    """Do what is asked; return the answer."""
    match request:
        case Append(stream, key, value):
            failpoint.hit('relay.before')
            offset = ledger.append(stream, key, value)
            failpoint.hit('relay.appended')
            return [Number(offset)]
        case Read(stream, position, keys, limit):
            found = ledger.read(stream, position, keys, limit)
            return list(relay.portions(found, found.upto))
        case End(stream):
            return [Number(ledger.end(stream))]
        case Wait(positions, timeout):
            return [Waited(bool(ledger.wait(positions, timeout)))]


def look(ledger: Ledger, jobs: Sequence[Job]) -> list[bool]:
    """Wait a little for all of them; tell for each whether it has grown."""
    wanted = [
        one.request.positions for one in jobs if isinstance(one.request, Wait)
    ]
    lowest: dict[str, int] = {}
    for positions in wanted:
        for stream, at in positions.items():
            lowest[stream] = min(at, lowest.get(stream, at))
    left = min(map(_due, jobs)) - time.monotonic()
    if not ledger.wait(lowest, max(0.0, min(left, _SLICE))):
        return [False] * len(jobs)
    ends = {stream: ledger.end(stream) for stream in lowest}
    return [
        any(ends[stream] > at for stream, at in positions.items())
        for positions in wanted
    ]


def _due(job: Job) -> float:
    assert isinstance(job.request, Wait)
    return job.since + job.request.timeout
