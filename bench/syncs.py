"""What it costs a push that it is on the disk before it is acknowledged.

A stock client pushes changesets one by one over ssh to two fleets, in turn:
one as it is, one whose sessions sync nothing (``nosync.py``).  First with
payloads that are in the ledger's record, then with payloads that are blobs.
The syncs of a push are counted with strace, where that is installed, in the
session of a push of its own: the first push to a repository in a minute, which
makes a mark as well, and one after it.

The figures are those of the disk below the temporary folder (TMPDIR).
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / 'tests' / 'names')]
sys.path.append(str(ROOT))

from bench import fleets  # noqa: E402
from bench.figures import Report, load, machine, p50, p99, say  # noqa: E402
from bench.fleets import HG, Fleet, environment  # noqa: E402
from bench.pushes import Client  # noqa: E402

REPO = 'demo'
_WARM_UP = 3
_BLOBS = '[replicate]\ninline-limit = 1\n'
_NOSYNC = f'[extensions]\nnosync = {Path(__file__).with_name("nosync.py")}\n'
_DOOR = """\
#!/bin/sh
HGRCPATH={hgrc} exec {strace} -f -qq -e trace=fsync,fdatasync,sync_file_range \\
    -o {out} {hg} -R {repo} serve --stdio
"""


@dataclass
class Times:
    """What was measured, in milliseconds."""

    synced: list[float] = field(default_factory=list)
    careless: list[float] = field(default_factory=list)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog='bench/syncs.py', description=(__doc__ or '').split('\n')[0]
    )
    parser.add_argument('--pushes', type=int, default=200)
    parser.add_argument('--json', action='store_true')
    options = parser.parse_args()
    report = Report('syncs', machine(), load())
    with (
        tempfile.TemporaryDirectory(prefix='hgfleet-bench-') as folder,
        fleets.fleet(Path(folder) / 'a', mirrors=1) as fleet,
        fleets.fleet(Path(folder) / 'b', mirrors=1) as other,
    ):
        clients = [
            Client(Path(folder) / f'{n}', one.push_url(REPO), one.ssh)
            for n, one in enumerate((fleet, other))
        ]
        report.note(f'{options.pushes} pushes of one changeset to each fleet')
        for what, setting in (('', ''), (' with a blob', _BLOBS)):
            _set(fleet, setting)
            _set(other, setting + _NOSYNC)
            _describe(report, what, measure(clients, options.pushes))
            for name, count in _counts(fleet, clients[0], Path(folder)):
                report.add(f'syncs, {name}{what}', count, '')
    print(report.json() if options.json else report.table())
    return report.exit_code()


def _set(fleet: Fleet, text: str) -> None:
    """Let the sessions that start from now on have these settings."""
    (fleet.folder / 'local.rc').write_text(text)


def measure(clients: list[Client], count: int) -> Times:
    """Push to both in turn; which comes first alternates."""
    for client in clients:
        client.prepare(count + _WARM_UP + 2)
        for _time in range(_WARM_UP):
            client.push()
    times = Times()
    kept = (times.synced, times.careless)
    for number in range(count):
        if number % 50 == 0:
            say(f'push {number} of {count}')
        for at in (0, 1) if number % 2 else (1, 0):
            kept[at].append(clients[at].push()[1])
    return times


def _describe(report: Report, what: str, times: Times) -> None:
    synced, careless = p50(times.synced), p50(times.careless)
    report.add(f'push{what}, p50', synced, 'ms')
    report.add(f'push{what}, p50, nothing synced', careless, 'ms')
    report.add(f'cost of the syncs{what}, p50', synced - careless, 'ms')
    report.add(f'push{what}, ratio of p50', synced / careless, 'x')
    report.add(f'push{what}, p99', p99(times.synced), 'ms')
    report.add(f'push{what}, p99, nothing synced', p99(times.careless), 'ms')


def _counts(
    fleet: Fleet, client: Client, folder: Path
) -> list[tuple[str, int]]:
    """Return how many syncs a push makes: with a mark to make, and without."""
    strace = shutil.which('strace')
    if strace is None:
        say('strace is missing: the syncs are not counted')
        return []
    node = fleet.folder / 'nodes' / 'hg1'
    for path in (node / 'state').glob('*/demo'):
        if path.parent.name in ('unsynced', 'syncing'):
            path.unlink()
    out, door = folder / 'strace', folder / 'door'
    door.write_text(
        _DOOR.format(
            hgrc=node / 'hgrc',
            strace=strace,
            out=out,
            hg=HG,
            repo=node / 'repos' / REPO,
        )
    )
    door.chmod(0o755)
    found = []
    for name in ('first push in a minute', 'a push after it'):
        _push(client, door)
        found.append((name, len(out.read_text().splitlines())))
    return found


def _push(client: Client, door: Path) -> None:
    where = ('--config', f'ui.ssh={door}', 'ssh://any/any')
    subprocess.run(
        [HG, '-R', client.path, 'push', '-r', client.waiting.pop(0), *where],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )


if __name__ == '__main__':
    sys.exit(main())
