"""Requests per second: fleet.web against stock hgwebdir.

Makes some tiny repositories in a temporary folder and serves them in turn
through stock hgwebdir, with no extension, and through hgext3rd.fleet.web as
mirror.rc has it, both under gunicorn with the same options; wrk asks each
repository in turn for its capabilities.
Needs wrk (Debian: apt-get install wrk).  Ends with 1 when the ratio is less
than --least.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / 'tests'), str(ROOT / 'tests' / 'names')]

from testlib.mirror import Mirror  # noqa: E402

_WRK = """\
local asked = 0
request = function()
   asked = asked %% %d + 1
   return wrk.format("GET", "/r" .. asked .. "?cmd=capabilities")
end
"""

_STOCK = """\
from mercurial.hgweb.hgwebdir_mod import hgwebdir
application = hgwebdir({config!r})
"""

_HGRC = """\
%include {root}/hgrc.d/mirror.rc
[access]
** = *:read
[fleet]
node = web1
role = mirror
root = {mirror.root}
state = {mirror.state}
ledger = sqlite://{mirror.folder}/none.db
blobs = file://{mirror.folder}/none
[replicate]
partitions = 1
"""


@dataclass(frozen=True)
class Result:
    """What wrk measured; times in milliseconds."""

    rate: float
    median: float
    worst: float
    failed: int


def main() -> int:
    """Run both and print a table."""
    options = _options()
    if not shutil.which('wrk'):
        print('bench/web: wrk is missing (apt-get install wrk)')
        return 2
    with tempfile.TemporaryDirectory(prefix='hgfleet-bench-') as folder:
        mirror = _prepare(Path(folder), options.repositories)
        stock = _measure(options, mirror, 'plain', 'stock:application', '/r1')
        fleet = _measure(
            *(options, mirror, 'hgrc'),
            *('hgext3rd.fleet.web:application', '/healthz'),
        )
    ratio = fleet.rate / stock.rate
    print(f'{"":16}{"req/s":>10}{"p50 ms":>10}{"p99 ms":>10}{"failed":>8}')
    for name, one in (('hgwebdir', stock), ('fleet.web', fleet)):
        print(
            f'{name:16}{one.rate:10.0f}{one.median:10.2f}'
            f'{one.worst:10.2f}{one.failed:8}'
        )
    print(f'ratio {ratio:.1f} (wanted: at least {options.least:g})')
    return 0 if ratio >= options.least and not fleet.failed else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='bench/web.py', description=__doc__)
    parser.add_argument('--repositories', type=int, default=100)
    parser.add_argument('--seconds', type=int, default=10)
    parser.add_argument('--workers', type=int, default=2)
    parser.add_argument('--threads', type=int, default=4)
    parser.add_argument('--connections', type=int, default=8)
    parser.add_argument('--least', type=float, default=15.0)
    return parser.parse_args()


def _prepare(folder: Path, count: int) -> Mirror:
    mirror = Mirror(folder)
    for number in range(1, count + 1):
        name = f'r{number}'
        mirror.create(name)
        with mirror.entry(name) as changes:
            changes.commit({'file': f'{number}\n'})
    mirror.show(boot=_boot_id())
    (folder / 'hgrc').write_text(_HGRC.format(mirror=mirror, root=ROOT))
    (folder / 'plain').write_text('')
    config = folder / 'hgweb.conf'
    config.write_text(f'[paths]\n/ = {mirror.root}/*\n')
    (folder / 'stock.py').write_text(_STOCK.format(config=bytes(config)))
    (folder / 'wrk.lua').write_text(_WRK % count)
    return mirror


def _boot_id() -> str:
    from hgext3rd.fleet import adapters

    return adapters.system_clock().boot_id()


def _measure(
    options: argparse.Namespace,
    mirror: Mirror,
    hgrc: str,
    application: str,
    ready: str,
) -> Result:
    with _serving(options, mirror.folder, hgrc, application, ready) as base:
        # Once over all repositories, so that all caches are warm.
        _wrk(options, mirror.folder, base, 3)
        return _wrk(options, mirror.folder, base, options.seconds)


@contextlib.contextmanager
def _serving(
    options: argparse.Namespace,
    folder: Path,
    hgrc: str,
    application: str,
    ready: str,
) -> Iterator[str]:
    port = _free_port()
    environ = dict(
        os.environ,
        HGRCPATH=str(folder / hgrc),
        HGPLAIN='1',
        HGENCODING='utf-8',
        PYTHONPATH=f'{ROOT / "tests" / "names"}:{folder}',
    )
    with open(folder / 'gunicorn.log', 'ab') as log:
        server = subprocess.Popen(
            [
                *(sys.executable, '-m', 'gunicorn'),
                *('--worker-class', 'gthread'),
                *('--workers', str(options.workers)),
                *('--threads', str(options.threads)),
                *('--keep-alive', '15', '--no-control-socket'),
                *('--bind', f'127.0.0.1:{port}', application),
            ],
            env=environ,
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        base = f'http://127.0.0.1:{port}'
        _await(server, base + ready, folder / 'gunicorn.log')
        yield base
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port: int = probe.getsockname()[1]
        return port


def _await(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + 30
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with urlopen(url, timeout=5):
                return
        except URLError:
            time.sleep(0.05)
    raise SystemExit(f'bench/web: no answer\n{log.read_text()}')


def _wrk(
    options: argparse.Namespace, folder: Path, base: str, seconds: int
) -> Result:
    said = subprocess.run(
        [
            *('wrk', '--latency', '--threads', '1', '--timeout', '10'),
            *('--connections', str(options.connections)),
            *('--duration', str(seconds), '--script', str(folder / 'wrk.lua')),
            base,
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    failed = re.search(r'Non-2xx or 3xx responses: (\d+)', said)
    return Result(
        rate=float(_found(r'Requests/sec:\s+([\d.]+)', said)),
        median=_milliseconds(_found(r'^ +50% +(\S+)', said)),
        worst=_milliseconds(_found(r'^ +99% +(\S+)', said)),
        failed=int(failed[1]) if failed else 0,
    )


def _found(pattern: str, said: str) -> str:
    found = re.search(pattern, said, re.MULTILINE)
    if found is None:
        raise SystemExit(f'bench/web: wrk said\n{said}')
    return found[1]


def _milliseconds(time: str) -> float:
    number = re.sub('[a-z]+$', '', time)
    unit = {'us': 0.001, 'ms': 1.0, 's': 1000.0, 'm': 60000.0}
    return float(number) * unit[time[len(number) :]]


if __name__ == '__main__':
    sys.exit(main())
