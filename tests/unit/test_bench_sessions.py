"""The benchmark of sessions, with as few of them as make sense."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from testlib import chg
from testlib.places import ROOT

sys.path.append(str(ROOT))

from bench import sessions, spawned
from bench.figures import Report
from bench.sessions import Course, Figures

MACHINE = {
    'date': '2024-02-29 12:00:00 +0000',
    'cores': 2,
    'cpu': 'Abacus',
    'system': 'Linux-1',
    'python': '3.11.7',
    'mercurial': '7.2.4',
}


def measured(sshd: bool) -> Report:
    """Return all figures of a short run, or skip."""
    try:
        chg.client()
    except chg.Missing as reason:
        pytest.skip(str(reason))
    report = Report('sessions', MACHINE, 0.0)
    with tempfile.TemporaryDirectory(prefix='hgfleet-bench-') as folder:
        figures = sessions.measure(Path(folder), 1, 0.2, sshd)
    sessions.describe(report, figures)
    return report


def test_everything_is_measured() -> None:
    table = measured(sshd=False).table()
    for words in (
        'bare: warm / .floor . 4 ms. .* x  <= 1.6',
        'suite: cold / warm .* x  >= 8',
        'sessions a second, chg',
        'forced command, warm, suite / chg .* x  >= 3',
        'CPU of a session, warm, suite .* ms  <= 12',
        'with warmserver / stock .* x  <= 0.9',
    ):
        assert re.search(words, table), table
    assert 'sshd' not in table


def test_sessions_through_sshd_are_measured() -> None:
    path = os.pathsep.join([os.environ.get('PATH', ''), '/usr/sbin', '/sbin'])
    for program in ('ssh', 'sshd'):
        if shutil.which(program, path=path) is None:
            pytest.skip(f'there is no {program} here')
    found = [r for r in measured(sshd=True).rows if r.name.startswith('sshd')]
    assert len(found) == 8
    assert all(row.value > 0 for row in found)


def figures(warm: float, cold: float, rate: float) -> Figures:
    made = Figures()
    for name in ('bare', 'suite'):
        made.times[f'hello, {name}, warm'] = [warm]
        made.times[f'hello, {name}, cold'] = [cold]
    made.times['floor'] = [6.0]
    for name in ('stock', 'with warmserver'):
        made.times[f'chg log -l1, {name}'] = [10.0 if name == 'stock' else 9.0]
    for front in ('', 'forced command, '):
        for name, count in (('chg', 100), ('warm, bare', 100 * rate)):
            made.courses[front + name] = Course('', [], {}, 0, int(count), 2, 1)
        made.courses[f'{front}warm, suite'] = made.courses[f'{front}warm, bare']
    return made


@pytest.mark.parametrize(
    ('given', 'missed'),
    [
        (figures(16.0, 128.0, 3.0), 0),
        (figures(16.1, 140.0, 3.0), 2),
        (figures(16.0, 127.0, 3.0), 2),
        (figures(16.0, 128.0, 2.9), 4),
    ],
)
def test_targets(given: Figures, missed: int) -> None:
    report = Report('sessions', MACHINE, 0.0)
    sessions.describe(report, given)
    assert sum(row.ok is False for row in report.rows) == missed


def test_the_first_byte_is_not_the_end() -> None:
    said = 'echo one; read x; echo two >&2; exit 0'
    took = spawned.session(['/bin/sh', '-c', said + ' $x'], {}, b'hello\n')
    assert 0 < took.first < took.whole
    with pytest.raises(SystemExit):
        spawned.session(['/bin/sh', '-c', 'echo one; exit 3'], {})


def test_cpu_of_children_that_have_ended_counts() -> None:
    before = sessions.used(os.getpid())
    busy = 'import time\nwhile time.process_time() < 0.2: pass'
    spawned.silent([sys.executable, '-c', busy], {})
    assert sessions.used(os.getpid()) - before > 0.1
