"""How fast a mirror applies entries, against one ``hg pull`` for each.

The older way to keep a mirror is a message for each push, upon which the
mirror starts ``hg pull -r NODE`` from the primary.  Here that is done in its
cheapest form: no network, no ssh, no extension, the primary's repository
named by its path.  Against it stands one daemon, ``hg replicate::serve`` of a
mirror that has been down, from the start of its process until it has applied
the last entry.  Both begin with a repository that has the first changeset.

Prints a table, or JSON; ends with 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / 'tests' / 'names')]
sys.path.append(str(ROOT))

from bench import fleets  # noqa: E402
from bench.figures import Report, least, load, machine, say  # noqa: E402
from bench.fleets import HG, Fleet, environment  # noqa: E402
from bench.warm import Warm  # noqa: E402

REPO = 'demo'
FASTER = 5.0
_PATIENCE = 600.0


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog='bench/apply.py', description=(__doc__ or '').split('\n')[0]
    )
    parser.add_argument('--entries', type=int, default=300)
    parser.add_argument('--json', action='store_true')
    options = parser.parse_args()
    report = Report('apply', machine(), load())
    with tempfile.TemporaryDirectory(prefix='hgfleet-bench-') as made:
        folder = Path(made)
        with fleets.fleet(folder / 'fleet', mirrors=1) as fleet:
            pass
        nodes = fill(fleet, folder / 'source', options.entries)
        say(f'applying {len(nodes)} entries')
        ours = follow(fleet, len(nodes))
        say(f'pulling {len(nodes)} changesets')
        theirs = pull(fleet, folder / 'pulled', nodes)
    count = len(nodes)
    report.note(f'{count} entries of one changeset each')
    report.add(
        'entries applied, hg pull / daemon', theirs / ours, 'x', least(FASTER)
    )
    report.add('an entry, daemon', ours / count * 1000, 'ms')
    report.add('a changeset, hg pull', theirs / count * 1000, 'ms')
    print(report.json() if options.json else report.table())
    return report.exit_code()


def _hosted(fleet: Fleet, node: str) -> Path:
    return fleet.folder / 'nodes' / node / 'repos' / REPO


def _applied(fleet: Fleet, node: str) -> int:
    file = _hosted(fleet, node) / '.hg' / 'store' / 'fleet-applied'
    seq: int = json.loads(file.read_bytes())['seq']
    return seq


def fill(fleet: Fleet, source: Path, count: int) -> list[str]:
    """Have the primary, alone, make entries; return the changesets."""
    nodes = []
    with Warm(environment()) as hg:
        hg.run('init', source)
        for number in range(count):
            (source / 'file').write_text(f'{number}\n' + 'the same line\n' * 20)
            said = ('-m', f'change {number}', '-u', 'bench', source / 'file')
            hg.run('-R', source, 'commit', '-q', '-A', *said)
            nodes.append(hg.run('-R', source, 'log', '-r', '.', '-T', '{node}'))
    hosted = _hosted(fleet, 'hg1')
    with Warm(fleet.as_node('hg1')) as hg:
        for node in nodes:
            hg.run('-R', hosted, 'pull', '-q', '-r', node, source)
    return nodes


def follow(fleet: Fleet, count: int) -> float:
    """Have the mirror catch up; return the seconds that it took."""
    wanted = _applied(fleet, 'web1') + count
    began = time.perf_counter()
    with subprocess.Popen(
        [HG, 'replicate::serve'],
        env=fleet.as_node('web1'),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    ) as daemon:
        while _applied(fleet, 'web1') < wanted:
            if daemon.poll() is not None:
                raise SystemExit('the daemon has ended')
            if time.perf_counter() - began > _PATIENCE:
                raise SystemExit('the daemon does not catch up')
            time.sleep(0.005)
        took = time.perf_counter() - began
        daemon.terminate()
    return took


def pull(fleet: Fleet, into: Path, nodes: list[str]) -> float:
    """Pull the changesets, a process each; return the seconds it took."""
    source = _hosted(fleet, 'hg1')
    words = [str(HG), '-R', str(into), 'pull', '-q']
    with Warm(environment()) as hg:
        hg.run('init', into)
        hg.run('-R', into, 'pull', '-q', '-r', nodes[0], source)
    began = time.perf_counter()
    for node in nodes[1:]:
        subprocess.run(
            [*words, '-r', node, source],
            env=environment(),
            stdin=subprocess.DEVNULL,
            check=True,
        )
    took = time.perf_counter() - began
    return took * len(nodes) / (len(nodes) - 1)


if __name__ == '__main__':
    sys.exit(main())
