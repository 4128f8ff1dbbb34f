"""Many lives of a simulated fleet, and the comparison after each few.

Each life is a child of this process, forked when Mercurial is loaded
already, so that a kill costs milliseconds; see ``simulated.py`` for what a
life does.  After every hundred faults or so all nodes catch up, with nothing
failing, and are compared with the ledger and with what was told, by the same
checker as the runs on real processes.
"""

from __future__ import annotations

import gc
import io
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from testlib.hgrepo import create, make_node

from . import book, checker, picture
from .checker import Evidence, Finding, Kind
from .client import Verdict
from .fleet import PLAIN, Node
from .pusher import Attempt, Wish
from .schedule import Action, Deed, Fault
from .simulated import REPOS, Life, Trouble
from .stock import Stock

ROUND = 100
_MEMORY = '/dev/shm'
_ROOM = 512 << 20
ROLES = {'p1': 'primary', 'p2': 'primary', 'm1': 'mirror', 'm2': 'mirror'}
# Short, so that leases run out in the time that a round takes.
LEASE = '0.5'


def _has_room(folder: str) -> bool:
    return os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > _ROOM


@dataclass
class Rehearsal:
    """A run from a seed, and what came of it."""

    seed: str
    faults: int
    findings: list[Finding] = field(default_factory=list)
    struck: Counter[str] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    entries: int = 0
    lives: int = 0
    rounds: int = 0
    seconds: float = 0.0

    def run(self, first: int = 1, step: int = 1) -> None:
        """Go through rounds until there were enough faults, or a finding.

        They are numbers ``first``, ``first + step`` and so on, and follow
        from the seed and their number alone.
        """
        began = time.monotonic()
        memory = _MEMORY if _has_room(_MEMORY) else None
        number = first
        while self.struck.total() < self.faults and not self.findings:
            folder = Path(tempfile.mkdtemp(prefix='hgfleet-sim.', dir=memory))
            try:
                Round(self, folder, number).run()
            finally:
                shutil.rmtree(folder)
            self.rounds += 1
            self._progress()
            number += step
        self.seconds = time.monotonic() - began

    def add(self, part: Rehearsal) -> None:
        """Take in what came of other rounds at the same time."""
        self.findings += part.findings
        self.struck += part.struck
        self.told += part.told
        self.entries += part.entries
        self.lives += part.lives
        self.rounds += part.rounds
        self.seconds = max(self.seconds, part.seconds)

    def _progress(self) -> None:
        if self.rounds % 50 == 0:
            total = self.struck.total()
            print(f'{total} of {self.faults} faults', file=sys.stderr)

    def closing(self) -> str:
        """Return the last line."""
        counts = Counter(finding.kind for finding in self.findings)
        parts = ', '.join(
            f'{kind.value} {counts[kind]}'
            for kind in Kind
            if kind is not Kind.OTHER
        )
        return f'faults {self.struck.total()}, {parts}, seed {self.seed}'


class Round:
    """A fresh fleet, some lives, and the comparison."""

    def __init__(self, whole: Rehearsal, folder: Path, number: int) -> None:
        self._whole = whole
        self._folder = folder
        self._number = number
        self._attempts: dict[str, Attempt] = {}
        self._nodes = {
            name: make_node(
                folder,
                name,
                role,
                inline_limit='400 b',
                partitions='2',
                lease=LEASE,
            )
            for name, role in ROLES.items()
        }
        for node in self._nodes.values():
            node.ui.quiet = True
            # What is refused is expected, and told by exceptions.
            node.ui.ferr = node.ui.fout = io.BytesIO()

    def run(self) -> None:
        """Live and compare."""
        whole = self._whole
        for repo in REPOS:
            create(self._nodes['p1'], repo)
        self._child(0, settle=True)
        upto = min(whole.struck.total() + ROUND, whole.faults)
        lives = 0
        while (
            whole.struck.total() < upto and lives < ROUND and not whole.findings
        ):
            lives += 1
            self._child(lives, settle=False)
        self._child(0, settle=True)
        whole.lives += lives
        self._compare()

    def _child(self, number: int, settle: bool) -> None:
        """Fork; read what the child says until it has ended."""
        reading, writing = os.pipe()
        gc.freeze()
        child = os.fork()
        if not child:
            os.close(reading)
            self._be(number, settle, writing)
        os.close(writing)
        with open(reading, encoding='utf-8') as lines:
            for line in lines:
                self._hear(line.rstrip('\n'))
        _pid, status = os.waitpid(child, 0)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status):
            self._find(Kind.OTHER, f'life {number} ended with an exception')

    def _be(self, number: int, settle: bool, writing: int) -> None:
        """Be the child."""

        def say(line: str) -> None:
            os.write(writing, f'{line}\n'.encode())

        code = 1
        # A transaction that found the disk full when it began says so again
        # when it is collected.
        sys.unraisablehook = lambda _problem: None
        for node in self._nodes.values():
            # Opened anew, in a world that fails.
            node.__dict__.pop('ledger', None)
            node.__dict__.pop('blobs', None)
        try:
            seed = f'{self._whole.seed}/{self._number}/{number}'
            chance = random.Random(seed)
            life = Life(self._nodes, self._folder, chance, number, say)
            if settle:
                life.settle()
            else:
                life.live()
            code = 0
        except BaseException:  # noqa: BLE001 the parent counts it
            import traceback

            traceback.print_exc(file=sys.stderr)
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _hear(self, line: str) -> None:
        what, _space, rest = line.partition(' ')
        if what == 'fault':
            self._whole.struck[rest] += 1
        elif what == 'early':
            self._find(Kind.EARLY, rest)
        elif what == 'try':
            session, repo = rest.split()
            self._attempts[session] = Attempt(
                session, repo, _ACTION, Wish(), hit=True
            )
        else:
            session, verdict, changed, *nodes = rest.split()
            one = self._attempts[session]
            one.verdict = Verdict[verdict]
            one.added = changed == '+'
            one.wish = Wish(heads=tuple(nodes))

    def _compare(self) -> None:
        folder = self._folder
        now = book.read(folder / 'ledger.db')
        places = {
            name: Node(name, role, folder / name, Path())
            for name, role in ROLES.items()
        }
        environment = {**PLAIN, 'HGRCPATH': '', 'LC_ALL': 'C.UTF-8'}
        with Stock(environment, folder) as hg:
            for repo in REPOS:
                for node in places.values():
                    words = picture.faults_of(hg, node, repo)
                    if words:
                        self._find(
                            Kind.DIVERGENT, f'{repo} on {node.name}: {words}'
                        )
            pictures = {
                repo: {
                    name: picture.take(hg, node, repo)
                    for name, node in places.items()
                }
                for repo in REPOS
            }
        found = checker.check_ledger(
            Evidence(
                book=now,
                attempts=list(self._attempts.values()),
                parents={},
                pictures=pictures,
                applied={
                    repo: {name: node.at(repo) for name, node in places.items()}
                    for repo in REPOS
                },
            )
        )
        whole = self._whole
        for one in found:
            self._find(one.kind, one.what)
        for attempt in self._attempts.values():
            whole.told[attempt.verdict.value] += 1
        whole.entries += sum(page.valid for page in now.pages)

    def _find(self, kind: Kind, words: str) -> None:
        where = f'round {self._number}: '
        self._whole.findings.append(Finding(kind, where + words))


_ACTION = Action(0, Deed.PUSH, '', 0, 1, Fault.SESSION_POINT, 0.0, '', '')


def rehearse(seed: str, faults: int, first: int, jobs: int) -> Rehearsal:
    """Share the rounds out to ``jobs`` processes; return what came of it."""
    whole = Rehearsal(seed, faults)
    parts = [Rehearsal(seed, -(-faults // jobs)) for _job in range(jobs)]
    with multiprocessing.get_context('fork').Pool(jobs) as pool:
        at = [(part, first + job, jobs) for job, part in enumerate(parts)]
        for part in pool.starmap(_run, at):
            whole.add(part)
    return whole


def _run(part: Rehearsal, first: int, step: int) -> Rehearsal:
    part.run(first, step)
    return part


def tell(whole: Rehearsal) -> None:
    """Print what happened and what was found."""
    print(
        f'simulated: {whole.rounds} rounds, {whole.lives} lives, '
        f'{whole.entries} entries, {whole.seconds:.0f} s'
    )
    for name, count in sorted(whole.struck.items()):
        print(f'struck {count:6}: {Trouble[name].value}')
    for words, count in sorted(whole.told.items()):
        print(f'told   {count:6}: {words}')
    for finding in whole.findings[:20]:
        print(f'! {finding}')
