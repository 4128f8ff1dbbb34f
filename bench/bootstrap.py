"""How soon an empty mirror serves a fleet of many repositories.

A fleet gets a real history, the releases of Mercurial, and many copies of
smaller slices of it; snapshots are made, and then some more pushes.  The
fleet is stopped, and the primary's folder is moved away: nothing of it can
be read or asked.  Then the mirror, whose folder has been emptied, is started
with what it has otherwise, the ledger and the blobs.

    serves    from the start of its daemon and its web server until it is
              ready and answers for the tip of every repository
    bytes     what the mirror's repositories take then

Prints a table, or JSON; ends with 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / 'tests'), str(ROOT / 'tests' / 'names')]
sys.path.append(str(ROOT))

from bench import fleets  # noqa: E402
from bench.figures import Report, load, machine, most, say  # noqa: E402
from bench.fleets import HG, HGFLEET, Fleet, environment  # noqa: E402
from bench.warm import Warm  # noqa: E402

from hgext3rd.fleetctl import plan  # noqa: E402
from hgext3rd.fleetctl.layout import Layout  # noqa: E402
from history import releases  # noqa: E402

SERVES = 120.0
SLICES = (50, 100, 200, 400, 800)
TAIL = 50
_PATIENCE = 600.0


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog='bench/bootstrap.py', description=(__doc__ or '').split('\n')[0]
    )
    parser.add_argument('--repositories', type=int, default=200)
    parser.add_argument('--json', action='store_true')
    options = parser.parse_args()
    report = Report('bootstrap', machine(), load())
    with tempfile.TemporaryDirectory(prefix='hgfleet-bench-') as made:
        folder = Path(made)
        with fleets.fleet(folder / 'fleet', mirrors=1) as fleet:
            tips = fill(fleet, folder / 'slice', options.repositories)
            port = fleet.mirrors[0].port
        nodes = fleet.folder / 'nodes'
        (nodes / 'hg1').rename(folder / 'away')
        for name in ('repos', 'state'):
            shutil.rmtree(nodes / 'web1' / name)
        say('starting the empty mirror')
        took = start(fleet, port, tips)
        size = sum(
            os.path.getsize(os.path.join(place, name))
            for place, _folders, names in os.walk(nodes / 'web1' / 'repos')
            for name in names
        )
    report.note(
        f'{len(tips)} repositories: one of all releases, others of '
        f'{", ".join(map(str, SLICES))} changesets; {TAIL} pushes after the '
        'snapshots; the primary is not there'
    )
    report.add('serves all', took, 's', most(SERVES))
    report.add('bytes', size / 1e6, 'MB')
    print(report.json() if options.json else report.table())
    return report.exit_code()


def fill(fleet: Fleet, source: Path, count: int) -> dict[str, str]:
    """Make and fill the repositories; return the last node of each."""
    history = releases()
    sizes = {f'r/{at}': SLICES[at % len(SLICES)] for at in range(count - 1)}
    fleet.create(list(sizes))
    say('filling the repositories')
    with Warm(fleet.as_node()) as hg:
        place = fleet.folder / 'nodes' / 'hg1' / 'repos'
        hg.run('-R', place / 'demo', 'pull', '-q', history)
        for name, size in sizes.items():
            rev = ('-r', str(size - 1))
            hg.run('-R', place / name, 'pull', '-q', *rev, history)
    say('making snapshots')
    _hgfleet('snapshot', '--data', str(fleet.folder))
    with Warm(fleet.as_node()) as hg:
        for name, size in list(sizes.items())[:TAIL]:
            rev = ('-r', str(size + 4))
            hg.run('-R', place / name, 'pull', '-q', *rev, history)
        return {
            name: hg.run('-R', place / name, 'log', '-r', 'tip', '-T', '{node}')
            for name in ('demo', *sizes)
        }


def _hgfleet(*arguments: str) -> None:
    subprocess.run(
        [HGFLEET, *arguments],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
    )


def start(fleet: Fleet, port: int, tips: dict[str, str]) -> float:
    """Start the mirror; return the seconds until it serves everything."""
    config = Layout(str(fleet.folder)).node('web1').gunicorn
    web = (sys.executable, '-m', 'gunicorn', '--config', config)
    began = time.perf_counter()
    with (
        _process(fleet, str(HG), 'replicate::serve') as daemon,
        _process(fleet, *web, plan.APPLICATION) as server,
    ):
        while not _ready(port):
            if daemon.poll() is not None or server.poll() is not None:
                raise SystemExit('a part of the mirror has ended')
            if time.perf_counter() - began > _PATIENCE:
                raise SystemExit('the mirror does not become ready')
            time.sleep(0.05)
        connection = http.client.HTTPConnection('127.0.0.1', port)
        for name, node in tips.items():
            connection.request('GET', f'/{name}?cmd=lookup&key={node}')
            answer = connection.getresponse().read()
            if answer != f'1 {node}\n'.encode():
                raise SystemExit(f'{name}: {answer!r} in place of {node}')
        return time.perf_counter() - began


@contextlib.contextmanager
def _process(fleet: Fleet, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        words,
        env=fleet.as_node('web1'),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def _ready(port: int) -> bool:
    connection = http.client.HTTPConnection('127.0.0.1', port)
    try:
        connection.request('GET', '/readyz')
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()


if __name__ == '__main__':
    sys.exit(main())
