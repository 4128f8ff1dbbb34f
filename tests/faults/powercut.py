"""Power cuts: ``python tests/faults/powercut.py --pushes 2000 --seed 7``.

Stock clients push to a fleet whose nodes, ledger and blobs are on disks that
forget what was not synced (``blockdev.py``).  Again and again the power is
cut, of the whole fleet or of some nodes, and they start again.  Whatever was
acknowledged must then be in the ledger and on all nodes, all nodes must be
equal, and ``hg verify`` must find nothing.  One half of the pushes goes to a
fleet on one disk, the other to one on a disk for each node and for the store.

The last line is ``pushes N, cuts C, lost 0, doubled 0, divergent 0, unclean 0,
seed S``; the exit code is 1 when anything is not as it should be.  ``--weak
ledger`` (or ``blobs``, ``boots``) leaves out a precaution, and should find
that out.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

if __name__ == '__main__':
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from faults import blockdev, book, checker, client, picture
from faults.checker import Evidence, Finding, Kind
from faults.client import Verdict
from faults.fleet import Impatient, Node
from faults.mains import Mains, Outage
from faults.pusher import Attempt, Wish, Worker
from faults.schedule import Action, Fault, Scene, schedule
from faults.stock import Stock

REPOS = ('a', 'b', 'c')
PUBLISHING = frozenset({'a', 'b'})
_DRAFTING = '[phases]\npublish = no\n[experimental]\nevolution = all\n'
_SETTINGS = {'partitions': '2', 'lease': '1.5', 'inline-limit': '4 KB'}
MOST = 20


@dataclass(frozen=True)
class Plan:
    """What is to be run."""

    folder: Path
    seed: str
    pushes: int
    cuts: int
    weak: tuple[str, ...] = ()
    workers: int = 2


@dataclass
class Report:
    """What came of it; ``unclean`` are repositories that fail to verify."""

    plan: Plan
    findings: list[Finding] = field(default_factory=list)
    unclean: int = 0
    pushes: int = 0
    cuts: Counter[str] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    examined: int = 0
    mended: Counter[str] = field(default_factory=Counter)
    away: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def closing(self) -> str:
        """Return the last line."""
        counts = Counter(finding.kind for finding in self.findings)
        kinds = (Kind.LOST, Kind.DOUBLED, Kind.DIVERGENT)
        parts = ', '.join(f'{kind.value} {counts[kind]}' for kind in kinds)
        return (
            f'pushes {self.pushes}, cuts {self.cuts.total()}, {parts}, '
            f'unclean {self.unclean}, seed {self.plan.seed}'
        )

    @property
    def failed(self) -> bool:
        """Whether anything is not as it should be."""
        return bool(self.findings or self.unclean)


class Pusher(Worker):
    """A worker who starts nothing while there is no power."""

    mains: Mains
    power: threading.Lock
    outages: list[Outage]
    begun: int = 0
    active: bool = False
    pending: bool = False

    def act(self, action: Action) -> Attempt:
        """Do it; see Worker."""
        self.pending = True
        try:
            return super().act(action)
        finally:
            self.active = self.pending = False

    def told(self) -> list[Attempt]:
        """Return the attempts whose outcome it has been told by now."""
        return self.attempts[: -1 if self.pending else None]

    def _begin(
        self, node: Node, session: str, action: Action
    ) -> tuple[Callable[[], subprocess.Popen[str]], Wish]:
        start, wish = super()._begin(node, session, action)

        def powered() -> subprocess.Popen[str]:
            with self.power:
                self.begun = len(self.outages)
                self.active = True
                return start()

        return powered, wish

    def _ended(
        self, attempt: Attempt, process: subprocess.Popen[str], began: float
    ) -> None:
        node = attempt.session.partition('.')[0]
        late = self.outages[self.begun :]
        attempt.hit = any(node in outage.nodes for outage in late)


class Blackouts:
    """One fleet, its workers, and the cuts."""

    def __init__(
        self, plan: Plan, together: bool, report: Report, number: int
    ) -> None:
        self._plan = plan
        self._report = report
        self._chance = random.Random(f'{plan.seed}/{number}')
        self._opened = contextlib.ExitStack()
        self._power = threading.Lock()
        self._outages: list[Outage] = []
        self._over = threading.Event()
        self._problem: BaseException | None = None
        folder = plan.folder / f'fleet{number}'
        self.mains = Mains(folder, together, _SETTINGS, plan.weak)
        self._opened.enter_context(self.mains)
        self._workers = [self._worker(n) for n in range(plan.workers)]

    def _worker(self, number: int) -> Pusher:
        stock = self._opened.enter_context(client.stock(self.mains))
        name = f'w{number + 1}'
        one = Pusher(self.mains, stock, name, self._plan.seed)
        one.mains, one.power = self.mains, self._power
        one.outages = self._outages
        return one

    def __enter__(self) -> Blackouts:
        return self

    def __exit__(self, *_problem: object) -> None:
        self._over.set()
        self._opened.close()

    def run(self, pushes: int, cuts: int) -> None:
        """Push so often, and cut so often meanwhile."""
        self.mains.start()
        for repo in REPOS:
            self.mains.create(repo, '' if repo in PUBLISHING else _DRAFTING)
        for worker in self._workers:
            for repo in REPOS:
                worker.clone(repo)
        self.mains.joined()
        threads = [
            threading.Thread(target=self._work, args=(worker, pushes))
            for worker in self._workers
        ]
        for each in threads:
            each.start()
        for number in range(1, cuts + 1):
            self._await(pushes * number // (cuts + 1))
            with self._power:
                self._blackout()
            self._quick_look()
            if number % 10 == 0 or self._report.failed:
                with self._power:
                    self._compare()
                words = f'{self._done()} of {pushes} pushes, {number} cuts'
                print(words, file=sys.stderr, flush=True)
            if self._report.failed:
                break
        else:
            self._await(pushes)
        self._over.set()
        for each in threads:
            each.join()
        if self._problem is not None:
            raise self._problem
        self._compare()

    def _done(self) -> int:
        return sum(len(worker.attempts) for worker in self._workers)

    def _await(self, pushes: int) -> None:
        """Wait until so many pushes have begun, and a moment more."""
        while self._done() < pushes and self._problem is None:
            time.sleep(0.01)
        time.sleep(self._chance.random() * 0.6)

    def _work(self, worker: Pusher, pushes: int) -> None:
        scene = Scene(
            primaries=[node.name for node in self.mains.primaries],
            mirrors=[node.name for node in self.mains.mirrors],
            repos=REPOS,
            drafting=frozenset(REPOS) - PUBLISHING,
        )
        actions = schedule(self._plan.seed, worker.name, scene)
        try:
            while not self._over.is_set() and self._done() < pushes:
                worker.act(replace(next(actions), fault=Fault.NONE))
        except BaseException as problem:  # noqa: BLE001 raised by run
            self._problem = problem

    def _blackout(self) -> None:
        outage = self.mains.outage(self._chance)
        self._outages.append(outage)
        began = time.monotonic()
        self.mains.cut(outage, self._chance)
        what = 'the whole fleet' if outage.store else 'some of the nodes'
        mode = 'writeback' if outage.writeback else 'ordered'
        self._report.cuts[f'{what}, then {mode}'] += 1
        self.mains.start(*outage.nodes)
        try:
            self.mains.recovered(outage.nodes)
        except Impatient as problem:
            self._find(Kind.OTHER, str(problem))
        self._report.away.append(time.monotonic() - began)

    def _quick_look(self) -> None:
        """What clients were told must be in the ledger."""
        now = book.read(self.mains.ledger)
        entries = {page.user for page in now.pages if page.valid}
        for worker in self._workers:
            for one in list(worker.attempts):
                told = one.verdict is Verdict.DONE and one.added
                if told and one.session not in entries:
                    self._find(
                        Kind.LOST, f'{one.session} in {one.repo} has no entry'
                    )

    def _compare(self) -> None:
        """Compare everything; nobody is pushing."""
        self._idle()
        now = book.read(self.mains.ledger)
        repos = sorted(now.repos())
        for repo in repos:
            try:
                self.mains.reached(repo, now.last(repo))
            except Impatient as problem:
                self._find(Kind.LOST, str(problem))
            except ValueError as problem:
                words = f'a node has a torn record of {repo}: {problem}'
                self._find(Kind.DIVERGENT, words)
                return
        nodes = list(self.mains.nodes.values())
        pictures: dict[str, dict[str, picture.Picture | None]] = {}
        environment = self.mains.environment()
        with Stock(environment, self.mains.folder) as hg:
            for repo in repos:
                for node in nodes:
                    words = picture.faults_of(hg, node, repo)
                    if words:
                        self._report.unclean += 1
                        print(f'! {repo} on {node.name}: {words}')
                pictures[repo] = {
                    node.name: picture.take(hg, node, repo) for node in nodes
                }
        evidence = Evidence(
            book=now,
            attempts=[one for w in self._workers for one in w.told()],
            parents=dict(self._parents()),
            pictures=pictures,
            applied={
                repo: {node.name: node.at(repo) for node in nodes}
                for repo in repos
            },
            publishing=PUBLISHING,
            races=True,
        )
        self._report.findings += checker.check(evidence)
        for node in nodes:
            said = self.mains.complaints(node.name)
            if 'Traceback' in said:
                self._find(Kind.OTHER, f'{node.name}: {said[-2000:]}')

    def _idle(self) -> None:
        """Wait until whoever was pushing has heard what came of it."""
        deadline = time.monotonic() + 60
        while any(worker.active for worker in self._workers):
            if time.monotonic() > deadline:
                break
            time.sleep(0.01)

    def _parents(self) -> Iterator[tuple[str, str]]:
        for worker in self._workers:
            for clone in worker.clones.values():
                yield from clone.parents.items()

    def _find(self, kind: Kind, words: str) -> None:
        self._report.findings.append(Finding(kind, words))

    def count(self) -> None:
        """Add to the report what was told, and what had to be mended."""
        report = self._report
        report.pushes += self._done()
        for worker in self._workers:
            report.told.update(one.verdict.value for one in worker.attempts)
        for name in self.mains.nodes:
            said = self.mains.complaints(name)
            report.examined += said.count(': as it should be')
            for words in re.findall(r'made anew, since (.*)', said):
                report.examined += 1
                kind = re.sub(r'[0-9a-f]{8,}|\d+|data/\S+', 'N', words)
                report.mended[kind[:70]] += 1


def run(plan: Plan) -> Report:
    """Push and cut; return what came of it."""
    began = time.monotonic()
    report = Report(plan)
    for number, together in enumerate((True, False), 1):
        pushes = plan.pushes // 2 + (plan.pushes % 2) * together
        cuts = plan.cuts // 2 + (plan.cuts % 2) * together
        with Blackouts(plan, together, report, number) as blackouts:
            try:
                blackouts.run(pushes, cuts)
            finally:
                blackouts.count()
        if report.failed:
            break
    report.seconds = time.monotonic() - began
    return report


def tell(report: Report) -> None:
    """Print what happened and what was found."""
    away = sorted(report.away) or [0.0]
    print(
        f'{report.seconds:.0f} s; away for {away[len(away) // 2]:.1f} s '
        f'(median), {away[-1]:.1f} s at most; {report.examined} repositories '
        f'examined, {report.mended.total()} made anew'
    )
    for table, head in ((report.cuts, 'cut'), (report.told, 'told')):
        for words, count in sorted(table.items()):
            print(f'{head:5}{count:5}: {words}')
    for words, count in report.mended.most_common(MOST):
        print(f'anew {count:5}: {words}')
    for finding in report.findings[:MOST]:
        print(f'! {finding}')


def main(argv: list[str]) -> int:
    """Run what the command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add('--pushes', type=int, default=200, metavar='N')
    add('--cuts', type=int, default=0, metavar='C', help='one in 16 pushes')
    add('--seed', default='', help='any text; without, a new one is made up')
    add('--weak', action='append', default=[], metavar='WHAT')
    add('--keep', action='store_true', help='keep the logs in any case')
    options = parser.parse_args(argv)
    if blockdev.missing():
        print(f'there can be no power cuts: {blockdev.missing()}')
        return 2
    folder = Path(tempfile.mkdtemp(prefix='hgfleet-power.'))
    plan = Plan(
        folder=folder,
        seed=options.seed or str(random.randrange(1_000_000)),
        pushes=options.pushes,
        cuts=options.cuts or max(2, options.pushes // 16),
        weak=tuple(options.weak),
    )
    report = run(plan)
    tell(report)
    if not (report.failed or options.keep):
        shutil.rmtree(folder)
    else:
        print(f'the folder is {folder}')
    print(report.closing())
    return 1 if report.failed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
