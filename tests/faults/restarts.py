"""Restarts: ``python tests/faults/restarts.py --restarts 200 --seed S``.

Clients have sessions of the warm server, one after the other, while it is
made to start anew in every way that there is: a module that it has loaded
changes, or a configuration file; it is sent SIGHUP; it is ended or killed,
and a supervisor starts it again; the process of one session is killed.

Every session must be answered, and none by older code or configuration than
there was when it began.  One that began before a blow goes on after it.  Only
the one whose process was killed fails.  Measured is the wait of a client from
the start of its forced command to the first byte, from each blow until the
server has answered again, and between blows for comparison; with how many
sessions began without the server.  The last line is ``restarts N, failed 0,
stale 0, cold C, longest X ms (calm Y ms), seed S``.  The exit code is 1 when
a session failed or was stale, and when the longest wait is over the target.
"""

from __future__ import annotations

import argparse
import contextlib
import enum
import math
import os
import random
import select
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

if __name__ == '__main__':
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from faults import longrun
from faults.scenery import CLOSED
from faults.tide import WORD
from hgext3rd.fleet import files
from testlib.stdio import HELLO, call
from testlib.visitor import Seen, Visit, Visitor
from testlib.warmnode import WarmNode, serve, wait

CLIENTS = 3
LONGEST = 150.0
REPO = 'open/demo'
_LIST = call(b'listkeys', namespace=b'phases')
_TIDE = Path(__file__).with_name('tide.py')
_SETTINGS = """\
[extensions]
tide = {folder}/tide.py
%include {folder}/tide.rc
"""
_HOOKS = f'[hooks]\nprelistkeys.tide = python:{_TIDE}:tell\n'
_UNKNOWN = -1
_PAUSE = 0.5


class Blow(enum.Enum):
    """What makes the server start anew, or a session end."""

    CODE = 'a module changed'
    CONFIG = 'a configuration file changed'
    HANGUP = 'SIGHUP'
    TERM = 'SIGTERM'
    KILL = 'the server was killed'
    WORKER = 'the process of a session was killed'


_WEIGHTS = {
    Blow.CODE: 5,
    Blow.CONFIG: 5,
    Blow.HANGUP: 4,
    Blow.TERM: 3,
    Blow.KILL: 2,
    Blow.WORKER: 3,
}


@dataclass(frozen=True)
class Tide:
    """How new a session is: code and configuration; and its process."""

    code: int
    conf: int
    pid: int

    @staticmethod
    def of(said: str) -> Tide | None:
        """Find what a session has told."""
        for line in said.splitlines():
            if line.startswith(WORD):
                code, conf, pid = map(int, line.split()[1:])
                return Tide(code, conf, pid)
        return None


@dataclass(frozen=True)
class Visited:
    """A session: when it began, how new it had to be, what came of it."""

    began: float
    least: Tide
    seen: Seen

    @property
    def problem(self) -> str:
        """What is wrong with the answer; '' for nothing."""
        seen = self.seen
        if seen.status != 0 or Tide.of(seen.err) is None:
            return f'ended with {seen.status}: {seen.out!r} {seen.err!r}'
        return ''

    @property
    def stale(self) -> str:
        """In what it was older than it had to be."""
        tide = Tide.of(self.seen.err)
        if tide is None:
            return ''
        least, found = (
            (self.least.code, self.least.conf),
            (tide.code, tide.conf),
        )
        late = found[0] < least[0] or found[1] < least[1]
        return f'saw {found} when there was {least}' if late else ''


@dataclass(frozen=True)
class Storm:
    """A blow, and until when it was felt."""

    blow: Blow
    began: float
    ended: float


@dataclass
class Report:
    """What came of a run; waits are in milliseconds."""

    seed: str
    storms: list[Storm] = field(default_factory=list)
    failed_sessions: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    calm: list[float] = field(default_factory=list)
    waits: dict[Blow, list[float]] = field(default_factory=dict)
    cold: Counter[str] = field(default_factory=Counter)
    limit: float = math.inf
    seconds: float = 0.0

    @property
    def longest(self) -> float:
        """The longest wait that a blow has caused, or was seen after it."""
        return max((max(each) for each in self.waits.values()), default=0.0)

    @property
    def failed(self) -> bool:
        """Whether anything was not as it should be."""
        wrong = self.failed_sessions or self.stale or self.other
        return bool(wrong) or self.longest > self.limit

    def closing(self) -> str:
        """Return the last line."""
        return (
            f'restarts {len(self.storms)}, failed {len(self.failed_sessions)}, '
            f'stale {len(self.stale)}, cold {self.cold.total()}, '
            f'longest {self.longest:.0f} ms '
            f'(calm {max(self.calm, default=0.0):.0f} ms), seed {self.seed}'
        )


class Sea:
    """The node with its files that change; its supervisor and its clients."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.code = self.conf = 0
        folder.mkdir(parents=True)
        settings = _SETTINGS.format(folder=folder)
        self._write_code()
        self._write_conf()
        self.node = WarmNode(folder / 'node', suite=True, settings=settings)
        self.node.create(CLOSED, REPO)
        (self.node.repos / REPO / '.hg' / 'hgrc').write_text(_HOOKS)
        self.visited: list[Visited] = []
        self.other: list[str] = []
        self._over = threading.Event()
        self._expected = threading.Event()
        self._threads: list[threading.Thread] = []

    # -- what changes --------------------------------------------------------

    def _write_code(self) -> None:
        text = _TIDE.read_text().replace('CODE = 0', f'CODE = {self.code}')
        files.replace(str(self._folder / 'tide.py'), text.encode())

    def _write_conf(self) -> None:
        text = f'[tide]\nconf = {self.conf}\n'
        files.replace(str(self._folder / 'tide.rc'), text.encode())

    def change(self, blow: Blow) -> None:
        """Change a file; only from then on must sessions be newer."""
        if blow is Blow.CODE:
            self.code += 1
            self._write_code()
        else:
            self.conf += 1
            self._write_conf()

    @property
    def least(self) -> Tide:
        """How new a session must be that begins at this moment."""
        return Tide(self._on_disk('tide.py'), self._on_disk('tide.rc'), 0)

    def _on_disk(self, name: str) -> int:
        sign = 'CODE = ' if name == 'tide.py' else 'conf = '
        text = (self._folder / name).read_text()
        return int(text.partition(f'\n{sign}')[2].split()[0])

    # -- the supervisor and the clients ---------------------------------------

    @contextlib.contextmanager
    def busy(self, clients: int) -> Iterator[None]:
        """Within, sessions come and go, and the server is watched."""
        jobs = [self._supervise, *[self._visit] * clients]
        self._threads = [
            threading.Thread(target=self._safe, args=(job,)) for job in jobs
        ]
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            self._expected.set()
            with contextlib.suppress(AssertionError, ProcessLookupError):
                self.node.signal(signal.SIGTERM)
            for thread in self._threads:
                thread.join()

    def _safe(self, job: object) -> None:
        try:
            assert callable(job)
            job()
        except BaseException as problem:  # noqa: BLE001 told at the end
            self.other.append(f'{job} has ended: {problem!r}')

    def _supervise(self) -> None:
        """Start the server again as soon as it has ended."""
        while True:
            self.node.ended(None)
            if self._over.is_set():
                return
            if not self._expected.is_set():
                last = self.node.said().strip().rpartition('\n')[2]
                self.other.append(f'the server has ended by itself: {last}')
                # As the supervisor of a fleet does, not at once.
                self._over.wait(_PAUSE)
            self._expected.clear()
            self.node.begin()

    def expect(self) -> None:
        """Say that the server is going to end."""
        self._expected.set()

    def _visit(self) -> None:
        command = self.node.command('ann')
        visit = Visit(
            tuple(command[4:]),
            {'SSH_ORIGINAL_COMMAND': serve(REPO), 'HOME': '/root'},
            (HELLO + _LIST).decode(),
        )
        with Visitor(command[3]) as visitor:
            while not self._over.is_set():
                least, began = self.least, time.monotonic()
                seen = visitor.visit(visit)
                self.visited.append(Visited(began, least, seen))

    def answered(self, since: float) -> bool:
        """Tell whether the server has served somebody who came later."""
        return any(
            one.began > since and not one.seen.cold
            for one in self.visited[-20:]
        )


class Held:
    """A session of its own, which says something more when it is told to."""

    def __init__(self, sea: Sea) -> None:
        self._process = subprocess.Popen(
            sea.node.command('ann'),
            env={'SSH_ORIGINAL_COMMAND': serve(REPO)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.tide = self.say()

    def say(self) -> Tide:
        """Ask for something; return what the session tells of itself."""
        assert self._process.stdin is not None
        assert self._process.stderr is not None
        self._process.stdin.write(_LIST)
        self._process.stdin.flush()
        ready, _w, _e = select.select([self._process.stderr], [], [], 60)
        line = self._process.stderr.readline() if ready else b''
        return Tide.of(line.decode()) or Tide(_UNKNOWN, 0, 0)

    def end(self) -> int:
        """End the session; return its exit code."""
        self._process.communicate()
        return self._process.returncode


def _end(held: Held, blow: Blow, report: Report) -> None:
    again = held.say()
    if again != held.tide or held.end() != 0:
        words = f'one that was open was broken by: {blow.value}'
        report.failed_sessions.append(f'{words}: {held.tide}, {again}')


def strike(sea: Sea, blow: Blow, stays: bool, report: Report) -> None:
    """Deal one blow, and wait until it is over.

    One session is open meanwhile; when it ``stays``, to the end.
    """
    held = Held(sea)
    victim = Held(sea) if blow is Blow.WORKER else None
    began = time.monotonic()
    if blow in (Blow.CODE, Blow.CONFIG):
        sea.change(blow)
    elif victim is not None:
        os.kill(victim.tide.pid, signal.SIGKILL)
    else:
        if blow is not Blow.HANGUP:
            sea.expect()
        numbers = {
            Blow.HANGUP: signal.SIGHUP,
            Blow.TERM: signal.SIGTERM,
            Blow.KILL: signal.SIGKILL,
        }
        sea.node.signal(numbers[blow])
    if not stays:
        _end(held, blow, report)
    if victim is not None and victim.end() == 0:
        report.other.append('a session whose process was killed ended well')
    try:
        wait(
            f'nobody is served after: {blow.value}',
            lambda: sea.answered(began),
        )
    except AssertionError as problem:
        report.other.append(str(problem))
    if stays:
        _end(held, blow, report)
    report.storms.append(Storm(blow, began, time.monotonic()))


def judge(sea: Sea, report: Report) -> None:
    """Sort the sessions into those of each blow, and all others."""
    for one in sea.visited:
        when = f'at {one.began:.3f}'
        if one.problem:
            report.failed_sessions.append(f'{when}: {one.problem}')
            continue
        if one.stale:
            report.stale.append(f'{when}: {one.stale}')
        waited = (one.seen.first or 0.0) * 1000
        # A session that had just begun is hit as well.
        storm = next(
            (
                each
                for each in report.storms
                if one.began <= each.ended
                and one.began + one.seen.took >= each.began
            ),
            None,
        )
        if storm is None:
            report.calm.append(waited)
        else:
            report.waits.setdefault(storm.blow, []).append(waited)
        if one.seen.cold:
            report.cold[storm.blow.value if storm else 'calm'] += 1
    report.other += [*sea.other, *sea.node.broken()]


def run(
    folder: Path,
    restarts: int,
    seed: str,
    clients: int = CLIENTS,
    limit: float = math.inf,
    stays: float = 0.5,
) -> Report:
    """Deal so many blows; return what came of it.

    ``stays`` is how likely it is that a session is open all the while.
    """
    started = time.monotonic()
    report = Report(seed, limit=limit)
    chance = random.Random(f'restarts {seed}')
    sea = Sea(folder)
    # Each at least once, if there are enough.
    (blows, weights) = list(_WEIGHTS), list(_WEIGHTS.values())
    drawn = [*blows, *chance.choices(blows, weights, k=restarts)][:restarts]
    chance.shuffle(drawn)
    with sea.node, sea.busy(clients):
        for blow in drawn:
            time.sleep(chance.uniform(0.0, 0.6))
            strike(sea, blow, chance.random() < stays, report)
    judge(sea, report)
    report.seconds = time.monotonic() - started
    return report


def percentile(values: list[float], percent: int) -> float:
    """Return the least value that so many percent do not exceed."""
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


def tell(report: Report) -> None:
    """Print what happened and what was found."""
    struck = Counter(storm.blow for storm in report.storms)
    rows = [
        (f'{struck[b]:4} x {b.value}', b.value, w)
        for b, w in report.waits.items()
    ]
    rows.append(('between blows', 'calm', report.calm))
    print(f'{report.seconds:.0f} s; milliseconds to the first byte:')
    print(f'{"":46} sessions   cold    p50    p99 longest')
    for words, name, waits in rows:
        figures = [percentile(waits, p) if waits else 0 for p in (50, 99, 100)]
        shown = ' '.join(f'{each:6.0f}' for each in figures)
        print(f'{words:46} {len(waits):8} {report.cold[name]:6} {shown}')
    if report.longest > report.limit:
        print(f'! the longest wait is over {report.limit:.0f} ms')
    found = Counter([*report.failed_sessions, *report.stale, *report.other])
    for words, count in list(found.items())[: longrun.MOST]:
        print(f'! {words}{f" ({count} times)" if count > 1 else ""}')


def _more(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add('--clients', type=int, default=CLIENTS, metavar='N')
    add('--stays', type=float, default=0.5, metavar='P', help='see run()')
    add('--longest', type=float, default=LONGEST, metavar='MS', help='target')


def main(argv: list[str]) -> int:
    """Run what the command line asks for; return the exit code."""
    return longrun.main(
        argv,
        __doc__,
        'restarts',
        '--restarts',
        200,
        lambda folder, asked: run(
            folder,
            asked.count,
            asked.seed,
            asked.clients,
            asked.longest,
            asked.stays,
        ),
        tell,
        _more,
    )


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
