"""What a push costs when the ledger is in Kafka rather than in SQLite.

Two fleets with two mirrors each are up at the same time, one with its ledger
in SQLite, one in an Apache Kafka of one broker on this machine.  A stock
client pushes changesets one by one over ssh to each of them in turn.

    push      from the start of the client's process to its exit
    visible   from that exit until both mirrors answer with the changeset

Prints a table, or JSON; ends with 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / 'tests'), str(ROOT / 'tests' / 'names')]
sys.path.append(str(ROOT))

from bench import fleets  # noqa: E402
from bench.figures import Report, load, machine, most, p50, p99, say  # noqa: E402
from bench.pushes import Client, Watch  # noqa: E402

from testlib.kafka import Cluster  # noqa: E402

REPO = 'demo'
DEARER = 50.0
_WARM_UP = 3


@dataclass
class Course:
    """One fleet: who pushes to it, and what that took (milliseconds)."""

    client: Client
    watch: Watch
    push: list[float] = field(default_factory=list)
    visible: list[float] = field(default_factory=list)

    def run(self) -> None:
        """Push one changeset, and see it."""
        self.watch.ready()
        node, took = self.client.push()
        self.push.append(took)
        self.visible.append(self.watch.until_visible(node))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog='bench/ledgers.py', description=(__doc__ or '').split('\n')[0]
    )
    parser.add_argument('--pushes', type=int, default=150)
    parser.add_argument('--json', action='store_true')
    options = parser.parse_args()
    report = Report('ledgers', machine(), load())
    with contextlib.ExitStack() as stack:
        made = tempfile.TemporaryDirectory(prefix='hgfleet-bench-')
        folder = Path(stack.enter_context(made))
        cluster = stack.enter_context(Cluster(folder / 'brokers'))
        urls = {'sqlite': '', 'kafka': f'kafka://{cluster.servers}/bench'}
        courses = {}
        for name, url in urls.items():
            say(f'{name}: starting a fleet')
            place = folder / name
            fleet = stack.enter_context(fleets.fleet(place, ledger=url))
            client = Client(
                folder / f'{name}.client', fleet.push_url(REPO), fleet.ssh
            )
            courses[name] = Course(client, Watch(fleet, REPO))
        measure(courses, options.pushes)
    describe(report, courses)
    print(report.json() if options.json else report.table())
    return report.exit_code()


def measure(courses: dict[str, Course], count: int) -> None:
    """Push to all in turn; which comes first alternates."""
    turn = list(courses.values())
    for course in turn:
        course.client.prepare(count + _WARM_UP)
        for _time in range(_WARM_UP):
            course.client.push()
    for number in range(count):
        if number % 50 == 0:
            say(f'push {number} of {count}')
        for course in turn:
            course.run()
        turn.reverse()


def describe(report: Report, courses: dict[str, Course]) -> None:
    """Add the figures to the report."""
    sqlite, kafka = courses['sqlite'], courses['kafka']
    add = report.add
    report.note(f'{len(kafka.push)} pushes of one changeset to each fleet')
    dearer = p50(kafka.push) - p50(sqlite.push)
    add('push, p50, kafka - sqlite', dearer, 'ms', most(DEARER))
    for name, course in courses.items():
        add(f'push, p50, {name}', p50(course.push), 'ms')
        add(f'push, p99, {name}', p99(course.push), 'ms')
        add(f'visible, p50, {name}', p50(course.visible), 'ms')
        add(f'visible, p99, {name}', p99(course.visible), 'ms')


if __name__ == '__main__':
    sys.exit(main())
