"""How long a push takes, and how soon both mirrors show it.

A stock client pushes changesets one by one over ssh to a fleet with one
primary and two mirrors, and in turn to a plain ``hg serve --stdio`` behind
an sshd that is configured in the same way.  Everything runs on this machine.

    push              from the start of the client's process to its exit
    visible           from that exit until a plain HTTP request to each of
                      the mirrors answers with the changeset
    logged to shown   from the making of the entry until the last daemon
                      has said that it may be shown

Prints a table, or JSON; ends with 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / 'tests' / 'names')]
sys.path.append(str(ROOT))

from bench import fleets, split  # noqa: E402
from bench.figures import Report, load, machine, most, p50, p99, say  # noqa: E402
from bench.fleets import Fleet  # noqa: E402
from bench.pushes import Client, Watch  # noqa: E402

REPO = 'demo'
VISIBLE_P50 = 120.0
VISIBLE_P99 = 400.0
DEARER = 60.0
_WARM_UP = 3


@dataclass
class Times:
    """What was measured, in milliseconds."""

    fleet: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)
    visible: list[float] = field(default_factory=list)
    shown: list[float] = field(default_factory=list)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog='bench/visibility.py', description=(__doc__ or '').split('\n')[0]
    )
    parser.add_argument('--pushes', type=int, default=200)
    parser.add_argument('--json', action='store_true')
    parser.add_argument('--no-split', action='store_true')
    options = parser.parse_args()
    report = Report('visibility', machine(), load())
    with (
        tempfile.TemporaryDirectory(prefix='hgfleet-bench-') as folder,
        fleets.fleet(Path(folder) / 'fleet') as fleet,
        fleets.plain(fleet, Path(folder) / 'plain') as plain,
    ):
        path = Path(folder) / 'client'
        ours = Client(path, fleet.push_url(REPO), fleet.ssh)
        theirs = Client(Path(folder) / 'other', plain.url, plain.ssh)
        times = measure(fleet, ours, theirs, options.pushes)
        describe(report, times)
        if not options.no_split:
            say('timing the parts of a session')
            for name, value in split.measure(fleet, REPO, plain):
                report.add(name, value, 'ms')
    print(report.json() if options.json else report.table())
    return report.exit_code()


def measure(fleet: Fleet, ours: Client, theirs: Client, count: int) -> Times:
    """Push to both in turn; which comes first alternates."""
    for client in (ours, theirs):
        client.prepare(count + _WARM_UP)
        for _time in range(_WARM_UP):
            client.push()
    watch = Watch(fleet, REPO)
    times = Times()
    for number in range(count):
        if number % 50 == 0:
            say(f'push {number} of {count}')
        if number % 2:
            times.plain.append(theirs.push()[1])
        watch.ready()
        node, took = ours.push()
        times.fleet.append(took)
        times.visible.append(watch.until_visible(node))
        times.shown.append(_shown_after(fleet))
        if not number % 2:
            times.plain.append(theirs.push()[1])
    return times


def _shown_after(fleet: Fleet) -> float:
    """Return the milliseconds from the last entry to its being shown."""
    store = fleet.folder / 'nodes' / 'hg1' / 'repos' / REPO / '.hg' / 'store'
    logged: int = json.loads((store / 'fleet-applied').read_text())['time']
    last = max(mirror.shown.stat().st_mtime for mirror in fleet.mirrors)
    return last * 1000 - logged


def describe(report: Report, times: Times) -> None:
    """Add the figures to the report."""
    dearer = p50(times.fleet) - p50(times.plain)
    add = report.add
    report.note(f'{len(times.fleet)} pushes of one changeset to each server')
    add('visible, p50', p50(times.visible), 'ms', most(VISIBLE_P50))
    add('visible, p99', p99(times.visible), 'ms', most(VISIBLE_P99))
    add('push, p50, fleet - plain', dearer, 'ms', most(DEARER))
    add('push, p50, fleet', p50(times.fleet), 'ms')
    add('push, p50, plain', p50(times.plain), 'ms')
    add('push, p99, fleet', p99(times.fleet), 'ms')
    add('push, p99, plain', p99(times.plain), 'ms')
    add('logged to shown, p50', p50(times.shown), 'ms')
    add('logged to shown, p99', p99(times.shown), 'ms')


if __name__ == '__main__':
    sys.exit(main())
