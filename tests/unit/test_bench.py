"""What the benchmarks make of their measurements."""

from __future__ import annotations

import json
import sys

import pytest

from testlib.places import ROOT

sys.path.append(str(ROOT))

from bench import figures

MACHINE = {
    'date': '2024-02-29 12:00:00 +0000',
    'cores': 2,
    'cpu': 'Abacus',
    'system': 'Linux-1',
    'python': '3.11.7',
    'mercurial': '7.2.4',
}


def report() -> figures.Report:
    made = figures.Report('visibility', MACHINE, 0.25)
    made.note('3 pushes')
    made.add('visible, p50', 3.04, 'ms', figures.most(120))
    made.add('push', 401.5, 'ms')
    made.add('long / few', 1.234, 'x', figures.flat(0.2))
    return made


@pytest.mark.parametrize(
    ('values', 'median', 'worst'),
    [
        ([5.0], 5.0, 5.0),
        ([4.0, 1.0], 2.5, 4.0),
        ([3.0, 1.0, 2.0], 2.0, 3.0),
        ([float(n) for n in range(1, 101)], 50.5, 99.0),
        ([float(n) for n in range(200, 0, -1)], 100.5, 198.0),
    ],
)
def test_percentiles(values: list[float], median: float, worst: float) -> None:
    assert figures.p50(values) == median
    assert figures.p99(values) == worst


@pytest.mark.parametrize(
    ('target', 'met', 'missed'),
    [
        (figures.most(60), [60.0, -3.0], [60.1]),
        (figures.flat(0.2), [0.8, 1.0, 1.2], [0.79, 1.21]),
    ],
)
def test_targets(
    target: figures.Target, met: list[float], missed: list[float]
) -> None:
    assert all(target.met(value) for value in met)
    assert not any(target.met(value) for value in missed)


def test_the_table_is_aligned_and_says_what_was_missed() -> None:
    assert report().table() == (
        'visibility: 2024-02-29 12:00:00 +0000, load 0.25\n'
        '2 x Abacus, Python 3.11.7, Mercurial 7.2.4, Linux-1\n'
        '3 pushes\n'
        '\n'
        'name          measured  target      ok\n'
        'visible, p50    3.0 ms  <= 120      ok\n'
        'push          401.5 ms\n'
        'long / few      1.23 x  0.8 to 1.2  MISSED'
    )


def test_json_has_the_same() -> None:
    said = json.loads(report().json())
    assert said['machine'] == MACHINE
    assert [row['ok'] for row in said['rows']] == [True, None, False]
    assert said['rows'][0] == {
        'name': 'visible, p50',
        'measured': 3.04,
        'unit': 'ms',
        'target': '<= 120',
        'ok': True,
    }


def test_one_missed_target_is_enough_to_fail() -> None:
    made = report()
    assert made.exit_code() == 1
    made.rows.pop()
    assert made.exit_code() == 0


def test_this_machine_is_described() -> None:
    said = figures.machine()
    assert set(said) == set(MACHINE)
    assert said['cores'] >= 1
    assert figures.load() >= 0
