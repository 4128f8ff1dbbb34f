"""A run: workers who push and strike, a watcher, and then the comparison."""

from __future__ import annotations

import concurrent.futures
import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import book, checker, client, picture, watcher
from .brokers import BROKERS, Brokers
from .checker import Evidence, Finding, Kind
from .fleet import Fleet, Impatient, Node, serves, until
from .pusher import Worker
from .schedule import Action, Deed, Fault, Mix, Scene, schedule
from .stock import Stock
from .storage import Storage
from .trouble import AFTERMATH
from .watcher import Watcher

Pictures = dict[str, dict[str, picture.Picture | None]]

PUBLISHING = ('a', 'b')
DRAFTING = ('c', 'd')
_DRAFTING_HGRC = """\
[phases]
publish = no
[experimental]
evolution = all
"""
_SETTINGS = {'partitions': '2', 'lease': '1.5', 'inline-limit': '4 KB'}
# So that nearly every push needs the store.
_SMALL = {'inline-limit': '512'}
ROUND = 100
HELD_UP = 5
MIRRORS = 2
# Seconds that a call may take before Kafka counts as away.
PATIENCE = 4.0
MISHAP = Path(__file__).with_name('mishap.py')
_CLOCKS = (Mix.STOPS, Mix.KAFKA)


@dataclass
class Plan:
    """What is to be run."""

    folder: Path
    seed: str
    faults: int
    primaries: int = 1
    workers: int = 2
    ledger: str = 'sqlite'
    mix: Mix | None = None
    blobs: str = 'dir'

    @property
    def faulty(self) -> Mix:
        """What goes wrong: all that can with this ledger, if not chosen."""
        return self.mix or (Mix.KAFKA if self.ledger == 'kafka' else Mix.STOPS)

    @property
    def command(self) -> str:
        """The command that runs this again."""
        return (
            f'python tests/faults/run.py --faults {self.faults} '
            f'--seed {self.seed} --ledger {self.ledger} '
            f'--mix {self.faulty.value} --primaries {self.primaries} '
            f'--workers {self.workers} --blobs {self.blobs}'
        )


@dataclass
class Report:
    """What came of it."""

    plan: Plan
    findings: list[Finding] = field(default_factory=list)
    faults: Counter[Fault] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    entries: int = 0
    superseded: int = 0
    glances: int = 0
    stored: int = 0
    seconds: float = 0.0

    def closing(self) -> str:
        """Return the last line."""
        counts = Counter(finding.kind for finding in self.findings)
        parts = ', '.join(
            f'{kind.value} {counts[kind]}'
            for kind in Kind
            if kind is not Kind.OTHER
        )
        total = sum(self.faults.values())
        return f'faults {total}, {parts}, seed {self.plan.seed}'


class Campaign:
    """The fleet of a run, its workers, and what they have done so far.

    ``opened`` closes what is opened on the way.
    """

    def __init__(
        self,
        fleet: Fleet,
        plan: Plan,
        opened: contextlib.ExitStack,
        repos: Sequence[str] = (*PUBLISHING, *DRAFTING),
    ) -> None:
        self.fleet = fleet
        self.plan = plan
        self.repos = list(repos)
        self.report = Report(plan)
        self.scene = Scene(
            primaries=[node.name for node in fleet.primaries],
            mirrors=[node.name for node in fleet.mirrors],
            repos=self.repos,
            drafting=frozenset(DRAFTING),
            mix=plan.faulty,
            brokers=BROKERS if fleet.brokers else 0,
            storage=fleet.storage is not None,
        )
        self.workers = [
            Worker(
                fleet,
                opened.enter_context(client.stock(fleet)),
                f'w{n + 1}',
                plan.seed,
            )
            for n in range(plan.workers)
        ]
        self._actions = {
            worker.name: schedule(plan.seed, worker.name, self.scene)
            for worker in self.workers
        }
        self._broken = threading.Event()

    def furnish(self) -> None:
        """Start the daemons, make the repositories and the clones."""
        self.fleet.start()
        for repo in self.repos:
            self.fleet.create(repo, _DRAFTING_HGRC if repo in DRAFTING else '')
        self._all(lambda worker: [worker.clone(repo) for repo in self.repos])
        self.fleet.joined()

    def faults(self) -> int:
        """Return how many faults there have been so far."""
        return sum(sum(w.faults.values()) for w in self.workers)

    def strike(self, upto: int) -> None:
        """Let the workers work until there have been so many faults."""
        self._all(lambda worker: self._work(worker, upto))
        if self.fleet.brokers is not None:
            self.fleet.brokers.calm()

    def _all(self, job: Callable[[Worker], object]) -> None:
        """Have all workers do a job at the same time."""
        with concurrent.futures.ThreadPoolExecutor(len(self.workers)) as pool:
            jobs = [pool.submit(job, worker) for worker in self.workers]
            try:
                for one in jobs:
                    one.result()
            except BaseException:
                self._broken.set()
                raise

    def _work(self, worker: Worker, upto: int) -> None:
        try:
            while self.faults() < upto and not self._broken.is_set():
                worker.act(next(self._actions[worker.name]))
        except BaseException:
            self._broken.set()
            raise

    def race(self, pushes: int) -> None:
        """Let each worker push through a primary of its own.

        Now and then the first one is held up just before its entry is
        appended, for so long that another push comes first.
        """

        def push(worker: Worker) -> None:
            at = self.workers.index(worker)
            for number in range(1, pushes // len(self.workers) + 1):
                held_up = at == 0 and number % HELD_UP == 0
                fault = Fault.PAUSE if held_up else Fault.NONE
                worker.act(_push(number, self.repos[0], at, fault))

        self._all(push)

    def close_ranks(self) -> None:
        """Push once more to everything through everybody, undisturbed."""
        worker = self.workers[0]
        number = 1_000_000 + len(worker.attempts)
        for repo in self.repos:
            for primary in range(len(self.fleet.primaries)):
                number += 1
                worker.act(_push(number, repo, primary))

    def settle(self) -> None:
        """Wait until every node has what the ledger has, and shows it."""
        now = book.read(self.fleet.source)
        for repo in sorted(now.repos()):
            try:
                self.fleet.reached(repo, now.last(repo))
            except Impatient as problem:
                self._find(Kind.LOST, str(problem))
        for node in self.fleet.mirrors:
            try:
                until(
                    lambda n=node: (
                        f'{n.name} shows {watcher.positions(n)} only'
                    ),  # type: ignore[misc]
                    lambda n=node: _shows(n, now),  # type: ignore[misc]
                )
            except Impatient as problem:
                self._find(Kind.LOST, str(problem))

    def compare(self, seen: Watcher) -> None:
        """Compare everything; add what is found to the report."""
        now = book.read(self.fleet.source)
        repos = sorted(now.repos())
        pictures = self._pictures(repos)
        attempts = [one for w in self.workers for one in w.attempts]
        slowest = max(worker.tempo.client for worker in self.workers)
        self.fleet.troubles.aftermath = max(AFTERMATH, 8 * slowest)
        for one in attempts:
            one.disturbed = self.fleet.troubles.met(one.began, one.ended)
        self.report.findings += checker.check(
            Evidence(
                book=now,
                attempts=attempts,
                parents={
                    node: parent
                    for worker in self.workers
                    for clone in worker.clones.values()
                    for node, parent in clone.parents.items()
                },
                pictures=pictures,
                applied={
                    repo: {
                        node.name: node.at(repo)
                        for node in self.fleet.nodes.values()
                    }
                    for repo in repos
                },
                publishing=frozenset(PUBLISHING),
                # What a client has seen, a kill may take back for a moment.
                races=len(self.fleet.primaries) > 1 or bool(self.faults()),
            )
        )
        self._visibility(seen, now)
        self._daemons()
        self._count(now)

    def _pictures(self, repos: list[str]) -> Pictures:
        nodes = list(self.fleet.nodes.values())
        taken: Pictures = {repo: {} for repo in repos}

        def take(mine: list[Node]) -> None:
            with Stock(self.fleet.environment(), self.fleet.folder) as hg:
                for node in mine:
                    for repo in repos:
                        words = picture.faults_of(hg, node, repo)
                        if words:
                            what = f'{repo} on {node.name}: {words}'
                            self._find(Kind.DIVERGENT, what)
                        taken[repo][node.name] = picture.take(hg, node, repo)

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            list(pool.map(take, (nodes[::2], nodes[1::2])))
        return taken

    def _visibility(self, seen: Watcher, now: book.Book) -> None:
        if seen.problem is not None:
            raise seen.problem
        for words in dict.fromkeys(watcher.early(seen.glances, now)):
            self._find(Kind.EARLY, words)
        for words in dict.fromkeys(watcher.backward(seen.glances)):
            self._find(Kind.DIVERGENT, words)
        self.report.glances += seen.looked
        del seen.glances[:-1]

    def _daemons(self) -> None:
        """No daemon may have ended in a traceback, or put anything aside."""
        for node in self.fleet.nodes.values():
            if 'Traceback' in node.complaints():
                self._find(Kind.OTHER, f'{node.name}: {node.complaints()}')
            if node.relay is not None and node.relay.complaints():
                self._find(
                    Kind.OTHER, f'{node.name}: {node.relay.complaints()}'
                )
            for repo in self.repos:
                if node.quarantined(repo):
                    self._find(
                        Kind.DIVERGENT,
                        f'{node.name} has put aside {repo}: '
                        f'{node.quarantined(repo)}',
                    )

    def _count(self, now: book.Book) -> None:
        report = self.report
        report.faults = Counter()
        report.told = Counter()
        for worker in self.workers:
            report.faults.update(worker.faults)
            for one in worker.attempts:
                report.told[one.verdict.value] += 1
        report.entries = sum(page.valid for page in now.pages)
        report.superseded = len(now.pages) - report.entries
        if self.fleet.storage is not None:
            report.stored = self.fleet.storage.stored

    def _find(self, kind: Kind, words: str) -> None:
        self.report.findings.append(Finding(kind, words))


def _shows(node: Node, now: book.Book) -> bool:
    """Tell whether a mirror serves, and shows all that is in the ledger."""
    shown = watcher.positions(node)
    return serves(node) and all(
        shown.get(int(page.stream.rpartition('-')[2]), 0) > page.offset
        for page in now.pages
    )


def _push(
    number: int, repo: str, primary: int, fault: Fault = Fault.NONE
) -> Action:
    """Return a push of one changeset during which nobody is killed."""
    return Action(
        number=number,
        deed=Deed.PUSH,
        repo=repo,
        primary=primary,
        size=1,
        fault=fault,
        after=1.5,
        point='publish.before',
        victim='',
    )


@contextlib.contextmanager
def _fleet(plan: Plan) -> Iterator[Fleet]:
    """Run the fleet of a plan, and the brokers where it has some."""
    names = [f'p{n + 1}' for n in range(plan.primaries)]
    names += [f'm{n + 1}' for n in range(MIRRORS)]
    with contextlib.ExitStack() as opened:
        brokers = None
        if plan.ledger == 'kafka':
            brokers = opened.enter_context(
                Brokers(
                    plan.folder / 'kafka',
                    names,
                    int(_SETTINGS['partitions']),
                    PATIENCE,
                )
            )
        storage = None
        if plan.blobs == 's3':
            storage = opened.enter_context(Storage(plan.folder / 's3'))
        fleet = Fleet(
            plan.folder,
            plan.primaries,
            MIRRORS,
            settings=_SETTINGS | (_SMALL if storage else {}),
            extensions={'mishap': MISHAP} if plan.faulty in _CLOCKS else None,
            brokers=brokers,
            storage=storage,
        )
        yield opened.enter_context(fleet)


def run(plan: Plan) -> Report:
    """Push and strike; return what came of it."""
    began = time.monotonic()
    with contextlib.ExitStack() as opened:
        fleet = opened.enter_context(_fleet(plan))
        campaign = Campaign(fleet, plan, opened)
        campaign.furnish()
        watched = [*campaign.repos, *(f'x-{w.name}' for w in campaign.workers)]
        with Watcher(fleet, watched) as seen:
            upto = 0
            while upto < plan.faults and not campaign.report.findings:
                upto = min(upto + ROUND, plan.faults)
                campaign.strike(upto)
                # What landed must arrive by itself, without another push.
                campaign.settle()
                campaign.close_ranks()
                campaign.settle()
                campaign.compare(seen)
    campaign.report.seconds = time.monotonic() - began
    return campaign.report


def race(plan: Plan, pushes: int) -> Report:
    """Push through all primaries at once, striking nobody."""
    began = time.monotonic()
    with contextlib.ExitStack() as opened:
        fleet = opened.enter_context(_fleet(plan))
        campaign = Campaign(fleet, plan, opened, PUBLISHING[:1])
        campaign.furnish()
        with Watcher(fleet, campaign.repos) as seen:
            campaign.race(pushes)
            campaign.close_ranks()
            campaign.settle()
            campaign.compare(seen)
    campaign.report.seconds = time.monotonic() - began
    return campaign.report
