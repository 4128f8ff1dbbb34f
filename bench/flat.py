"""Does a push cost the same in a long history, and in a fleet of many?

Three fleets are up at the same time, and pushes to them alternate, so that
what the machine does meanwhile touches all of them alike:

    few    one repository with the first 100 changesets of a real history
    long   one repository with all 13,000 of it
    many   500 repositories, of which one is as that of ``few``

Two plain servers get the same pushes as ``few`` and ``long``: Mercurial
itself becomes slower in a long history, on the client's side as well.  So
the same ratio is also told for what the fleet adds to a plain server.

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
from bench.figures import (  # noqa: E402
    Report,
    Target,
    flat,
    load,
    machine,
    p50,
    say,
)
from bench.pushes import Client, Watch  # noqa: E402

from history import releases  # noqa: E402

REPO = 'demo'
TOLERANCE = 0.2
_FIRST = '99'
_WARM_UP = 2


@dataclass
class Course:
    """One server: who pushes to it, and what that took (milliseconds)."""

    client: Client
    watch: Watch | None = None
    push: list[float] = field(default_factory=list)
    visible: list[float] = field(default_factory=list)

    def run(self) -> None:
        """Push one changeset."""
        if self.watch:
            self.watch.ready()
        node, took = self.client.push()
        self.push.append(took)
        if self.watch:
            self.visible.append(self.watch.until_visible(node))

    @property
    def until_visible(self) -> list[float]:
        """From the start of each push until all mirrors show it."""
        both = zip(self.push, self.visible, strict=True)
        return [push + visible for push, visible in both]

    def forget(self) -> None:
        """Forget what was measured so far."""
        self.push.clear()
        self.visible.clear()


def main() -> int:
    """Measure and print."""
    options = _options()
    report = Report('flat', machine(), load())
    with contextlib.ExitStack() as stack:
        made = tempfile.TemporaryDirectory(prefix='hgfleet-bench-')
        folder = Path(stack.enter_context(made))
        courses = _courses(stack, folder, options.repositories)
        measure(courses, options.pushes)
        sizes = {name: each.client.count() for name, each in courses.items()}
    describe(report, courses, sizes, options.repositories)
    print(report.json() if options.json else report.table())
    return report.exit_code()


def _courses(
    stack: contextlib.ExitStack, folder: Path, repositories: int
) -> dict[str, Course]:
    """Have all servers up; return them by name, with a client each."""
    history = releases()
    courses: dict[str, Course] = {}
    for name in ('few', 'long', 'many'):
        say(f'{name}: starting a fleet')
        fleet = stack.enter_context(fleets.fleet(folder / name))
        if name == 'many':
            fleet.create([f'r/{number}' for number in range(1, repositories)])
        upto = 'tip' if name == 'long' else _FIRST
        path = folder / f'{name}.client'
        url = fleet.push_url(REPO)
        client = Client(path, url, fleet.ssh, history, upto)
        courses[name] = Course(client, Watch(fleet, REPO))
        if name != 'many':
            path = folder / f'{name}.plain'
            plain = stack.enter_context(fleets.plain(fleet, path))
            path = folder / f'{name}.plain.client'
            client = Client(path, plain.url, plain.ssh, history, upto)
            courses[f'{name}, plain'] = Course(client)
    return courses


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='bench/flat.py', description=(__doc__ or '').split('\n')[0]
    )
    parser.add_argument('--pushes', type=int, default=60)
    parser.add_argument('--repositories', type=int, default=500)
    parser.add_argument('--json', action='store_true')
    return parser.parse_args()


def measure(courses: dict[str, Course], count: int) -> None:
    """Push the histories; then single changesets, in turn to all."""
    for name, course in courses.items():
        say(f'{name}: pushing {course.client.count()} changesets')
        course.client.prepare(count + _WARM_UP)
        course.client.push()
    turn = list(courses.values())
    for number in range(-_WARM_UP + 1, count):
        if number == 0:
            for course in turn:
                course.forget()
        if number % 10 == 0:
            say(f'push {number} of {count}')
        for course in turn:
            course.run()
        # Each comes after each of the others as often.
        turn = turn[1:] + turn[:1] if number % 2 else turn[::-1]


def describe(
    report: Report,
    courses: dict[str, Course],
    sizes: dict[str, int],
    repositories: int,
) -> None:
    """Add the figures to the report."""
    few, long, many = (courses[name] for name in ('few', 'long', 'many'))
    base, grown = courses['few, plain'], courses['long, plain']
    report.note(
        f'{len(few.push)} pushes of one changeset each; changesets: '
        f'{sizes["few"]} (few, many), {sizes["long"]} (long); '
        f'repositories: 1 (few, long), {repositories} (many)'
    )

    def ratio(
        name: str,
        above: list[float],
        below: list[float],
        target: Target | None = None,
    ) -> None:
        report.add(name, p50(above) / p50(below), 'x', target)

    target = flat(TOLERANCE)
    ratio('push, long / few', long.push, few.push, target)
    ratio(
        'push to visible, long / few',
        *(long.until_visible, few.until_visible, target),
    )
    ratio('push, many / few', many.push, few.push, target)
    ratio(
        'push to visible, many / few',
        *(many.until_visible, few.until_visible, target),
    )
    ratio('push, long / few, plain', grown.push, base.push)
    for name, one, other in (('few', few, base), ('long', long, grown)):
        added = p50(one.push) - p50(other.push)
        report.add(f'push, p50, {name}, fleet - plain', added, 'ms')
    for name, course in courses.items():
        report.add(f'push, p50, {name}', p50(course.push), 'ms')
        if course.watch:
            report.add(f'visible, p50, {name}', p50(course.visible), 'ms')


if __name__ == '__main__':
    sys.exit(main())
