"""Read-your-writes: ``python tests/faults/readback.py --reads 20000 --seed S``.

With ``replicate.wait = visible`` a push that was acknowledged can be read
from any mirror.  Writers push over SSH; readers ask, from the moment of the
acknowledgement on, four mirrors: through haproxy, with the configuration in
``deploy/``, and each of them directly.  Meanwhile mirrors
are killed and started again in turn: the whole node, its web server, its
daemon, or the daemon is only stopped for longer than its lease.

A reader notes what was acknowledged before it asks.  An answer without that
is a violation; so is one that is older than what this mirror has shown to the
same reader before.  A mirror that refuses the connection or says 503 violates
nothing.  A push that was told that not every mirror shows it yet promises
nothing either; those are counted.

The last line is ``reads N, violations 0, refused R, pushes P, kills K, seed
S``; before it stands everything that is not as it should be, and then the
exit code is 1.
"""

from __future__ import annotations

import contextlib
import enum
import http.client
import json
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

if __name__ == '__main__':
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from faults import longrun
from faults.client import PLANT, Verdict
from faults.failover import Author, Push
from faults.fleet import Impatient, until
from faults.machines import Machines
from faults.stock import Stock
from testlib.haproxy import Balancer

REPOS = ('a', 'b')
MIRRORS = 4
READERS = 3
BURST = 40
LEASE = 1.5
SETTINGS = f"""\
[replicate]
wait = visible
lease = {LEASE}
"""
_LATE = 'not every mirror shows it'
_TIMEOUT = 120.0


class Blow(enum.Enum):
    """What is done to a mirror."""

    NODE = 'the whole mirror was killed'
    DAEMON = 'its daemon was killed'
    WEB = 'its web server was killed'
    PAUSE = 'its daemon was stopped for longer than its lease'
    ALL = 'all mirrors were killed, and nobody was waited for'


class Way(enum.Enum):
    """What a reader asks a mirror for."""

    HEADS = 'cmd=heads'
    LOOKUP = 'cmd=lookup'
    PUSHLOG = 'json-pushes'
    BRANCHMAP = 'cmd=branchmap'


_WEIGHTS = {
    Blow.NODE: 4,
    Blow.DAEMON: 2,
    Blow.WEB: 1,
    Blow.PAUSE: 2,
    Blow.ALL: 1,
}


class Shelf:
    """What was acknowledged of one repository; for several threads.

    A repository is one line, so a changeset's place in it is its number, and
    to have it is to have all before it.
    """

    def __init__(self) -> None:
        self.places: dict[str, int] = {}
        self.promised = -1

    def note(self, line: list[str], done: int) -> None:
        """Note that ``done`` changesets of the line can be read."""
        for place in range(len(self.places), len(line)):
            self.places[line[place]] = place
        self.promised = max(self.promised, done - 1)


@dataclass
class Writer(Author):
    """A client who says what it was promised."""

    shelf: Shelf = field(default_factory=Shelf)
    late: int = 0

    def push(self) -> None:
        """Push the next changeset, and note what the answer promises."""
        super().push()
        last: Push = self.pushes[-1]
        if _LATE in last.said:
            self.late += 1
        elif (
            last.verdict is Verdict.DONE and 'no changes found' not in last.said
        ):
            self.shelf.note(self.line, self.done)
        # Also of those that promise nothing, so that they are known.
        self.shelf.note(self.line, 0)


@dataclass
class Reader:
    """Somebody who asks one mirror after the other."""

    name: str
    ports: dict[str, int]
    shelves: dict[str, Shelf]
    chance: random.Random
    reads: int = 0
    refused: int = 0
    asked: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    seen: dict[tuple[str, str], int] = field(default_factory=dict)
    left: int = 0
    heard: int = -1
    problem: BaseException | None = None

    def work(self, over: Callable[[], bool]) -> None:
        """Read until it is over."""
        try:
            while not over():
                self.read()
        except BaseException as problem:  # noqa: BLE001 raised by the test
            self.problem = problem

    def read(self) -> None:
        """Ask somebody for something, and judge the answer."""
        repo = self.chance.choice(sorted(self.shelves))
        # Half of the clients come through the load balancer.
        through = self.chance.random() < 0.5
        names = (
            ['haproxy'] if through else sorted(set(self.ports) - {'haproxy'})
        )
        name = self.chance.choice(names)
        way = self.chance.choice(list(Way))
        shelf = self.shelves[repo]
        promised = shelf.promised
        least = max(promised, self.seen.get((repo, name), -1))
        if least < 0 or not self._is_news():
            time.sleep(0.005)
            return
        wanted = next(n for n, at in shelf.places.items() if at == least)
        status, body = ask(self.ports[name], path(repo, way, wanted))
        if status in (0, 503) or (status == 502 and through):
            self.refused += 1
            time.sleep(0.002)
            return
        self.reads += 1
        self.left -= 1
        self.asked[f'{way.value}, {"haproxy" if through else "a mirror"}'] += 1
        if status != 200:
            self._complain(name, repo, way, f'answers {status}: {body[:200]!r}')
            return
        place = shown(way, body, shelf.places, wanted)
        deadline = time.monotonic() + _TIMEOUT
        while place is None and time.monotonic() < deadline:
            # It may be so new that its author has not said yet what it is.
            time.sleep(0.01)
            place = shown(way, body, shelf.places, wanted)
        if place is None:
            words = f'does not show {wanted}: {body[:200]!r}'
            self._complain(name, repo, way, words)
        elif place < least:
            words = f'shows number {place}; {promised} was acknowledged'
            self._complain(name, repo, way, f'{words}, {least} seen')
        else:
            # Of several mirrors, one may be a little ahead of what is promised.
            if not through:
                self.seen[repo, name] = place

    def _is_news(self) -> bool:
        """Tell whether there were not enough reads since the last push."""
        heard = sum(shelf.promised for shelf in self.shelves.values())
        if heard != self.heard:
            self.heard, self.left = heard, BURST
        return self.left > 0

    def _complain(self, name: str, repo: str, way: Way, words: str) -> None:
        told = f'{name}, {repo}, {way.value}: {words}'
        self.violations.append(f'{time.monotonic():.3f} {self.name}: {told}')


def path(repo: str, way: Way, node: str) -> str:
    """Return what to ask for."""
    if way is Way.PUSHLOG:
        return f'/{repo}/json-pushes?version=2&tipsonly=1&startID=0'
    key = f'&key={node}' if way is Way.LOOKUP else ''
    return f'/{repo}?{way.value}{key}'


def ask(port: int, where: str) -> tuple[int, str]:
    """Return the status and the body of an answer; 0 when there is none."""
    one = http.client.HTTPConnection('127.0.0.1', port, timeout=_TIMEOUT)
    try:
        one.request('GET', where)
        answer = one.getresponse()
        return answer.status, answer.read().decode()
    except (OSError, http.client.HTTPException):
        return 0, ''
    finally:
        one.close()


def shown(
    way: Way, body: str, places: dict[str, int], wanted: str
) -> int | None:
    """Return the place of the newest changeset in an answer; None: none."""
    if way is Way.LOOKUP:
        return places[wanted] if body.split() == ['1', wanted] else None
    if way is Way.PUSHLOG:
        found = [
            node
            for push in json.loads(body)['pushes'].values()
            for node in push['changesets']
        ]
    else:
        found = body.split()
    known = [places[node] for node in found if node in places]
    return max(known, default=None)


@dataclass
class Report:
    """What came of a run."""

    seed: str
    reads: int = 0
    refused: int = 0
    pushes: int = 0
    late: int = 0
    violations: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    blows: Counter[Blow] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def failed(self) -> bool:
        """Whether anything was not as it should be."""
        return bool(self.violations or self.other)

    def closing(self) -> str:
        """Return the last line."""
        return (
            f'reads {self.reads}, violations {len(self.violations)}, '
            f'refused {self.refused}, pushes {self.pushes}, '
            f'kills {self.blows.total()}, seed {self.seed}'
        )


@dataclass
class Run:
    """Machines behind haproxy, their writers and their readers."""

    machines: Machines
    writers: list[Writer]
    readers: list[Reader]
    chance: random.Random
    report: Report

    def work(self, reads: int) -> None:
        """Write, read and kill until so many reads were checked."""
        over, enough = threading.Event(), threading.Event()
        jobs = [
            *((writer.work, over) for writer in self.writers),
            *((reader.work, enough.is_set) for reader in self.readers),
        ]
        threads = [
            threading.Thread(target=job, args=(end,))  # type: ignore[arg-type]
            for job, end in jobs
        ]
        for thread in threads:
            thread.start()
        turn = 0
        try:
            while self._reads() < reads and not self._problems():
                turn += 1
                self._strike(f'web{turn % MIRRORS + 1}')
        finally:
            over.set()
            enough.set()
            for thread in threads:
                thread.join()
        for problem in self._problems():
            raise problem

    def _reads(self) -> int:
        return sum(reader.reads for reader in self.readers)

    def _problems(self) -> list[BaseException]:
        found = [writer.problem for writer in self.writers]
        found += [reader.problem for reader in self.readers]
        return [one for one in found if one is not None]

    def _strike(self, name: str) -> None:
        blows, weights = list(_WEIGHTS), list(_WEIGHTS.values())
        (blow,) = self.chance.choices(blows, weights)
        away = self.chance.choice((0.0, 0.5, 1.0, 2.0)) * LEASE
        if blow is Blow.PAUSE:
            self.machines.signal_daemon(name, signal.SIGSTOP)
            time.sleep(LEASE * self.chance.uniform(1.1, 2.0))
            self.machines.signal_daemon(name, signal.SIGCONT)
        elif blow is Blow.ALL:
            for each in self.machines.mirrors:
                self.machines.kill(each)
            time.sleep(2 * LEASE)
            self.machines.start(*self.machines.mirrors)
            self.machines.await_ready()
        else:
            kinds = {Blow.DAEMON: 'daemon', Blow.WEB: 'web', Blow.NODE: ''}
            self.machines.kill(name, kinds[blow])
            time.sleep(away)
            self.machines.start(name)
        self.report.blows[blow] += 1
        self.machines.await_ready(name)
        time.sleep(self.chance.uniform(0.0, 0.5))

    def count(self) -> None:
        """Fill the report."""
        report = self.report
        for reader in self.readers:
            report.reads += reader.reads
            report.refused += reader.refused
            report.violations += reader.violations
            report.asked.update(reader.asked)
        for writer in self.writers:
            report.pushes += writer.done
            report.late += writer.late
            report.other += [
                f'a client is told: {push.said.strip()}'
                for push in writer.pushes
                if push.verdict is not Verdict.DONE
            ]
        report.other += self.machines.broken()


@contextlib.contextmanager
def opened(folder: Path, seed: str) -> Iterator[Run]:
    """Start everything that a run needs, and end it."""
    with contextlib.ExitStack() as stack:
        machines = Machines(folder, 1, MIRRORS, SETTINGS)
        stack.enter_context(machines)
        machines.start()
        machines.await_ready('hg1')
        for repo in REPOS:
            machines.create(repo)
        machines.await_ready()
        ports = {name: machines.ports[name] for name in machines.mirrors}
        primaries = [(machines.ports['hg1'], machines.ready_ports['hg1'])]
        balancer = Balancer(folder, primaries, list(ports.values()))
        stack.enter_context(balancer)
        environment = machines.welcome(balancer.ssh)
        plant = f'extensions.plant={PLANT}'
        writers = []
        for repo in REPOS:
            stock = Stock(environment, folder, '--config', plant)
            stack.callback(stock.close)
            place = folder / 'clients' / repo
            writers.append(Writer(repo, place, environment, stock, seed))
            writers[-1].begin()
        shelves = {writer.repo: writer.shelf for writer in writers}
        readers = [
            Reader(
                f'r{n + 1}',
                {**ports, 'haproxy': balancer.http},
                shelves,
                random.Random(f'readback {seed} {n}'),
            )
            for n in range(READERS)
        ]
        until(
            'haproxy does not find every node ready',
            lambda: (
                len(balancer.up('mirrors')) == MIRRORS
                and bool(balancer.up('primaries'))
            ),
        )
        chance = random.Random(f'readback {seed}')
        yield Run(machines, writers, readers, chance, Report(seed))


def run(folder: Path, reads: int, seed: str) -> Report:
    """Check so many reads; return what came of it."""
    began = time.monotonic()
    with opened(folder, seed) as it:
        try:
            it.work(reads)
        except Impatient as problem:
            it.report.other.append(str(problem))
        it.count()
        it.report.seconds = time.monotonic() - began
        return it.report


def tell(report: Report) -> None:
    """Print what happened and what was found."""
    print(f'{report.late} pushes were told to be late; {report.seconds:.0f} s')
    for blow, count in sorted(report.blows.items(), key=lambda i: i[0].name):
        print(f'{count:6}: {blow.value}')
    for words, count in sorted(report.asked.items()):
        print(f'{count:6}: {words}')
    for words in [*report.violations, *report.other][: longrun.MOST]:
        print(f'! {words}')


def main(argv: list[str]) -> int:
    """Run what the command line asks for; return the exit code."""
    return longrun.main(
        argv,
        __doc__,
        'readback',
        '--reads',
        20_000,
        lambda folder, asked: run(folder, asked.count, asked.seed),
        tell,
    )


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
