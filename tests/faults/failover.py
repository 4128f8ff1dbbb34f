"""Failover: ``python tests/faults/failover.py --kills 200 --seed S``.

Clients push through haproxy, with the configuration in ``deploy/``, to the
sshds of two primaries.  The one that has taken the last push is killed, the
whole node at once; the other one takes over by haproxy's check alone; the
dead one is started again after a while and is the next one's successor.

Measured is the time from a kill to the end of the first push that another
node has accepted, as its client sees it: a fresh ``hg push`` that begins
whenever the one before it ends.  Then the ledger, every node and what the
clients were told are compared.  The last line is ``kills N, lost 0, doubled
0, divergent 0, p50 X s, p99 Y s, seed S``; before it stands everything that
is not as it should be, and then the exit code is 1.
"""

from __future__ import annotations

import contextlib
import json
import math
import random
import re
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

from faults import book, checker, longrun, picture
from faults.checker import Evidence, Finding, Kind
from faults.client import PLANT, Verdict, verdict
from faults.fleet import HG, PATIENCE, Impatient, until
from faults.machines import Machines
from faults.picture import Picture
from faults.stock import Stock
from testlib.haproxy import Balancer

REPOS = ('a', 'b')
MIRRORS = 2
_AGAIN = 0.05
# What a client says when its ssh ends: nobody has answered.
_CUT = re.compile(r'^remote: Connection (to .* )?closed', re.MULTILINE)


@dataclass(frozen=True)
class Push:
    """One call of ``hg push``; times are of the clock that only advances."""

    node: str
    began: float
    ended: float
    verdict: Verdict
    said: str


@dataclass(frozen=True)
class Blow:
    """The end of a machine, which had taken the last push before it."""

    victim: str
    moment: float


@dataclass
class Author:
    """A client with a repository of its own: pushes what it has, in order.

    A changeset is pushed again and again until somebody says that it is
    there.
    """

    repo: str
    path: Path
    environment: dict[str, str]
    stock: Stock
    seed: str
    line: list[str] = field(default_factory=list)
    done: int = 0
    pushes: list[Push] = field(default_factory=list)
    problem: BaseException | None = None

    def begin(self) -> None:
        """Make the clone."""
        self.stock.ask('init', str(self.path))

    def work(self, over: threading.Event) -> None:
        """Push until it is over."""
        try:
            while not over.is_set():
                self.push()
        except BaseException as problem:  # noqa: BLE001 raised by the test
            self.problem = problem

    def push(self) -> None:
        """Push the next changeset, once."""
        if self.done == len(self.line):
            self._plant()
        node = self.line[self.done]
        began = time.monotonic()
        process = subprocess.run(
            [
                *(HG, '-R', str(self.path), 'push', '-r', node),
                f'ssh://fleet/{self.repo}',
            ],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors='surrogateescape',
            timeout=2 * PATIENCE,
        )
        judged = verdict(process.returncode, process.stdout)
        if judged is Verdict.REFUSED and _CUT.search(process.stdout):
            judged = Verdict.UNKNOWN
        ended = time.monotonic()
        self.pushes.append(Push(node, began, ended, judged, process.stdout))
        if judged is Verdict.DONE:
            self.done += 1
        else:
            time.sleep(_AGAIN)

    def _plant(self) -> None:
        said = self.stock.ask(
            *('-R', str(self.path), 'plant', '--count', '60'),
            *('--author', self.repo, '--seed', self.seed),
        )
        words = [each.split() for each in said.splitlines()]
        self.line += [node for name, _number, node in words if name == 'line']


@dataclass
class Report:
    """What came of a run."""

    seed: str
    kills: int = 0
    findings: list[Finding] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    told: Counter[str] = field(default_factory=Counter)
    victims: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def failed(self) -> bool:
        """Whether anything was not as it should be."""
        return bool(self.findings)

    def closing(self) -> str:
        """Return the last line."""
        counts = Counter(finding.kind for finding in self.findings)
        shown = (Kind.LOST, Kind.DOUBLED, Kind.DIVERGENT)
        parts = ', '.join(f'{kind.value} {counts[kind]}' for kind in shown)
        return (
            f'kills {self.kills}, {parts}, '
            f'p50 {percentile(self.waits, 50):.2f} s, '
            f'p99 {percentile(self.waits, 99):.2f} s, seed {self.seed}'
        )


def percentile(values: list[float], percent: int) -> float:
    """Return the least value that so many percent do not exceed."""
    if not values:
        return math.nan
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


@dataclass
class Run:
    """Machines behind haproxy, and their clients."""

    machines: Machines
    balancer: Balancer
    authors: list[Author]
    chance: random.Random
    report: Report
    blows: list[Blow] = field(default_factory=list)

    def strike(self, kills: int) -> None:
        """Kill one machine after the other while the authors push."""
        over = threading.Event()
        threads = [
            threading.Thread(target=author.work, args=(over,))
            for author in self.authors
        ]
        for thread in threads:
            thread.start()
        try:
            self._accepted(0.0)
            for _each in range(kills):
                self._kill()
        finally:
            over.set()
            for thread in threads:
                thread.join()

    def _kill(self) -> None:
        time.sleep(self.chance.uniform(0.0, 1.5))
        victim = last_node(self.machines.ledger)
        moment = time.monotonic()
        self.machines.kill(victim)
        self.blows.append(Blow(victim, moment))
        self._accepted(moment)
        time.sleep(self.chance.uniform(0.0, 1.0))
        self.machines.start(victim)
        self.machines.await_ready(victim)
        until(
            f'haproxy does not find that {victim} is ready',
            lambda: victim in self.balancer.up('primaries'),
        )

    def _accepted(self, moment: float) -> None:
        """Wait until every author had a push done that began later."""

        def done(author: Author) -> bool:
            if author.problem is not None:
                raise author.problem
            return any(
                one.verdict is Verdict.DONE and one.began > moment
                for one in author.pushes[-3:]
            )

        until(
            lambda: f'no push is accepted: {self._last_words()}',
            lambda: all(done(author) for author in self.authors),
        )

    def _last_words(self) -> str:
        return '\n'.join(author.pushes[-1].said for author in self.authors)

    # -- afterwards --------------------------------------------------------

    def compare(self) -> None:
        """Compare the ledger, the nodes, and what clients were told."""
        report = self.report
        now = book.read(self.machines.ledger)
        nodes = list(self.machines.nodes.values())
        for author in self.authors:
            last = now.last(author.repo)
            for node in nodes:
                until(
                    f'{node.name} does not reach entry {last} of {author.repo}',
                    lambda n=node, r=author.repo, s=last: n.at(r) >= s,  # type: ignore[misc]
                )
        pictures: dict[str, dict[str, Picture | None]] = {}
        stock = self.authors[0].stock
        for repo in REPOS:
            pictures[repo] = {}
            for node in nodes:
                pictures[repo][node.name] = picture.take(stock, node, repo)
                if words := picture.faults_of(stock, node, repo):
                    where = f'{repo} on {node.name}'
                    self._find(Kind.DIVERGENT, f'{where}: {words}')
        applied = {r: {n.name: n.at(r) for n in nodes} for r in REPOS}
        report.findings += checker.check_ledger(
            Evidence(now, [], {}, pictures, applied, frozenset(REPOS))
        )
        for author in self.authors:
            self._author(author, now, pictures[author.repo])
        for words in self.machines.broken():
            self._find(Kind.OTHER, words)
        self._measure(now)

    def _author(
        self,
        author: Author,
        now: book.Book,
        pictures: dict[str, Picture | None],
    ) -> None:
        """What was told to be done is everywhere, once, in its order."""
        entries = pushes(now, author.repo)
        for entry in entries:
            if entry.changesets != 1:
                words = f'entry {entry.seq} of {author.repo} brought '
                self._find(Kind.DOUBLED, f'{words}{entry.changesets}')
        if not author.done <= len(entries) <= author.done + 1:
            kind = Kind.LOST if len(entries) < author.done else Kind.DOUBLED
            words = f'{author.repo} has {len(entries)} pushes in the ledger'
            self._find(kind, f'{words}; {author.done} were told to be done')
        for name, one in pictures.items():
            found = one.nodes if one else []
            for node in sorted(set(author.line[: author.done]) - set(found)):
                words = f'{node} of {author.repo} was done'
                self._find(Kind.LOST, f'{words}, and is not on {name}')
            if found != author.line[: len(entries)]:
                words = f'{author.repo} on {name} is in another order, or more'
                self._find(Kind.DIVERGENT, words)
        for push in author.pushes:
            self.report.told[push.verdict.value] += 1
            if push.verdict is Verdict.REFUSED or 'Traceback' in push.said:
                self._find(Kind.OTHER, f'a client is told: {push.said.strip()}')

    def _measure(self, now: book.Book) -> None:
        """Find, for each kill, the first push that another node accepted."""
        accepted: list[tuple[float, str]] = []
        for author in self.authors:
            by = {
                node: entry.node
                for node, entry in zip(
                    author.line, pushes(now, author.repo), strict=False
                )
            }
            accepted += [
                (push.ended, by[push.node])
                for push in author.pushes
                if push.verdict is Verdict.DONE and push.node in by
            ]
        accepted.sort()
        for blow in self.blows:
            self.report.victims[blow.victim] += 1
            waits = (
                ended - blow.moment
                for ended, node in accepted
                if ended > blow.moment and node != blow.victim
            )
            # None: then the run has ended there, with a finding.
            self.report.waits += [next(waits, math.inf)]
        self.report.kills = len(self.blows)

    def _find(self, kind: Kind, words: str) -> None:
        self.report.findings.append(Finding(kind, words))


def pushes(now: book.Book, repo: str) -> list[book.Page]:
    """Return the entries of a repository that brought something, in order."""
    return [page for page in now.valid(repo) if page.kind == 'push']


def last_node(ledger: Path) -> str:
    """Return which node has written the newest entry of a repository."""
    with contextlib.closing(book.connect(ledger)) as database:
        # Other records, such as lists of snapshots, have keys with a mark.
        ((value,),) = database.execute(
            "SELECT value FROM records WHERE stream LIKE 'entries-%' "
            "AND key NOT LIKE '!%' ORDER BY id DESC LIMIT 1"
        ).fetchall()
    return str(book.decode(value)['node'])


@contextlib.contextmanager
def opened(folder: Path, seed: str) -> Iterator[Run]:
    """Start everything that a run needs, and end it."""
    with contextlib.ExitStack() as stack:
        machines = stack.enter_context(Machines(folder, 2, MIRRORS))
        machines.start()
        machines.await_ready(*machines.primaries)
        for repo in REPOS:
            machines.create(repo)
        machines.await_ready()
        balancer = stack.enter_context(
            Balancer(
                folder,
                [
                    (machines.ports[name], machines.ready_ports[name])
                    for name in machines.primaries
                ],
                [machines.ports[name] for name in machines.mirrors],
            )
        )
        environment = machines.welcome(balancer.ssh)
        plant = f'extensions.plant={PLANT}'
        authors = []
        for repo in REPOS:
            stock = Stock(environment, folder, '--config', plant)
            stack.callback(stock.close)
            path = folder / 'clients' / repo
            authors.append(Author(repo, path, environment, stock, seed))
            authors[-1].begin()
        until(
            'haproxy does not find any primary ready',
            lambda: balancer.up('primaries') == set(machines.primaries),
        )
        chance = random.Random(f'failover {seed}')
        yield Run(machines, balancer, authors, chance, Report(seed))


def run(folder: Path, kills: int, seed: str) -> Report:
    """Kill so many primaries; return what came of it."""
    began = time.monotonic()
    with opened(folder, seed) as it:
        try:
            it.strike(kills)
        except Impatient as problem:
            it.report.findings.append(Finding(Kind.OTHER, str(problem)))
        it.compare()
        it.report.seconds = time.monotonic() - began
        notes = {
            'waits': [round(wait, 3) for wait in it.report.waits],
            'victims': it.report.victims,
        }
        (folder / 'failover.json').write_text(json.dumps(notes))
        return it.report


def tell(report: Report) -> None:
    """Print what happened and what was found."""
    victims = ', '.join(f'{n} {c}' for n, c in sorted(report.victims.items()))
    print(f'killed {victims}; {report.seconds:.0f} s')
    for words, count in sorted(report.told.items()):
        print(f'told   {count:4}: {words}')
    for percent in (50, 90, 99, 100):
        print(f'p{percent:<4} {percentile(report.waits, percent):5.2f} s')
    for finding in report.findings[: longrun.MOST]:
        print(f'! {finding}')


def main(argv: list[str]) -> int:
    """Run what the command line asks for; return the exit code."""
    return longrun.main(
        argv,
        __doc__,
        'failover',
        '--kills',
        200,
        lambda folder, asked: run(folder, asked.count, asked.seed),
        tell,
    )


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
