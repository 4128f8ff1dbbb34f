"""Ill will: ``python tests/faults/hostile.py --sessions 40 --seed S``.

Somebody does to the socket of the warm server what nobody should: connects
and says nothing, or half a message, or rubbish, or asks for a session and
never begins it, or begins it and says nothing; with ten thousand connections
as well.  Meanwhile others have sessions, one after the other; before and
after each time they have as many in peace.

None of their sessions may fail.  Printed is how long they waited for the
first byte in peace and in war, and how many had to begin without the server.
The last line is ``sessions N, failed 0, cold C, p50 X ms (in peace Y ms),
worst R, seed S``, where R is the largest ratio of the medians of one kind.
The exit code is 1 when a session failed, and when R is over the target.
"""

from __future__ import annotations

import argparse
import contextlib
import enum
import math
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

if __name__ == '__main__':
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from faults import longrun
from testlib.visitor import Seen, Visit, Visitor
from testlib.warmnode import WarmNode, serve

CLIENTS = 2
ROUNDS = 3
MOST = 1.5
REPO = 'open/demo'
_ABUSER = Path(__file__).with_name('abuser.py')
# Seconds; somebody who has to wait for each session has fewer of them.
_LONGEST_PHASE = 20.0
WORKERS = 50


@dataclass(frozen=True)
class Ill:
    """What somebody does, and how many connections there are at a time."""

    kind: str
    count: int


class Way(enum.Enum):
    """All that is done."""

    SILENT = Ill('silent', 200)
    HALF = Ill('half', 20)
    RUBBISH = Ill('rubbish', 2)
    WAITS = Ill('waits', 20)
    IDLE = Ill('idle', 20)
    FLOOD = Ill('silent', 10_000)
    FLOOD_OF_HALVES = Ill('half', 10_000)

    @property
    def words(self) -> str:
        """How it is shown."""
        return f'{self.value.kind}, {self.value.count} connections'


@dataclass
class Row:
    """What came of one kind; milliseconds to the first byte."""

    peace: list[float] = field(default_factory=list)
    war: list[float] = field(default_factory=list)
    cold: int = 0

    @property
    def ratio(self) -> float:
        """How much longer the others wait, by the medians."""
        if not (self.peace and self.war):
            return math.nan
        return statistics.median(self.war) / statistics.median(self.peace)


@dataclass
class Report:
    """What came of a run."""

    seed: str
    rows: dict[Way, Row] = field(default_factory=dict)
    failed_sessions: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    limit: float = math.inf
    seconds: float = 0.0

    @property
    def worst(self) -> float:
        """The largest ratio of all kinds."""
        return max((row.ratio for row in self.rows.values()), default=math.nan)

    @property
    def failed(self) -> bool:
        """Whether anything was not as it should be."""
        wrong = self.failed_sessions or self.other
        return bool(wrong) or self.worst > self.limit

    def closing(self) -> str:
        """Return the last line."""
        peace = [each for row in self.rows.values() for each in row.peace]
        war = [each for row in self.rows.values() for each in row.war]
        count = len(peace) + len(war) + len(self.failed_sessions)
        return (
            f'sessions {count}, failed {len(self.failed_sessions)}, cold '
            f'{sum(row.cold for row in self.rows.values())}, '
            f'p50 {_p50(war):.0f} ms (in peace {_p50(peace):.0f} ms), '
            f'worst {self.worst:.2f}, seed {self.seed}'
        )


def _p50(values: list[float]) -> float:
    return statistics.median(values) if values else math.nan


@contextlib.contextmanager
def abused(node: WarmNode, way: Way, seed: str) -> Iterator[None]:
    """Within, somebody is at it."""
    ill = way.value
    words = [ill.kind, node.place.warm, str(ill.count), seed]
    process = subprocess.Popen(
        [sys.executable, str(_ABUSER), *words], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline(), f'{way.words} did not begin'
        yield
    finally:
        process.kill()
        process.communicate()


class Others:
    """Those who mean no harm."""

    def __init__(self, node: WarmNode, stack: contextlib.ExitStack) -> None:
        command = node.command('ann')
        self._visit = Visit(
            tuple(command[4:]),
            {'SSH_ORIGINAL_COMMAND': serve(REPO), 'HOME': '/root'},
            'hello\n',
        )
        self._visitors = [
            stack.enter_context(Visitor(command[3])) for _e in range(CLIENTS)
        ]

    def visit(self, sessions: int) -> list[Seen]:
        """Have sessions, so many of them at the most."""
        deadline = time.monotonic() + _LONGEST_PHASE

        def work(visitor: Visitor) -> list[Seen]:
            seen: list[Seen] = []
            while (
                len(seen) < sessions // CLIENTS and time.monotonic() < deadline
            ):
                seen.append(visitor.visit(self._visit))
            return seen

        with ThreadPoolExecutor(CLIENTS) as pool:
            return [
                one for each in pool.map(work, self._visitors) for one in each
            ]


def _count(
    way: Way, seen: list[Seen], into: list[float], report: Report
) -> None:
    for one in seen:
        if one.status != 0 or one.first is None:
            words = f'{way.words}: ended with {one.status}: {one.err!r}'
            report.failed_sessions.append(words)
            continue
        into.append(one.first * 1000)
        report.rows[way].cold += one.cold


def run(
    folder: Path,
    sessions: int,
    seed: str,
    rounds: int = ROUNDS,
    ways: tuple[Way, ...] = tuple(Way),
    limit: float = math.inf,
) -> Report:
    """Have so many sessions in each phase; return what came of it."""
    began = time.monotonic()
    report = Report(seed, {way: Row() for way in ways}, limit=limit)
    chance = random.Random(f'hostile {seed}')
    with contextlib.ExitStack() as stack:
        settings = f'[warmserver]\nworkers = {WORKERS}\n'
        node = WarmNode(folder, suite=True, settings=settings)
        node.create(REPO)
        stack.enter_context(node)
        others = Others(node, stack)
        others.visit(CLIENTS)
        for number in range(rounds):
            for way in chance.sample(ways, len(ways)):
                row = report.rows[way]
                _count(way, others.visit(sessions), row.peace, report)
                with abused(node, way, f'{seed} {number}'):
                    _count(way, others.visit(sessions), row.war, report)
        report.other += node.broken()
    report.seconds = time.monotonic() - began
    return report


def tell(report: Report) -> None:
    """Print what happened and what was found."""
    print(f'{report.seconds:.0f} s; milliseconds to the first byte:')
    print(f'{"":34} peace p50   max    war p50   max ratio  cold')
    for way, row in report.rows.items():
        figures = [
            each
            for waits in (row.peace, row.war)
            for each in (_p50(waits), max(waits, default=math.nan))
        ]
        shown = '{:9.0f} {:5.0f}  {:9.0f} {:5.0f}'.format(*figures)
        print(f'{way.words:34} {shown} {row.ratio:5.2f} {row.cold:5}')
    for words in [*report.failed_sessions, *report.other][: longrun.MOST]:
        print(f'! {words}')
    if report.worst > report.limit:
        print(f'! the others wait more than {report.limit} times as long')


def _more(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add('--rounds', type=int, default=ROUNDS, metavar='N')
    add('--most', type=float, default=MOST, metavar='R', help='target')


def main(argv: list[str]) -> int:
    """Run what the command line asks for; return the exit code."""
    return longrun.main(
        argv,
        __doc__,
        'hostile',
        '--sessions',
        40,
        lambda folder, asked: run(
            folder, asked.count, asked.seed, asked.rounds, limit=asked.most
        ),
        tell,
        _more,
    )


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
