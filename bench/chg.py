"""Commands through chg: Mercurial's own server for it against this one.

The same client runs ``log -l1`` in the same repository, by turns with a
server of either kind; what is compared are the medians.  The processor time
is that of the servers and all their workers, read from the kernel before
and after.  ``--runs`` says how many commands each.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / 'tests'), str(ROOT / 'tests' / 'names')]
sys.path.append(str(ROOT))

from bench import figures  # noqa: E402

from testlib import chg  # noqa: E402

_EXTENSIONS = {
    'bare': (),
    'five extensions': ('blackbox', 'clonebundles', 'acl', 'notify', 'rebase'),
}
_TICK = os.sysconf('SC_CLK_TCK')


@dataclass
class Side:
    """A server, and how long its clients took."""

    folder: Path
    ours: bool
    extensions: tuple[str, ...]
    took: list[float] = field(default_factory=list)

    @property
    def env(self) -> dict[str, str]:
        """The environment of its clients."""
        outer = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(('HG', 'CHG', 'PYTHON'))
        }
        return outer | {
            'HGRCPATH': str(self.folder / 'hgrc'),
            'CHGHG': str(chg.HG),
            'CHGSOCKNAME': str(self.folder / 'chg' / 'server'),
        }

    def prepare(self) -> None:
        """Write the configuration."""
        (self.folder / 'chg').mkdir(parents=True, mode=0o700)
        names = [*self.extensions, *(['warmserver'] if self.ours else [])]
        lines = ['[ui]', 'username = ann', '[extensions]']
        lines += [f'{name} =' for name in names]
        (self.folder / 'hgrc').write_text('\n'.join(lines) + '\n')

    def run(self, *words: str) -> float:
        """Run a command; return how long it took, in milliseconds."""
        start = time.perf_counter()
        subprocess.run(
            [chg.client(), *words],
            env=self.env,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        return (time.perf_counter() - start) * 1000

    def used(self) -> float:
        """Return the processor time of its processes, in milliseconds."""
        where = f'{self.folder}/chg/server'.encode()
        return sum(_used(path, where) for path in Path('/proc').glob('[0-9]*'))

    def close(self) -> None:
        """End the servers."""
        shutil.rmtree(self.folder / 'chg')


def _used(process: Path, where: bytes) -> float:
    """Return the time of a server, with that of what it has waited for."""
    try:
        words = (process / 'cmdline').read_bytes()
        stat = (process / 'stat').read_bytes()
    except OSError:
        return 0.0
    if where not in words:
        return 0.0
    ticks = stat.rpartition(b')')[2].split()[11:15]
    return sum(map(int, ticks)) * 1000 / _TICK


def measure(
    report: figures.Report, folder: Path, label: str, runs: int
) -> None:
    """Compare the servers with some extensions."""
    repo = str(folder / 'repo')
    place = folder / label.split()[0]
    extensions = _EXTENSIONS[label]
    stock = Side(place / 'stock', False, extensions)
    ours = Side(place / 'ours', True, extensions)
    sides = (stock, ours)
    for side in sides:
        side.prepare()
        for _ in range(10):
            side.run('-R', repo, 'log', '-l1')
    before = [side.used() for side in sides]
    for _ in range(runs):
        for side in sides:
            time.sleep(0.03)
            side.took.append(side.run('-R', repo, 'log', '-l1'))
    time.sleep(0.5)
    spent = [
        (side.used() - earlier) / runs
        for side, earlier in zip(sides, before, strict=True)
    ]
    for side in sides:
        side.close()
    medians = [figures.p50(side.took) for side in sides]
    report.add(f'{label}: log -l1, stock', medians[0], 'ms')
    report.add(f'{label}: log -l1, ours', medians[1], 'ms')
    report.add(
        f'{label}: ours / stock', medians[1] / medians[0], '', figures.most(0.9)
    )
    report.add(f'{label}: processor time, stock', spent[0], 'ms')
    report.add(f'{label}: processor time, ours', spent[1], 'ms')
    report.add(f'{label}: processor, ours / stock', spent[1] / spent[0], '')


def main() -> int:
    """Measure; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--runs', type=int, default=100, metavar='N')
    parser.add_argument('--json', action='store_true')
    options = parser.parse_args()
    try:
        chg.client()
    except chg.Missing as problem:
        figures.say(f'chg: {problem}')
        return 1
    report = figures.Report('chg', figures.machine(), figures.load())
    report.note(f'{options.runs} commands each, by turns')
    with tempfile.TemporaryDirectory(prefix='hgfleet-chg.') as name:
        folder = Path(name)
        _repository(folder / 'repo')
        for label in _EXTENSIONS:
            measure(report, folder, label, options.runs)
    print(report.json() if options.json else report.table())
    return report.exit_code()


def _repository(path: Path) -> None:
    env = {**os.environ, 'HGRCPATH': '', 'HGUSER': 'ann'}
    for words in (('init', str(path)), ('-R', str(path), 'commit', '-qAm1')):
        if 'commit' in words:
            (path / 'file').write_text('1\n')
        subprocess.run([chg.HG, *words], env=env, check=True)


if __name__ == '__main__':
    sys.exit(main())
