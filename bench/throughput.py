"""Pushes per second of one machine, by ledger, to one and to many repositories.

Some clients push at the same time, over ssh, one changeset a push and a
session for each, as fast as they are let.  A client is a stock ``hg`` that
stays (a command server), so that what is measured is what servers do, and
``ssh``; everything runs on this machine, and two cores are soon busy.

    plain    an sshd with ``hg serve --stdio``, one repository
    sqlite   a fleet with its ledger in SQLite: one repository, then many
    kafka    a fleet with its ledger in a Kafka of one broker, likewise

The courses are run in turn, each some times; the figure is that of all its
turns together.  Prints a table, or JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / 'tests'), str(ROOT / 'tests' / 'names')]
sys.path.append(str(ROOT))

from bench import fleets  # noqa: E402
from bench.figures import Report, load, machine, say  # noqa: E402
from bench.fleets import environment  # noqa: E402
from bench.warm import Warm  # noqa: E402

from testlib.kafka import Cluster  # noqa: E402

TURNS = 3


class Pusher:
    """A client with a clone for each of its repositories."""

    def __init__(self, folder: Path, ssh: Path, urls: list[str]) -> None:
        self._hg = Warm(environment())
        self._ssh = f'ui.ssh=ssh -F {ssh}'
        self._targets = [
            (folder / str(number), url) for number, url in enumerate(urls)
        ]
        self._pushed = 0
        folder.mkdir(parents=True)
        for path, _url in self._targets:
            self._hg.run('init', path)

    def prepare(self, count: int) -> None:
        """Commit what ``count`` pushes are to bring."""
        for number in range(count):
            path, _url = self._targets[number % len(self._targets)]
            name = path / 'file'
            # Nobody else makes the same, so that each has heads of its own.
            name.write_text(f'{path}\n{number}\n' + 'the same line\n' * 20)
            said = ('-m', f'{path} {number}', '-u', 'bench', name)
            self._hg.run('-R', path, 'commit', '-q', '-A', *said)

    def push(self, count: int) -> None:
        """Push the next changesets, one by one."""
        for _time in range(count):
            at = self._pushed
            self._pushed += 1
            path, url = self._targets[at % len(self._targets)]
            rev = str(at // len(self._targets))
            ui = ('--config', self._ssh)
            self._hg.run('-R', path, 'push', '-q', '-f', '-r', rev, *ui, url)

    def close(self) -> None:
        """End the client's process."""
        self._hg.__exit__()


@dataclass
class Course:
    """Clients of one server, and what they have done."""

    pushers: list[Pusher]
    pushes: int = 0
    seconds: float = 0.0

    def run(self, each: int) -> None:
        """Have every client push so many changesets."""
        began = time.perf_counter()
        with ThreadPoolExecutor(len(self.pushers)) as pool:
            for _done in pool.map(lambda one: one.push(each), self.pushers):
                pass
        self.seconds += time.perf_counter() - began
        self.pushes += each * len(self.pushers)


def main() -> int:
    """Measure and print."""
    options = _options()
    report = Report('throughput', machine(), load())
    with contextlib.ExitStack() as stack:
        made = tempfile.TemporaryDirectory(prefix='hgfleet-bench-')
        courses = _courses(stack, Path(stack.enter_context(made)), options)
        each = options.pushes // options.clients // TURNS
        for name, course in courses.items():
            say(f'{name}: preparing')
            for pusher in course.pushers:
                stack.callback(pusher.close)
                pusher.prepare(each * TURNS + 1)
                pusher.push(1)
        for turn in range(TURNS):
            say(f'turn {turn + 1} of {TURNS}')
            for course in courses.values():
                course.run(each)
    describe(report, courses, options)
    print(report.json() if options.json else report.table())
    return report.exit_code()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='bench/throughput.py', description=(__doc__ or '').split('\n')[0]
    )
    parser.add_argument('--pushes', type=int, default=240)
    parser.add_argument('--clients', type=int, default=4)
    parser.add_argument('--repositories', type=int, default=50)
    parser.add_argument('--json', action='store_true')
    return parser.parse_args()


def _courses(
    stack: contextlib.ExitStack, folder: Path, options: argparse.Namespace
) -> dict[str, Course]:
    """Have all servers up; return who pushes to them, by name."""
    cluster = stack.enter_context(Cluster(folder / 'brokers'))
    courses: dict[str, Course] = {}

    def add(name: str, ssh: Path, urls: list[list[str]]) -> None:
        places = [folder / f'{name}.{at}' for at in range(options.clients)]
        courses[name] = Course(
            [
                Pusher(place, ssh, mine)
                for place, mine in zip(places, urls, strict=True)
            ]
        )

    clients = options.clients
    for name in ('sqlite', 'kafka'):
        say(f'{name}: starting a fleet')
        url = f'kafka://{cluster.servers}/bench' if name == 'kafka' else ''
        fleet = stack.enter_context(fleets.fleet(folder / name, ledger=url))
        if not courses:
            path = folder / 'plain'
            plain = stack.enter_context(fleets.plain(fleet, path))
            add('plain, one', plain.ssh, [[plain.url]] * clients)
        one = fleet.push_url('demo')
        add(f'{name}, one', fleet.ssh, [[one]] * clients)
        names = [f'r/{number}' for number in range(options.repositories)]
        fleet.create(names)
        many = [fleet.push_url(name) for name in names]
        add(
            f'{name}, many',
            fleet.ssh,
            [many[at::clients] for at in range(clients)],
        )
    return courses


def describe(
    report: Report, courses: dict[str, Course], options: argparse.Namespace
) -> None:
    """Add the figures to the report."""
    report.note(
        f'{options.clients} clients, {courses["plain, one"].pushes} pushes of '
        f'one changeset in each course, {options.repositories} repositories '
        'where there are many'
    )
    rates = {
        name: course.pushes / course.seconds for name, course in courses.items()
    }
    for name, rate in rates.items():
        report.add(f'pushes a second, {name}', rate, '')
    for name, rate in rates.items():
        report.add(f'{name} / plain', rate / rates['plain, one'], 'x')


if __name__ == '__main__':
    sys.exit(main())
