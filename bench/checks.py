"""What checking a push costs: a thousand changesets, and one.

A stock client pushes a thousand changesets of the history ``releases`` over
ssh to two repositories of one fleet, in turn, and then the next thousand: all
checks that need no other server look at what comes to one, and none at what
comes to the other.  Then it pushes single changesets in the same way.

What one changeset costs is also measured inside of the session, as the time
that judging took: whole pushes differ by more than that.  The sessions come
from a warm server, as in every fleet.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / 'tests'), str(ROOT / 'tests' / 'names')]
sys.path.append(str(ROOT))

from bench import fleets  # noqa: E402
from bench.figures import (  # noqa: E402
    Report,
    load,
    machine,
    most,
    p50,
    p99,
    say,
)
from bench.fleets import Fleet, environment  # noqa: E402
from bench.pushes import Client  # noqa: E402
from bench.warm import Warm  # noqa: E402

from history import releases  # noqa: E402

MANY = 1000
MORE = 25.0
LONGEST = 10.0
_FIRST = 4000
_WARM_UP = 3
_KINDS = ('checked', 'unchecked')
_ON = (
    *('limits', 'integrity', 'heads', 'roots', 'branches', 'bookmarks'),
    *('merges', 'authors', 'messages', 'dates', 'paths', 'filenames'),
    *('symlinks', 'subrepos', 'execbits', 'sizes', 'encodings'),
    *('conflicts', 'secrets'),
)
# What is pushed was not made to such rules, and must be accepted.
_SETTINGS = """\
secrets = warn
conflicts = warn
merges.allowed = all
authors.form = .+
messages.form = .
execbits.allowed = **
encodings.except = tests/**
[checks.paths]
vendor/** = vendors
"""


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog='bench/checks.py', description=(__doc__ or '').split('\n')[0]
    )
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--pushes', type=int, default=50)
    parser.add_argument('--json', action='store_true')
    options = parser.parse_args()
    report = Report('checks', machine(), load())
    with (
        tempfile.TemporaryDirectory(prefix='hgfleet-bench-') as folder,
        fleets.fleet(Path(folder) / 'a', mirrors=1) as fleet,
    ):
        log = Path(folder) / 'judged'
        _configure(fleet, Path(folder), log)
        clients = _clients(fleet, Path(folder))
        many = {kind: [] for kind in _KINDS}  # type: dict[str, list[float]]
        for number, node in enumerate(_nodes(options.rounds)):
            say(f'round {number + 1} of {options.rounds}')
            for kind in _KINDS if number % 2 else reversed(_KINDS):
                many[kind].append(clients[kind].push_upto(node))
        last = _FIRST + options.rounds * MANY - 1
        one = _single(clients, options.pushes, f'{last}')
        judged = _judged(log)
    report.note(
        f'{options.rounds} pushes of {MANY} changesets, and {options.pushes} '
        'of one, to each repository'
    )
    _describe(report, f'{MANY} changesets', many, judged[MANY])
    _describe(report, '1 changeset', one, judged[1][_WARM_UP:])
    print(report.json() if options.json else report.table())
    return report.exit_code()


def _configure(fleet: Fleet, folder: Path, log: Path) -> None:
    """Have two repositories with the same start; one is judged."""
    fleet.create(list(_KINDS))
    timer = Path(__file__).with_name('judged.py')
    off = folder / 'off'
    off.write_text('[checks]\n' + ''.join(f'{one} = off\n' for one in _ON))
    with Warm(fleet.as_node()) as hg:
        hg.run('replicate::config', 'unchecked', off)
        place = fleet.folder / 'nodes' / 'hg1' / 'repos'
        for kind in _KINDS:
            start = ('-r', str(_FIRST - 1))
            hg.run('-R', place / kind, 'pull', '-q', *start, releases())
    on = ''.join(f'{name} = enforce\n' for name in _ON)
    (fleet.folder / 'local.rc').write_text(
        f'[extensions]\nchecks =\njudged = {timer}\n[judged]\nfile = {log}\n'
        f'[checks]\n{on}{_SETTINGS}'
    )


def _clients(fleet: Fleet, folder: Path) -> dict[str, Client]:
    """Return a client for each repository; each has all of the history."""
    return {
        kind: Client(folder / kind, fleet.push_url(kind), fleet.ssh, releases())
        for kind in _KINDS
    }


def _nodes(rounds: int) -> Iterator[str]:
    """Yield the changesets up to which to push, one for each round."""
    with Warm(environment()) as hg:
        for number in range(1, rounds + 1):
            last = str(_FIRST + number * MANY - 1)
            where = ('-R', releases(), 'log', '-r', last)
            yield hg.run(*where, '-T', '{node}')


def _single(
    clients: dict[str, Client], count: int, start: str
) -> dict[str, list[float]]:
    """Push changesets one by one; return how long each push took."""
    taken: dict[str, list[float]] = {kind: [] for kind in _KINDS}
    with Warm(environment()) as hg:
        for client in clients.values():
            hg.run('-R', client.path, 'update', '-q', '-C', start)
    for client in clients.values():
        client.prepare(count + _WARM_UP)
    for number in range(count + _WARM_UP):
        for kind in _KINDS if number % 2 else reversed(_KINDS):
            took = clients[kind].push()[1]
            if number >= _WARM_UP:
                taken[kind].append(took)
    return taken


def _judged(log: Path) -> dict[int, list[tuple[float, float]]]:
    """Return how long judging took, by the number of changesets.

    By the clock, and by that of the processor.
    """
    found: dict[int, list[tuple[float, float]]] = {1: [], MANY: []}
    for line in log.read_text().splitlines():
        repo, count, took, used = line.split()
        if Path(repo).name == _KINDS[0]:
            times = (float(took), float(used))
            found.setdefault(int(count), []).append(times)
    return found


def _describe(
    report: Report,
    what: str,
    taken: dict[str, list[float]],
    judged: list[tuple[float, float]],
) -> None:
    checked, unchecked = (p50(taken[kind]) for kind in _KINDS)
    pairs = zip(taken['checked'], taken['unchecked'], strict=True)
    more = p50([(one / other - 1) * 100 for one, other in pairs])
    is_many = what.startswith(str(MANY))
    report.add(f'push of {what}, p50', checked, 'ms')
    report.add(f'push of {what}, unchecked, p50', unchecked, 'ms')
    limit = most(MORE) if is_many else None
    report.add(f'push of {what}, checks on top', more, '%', limit)
    longest = None if is_many else most(LONGEST)
    took, used = zip(*judged, strict=True)
    report.add(f'judging {what}, p50', p50(took), 'ms', longest)
    report.add(f'judging {what}, p99', p99(took), 'ms')
    report.add(f'judging {what}, processor, p50', p50(used), 'ms')


if __name__ == '__main__':
    sys.exit(main())
