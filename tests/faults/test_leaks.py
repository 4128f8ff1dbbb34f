"""Nothing of a session is left for another one, and what is left is found."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from . import gauge, leaks
from .gauge import Sample
from .leaks import Kind, Report
from .leaky import LEAKS

THOROUGH = bool(os.environ.get('HGFLEET_THOROUGH'))
SESSIONS = 1500 if THOROUGH else 200
SEED = os.environ.get('HGFLEET_SEED') or '2026'


def test_nothing_is_left_for_another_session(tmp_path: Path) -> None:
    report = leaks.run(tmp_path / 'node', SESSIONS, SEED, clients=3)
    assert not report.failed, '\n'.join([*report.leaks, *report.other])
    assert report.sessions == SESSIONS
    assert report.declined == 0
    assert set(report.kinds) == {kind.value for kind in Kind}


def test_whatever_is_left_behind_is_found(tmp_path: Path) -> None:
    begins = tmp_path / 'begins'
    extension = Path(__file__).with_name('leaky.py')
    settings = f'[extensions]\nleaky = {extension}\n[leaky]\nbegins = {begins}'
    report = leaks.run(
        tmp_path / 'node',
        120,
        SEED,
        suite=False,
        clients=2,
        settings=settings,
        begin=begins.touch,
    )
    found = {
        re.split('[: ]+', words.split(': ')[1])[0] for words in report.leaks
    }
    assert found >= set(LEAKS)


def sample(memory: float, descriptors: int = 8, processes: int = 1) -> Sample:
    return Sample(memory, descriptors, processes)


@pytest.mark.parametrize(
    ('late', 'words'),
    [
        (sample(40.9), []),
        (sample(43), ['memory of the server grew from 40 to 43']),
        (sample(40, 9), ['descriptors of the server grew from 8 to 9']),
        (sample(40, 8, 2), ['processes of the server grew from 1 to 2']),
    ],
)
def test_what_grows_is_told(late: Sample, words: list[str]) -> None:
    early = sample(40)
    assert list(gauge.judged([early] * 6 + [late] * 2)) == words
    # What a server needs to get going does not count.
    assert not list(gauge.judged([sample(1)] * 2 + [late] * 6))


def test_a_worker_that_is_still_to_be_forked_is_not_growth() -> None:
    fewer, all_of_them = sample(40, 8, 3), sample(40, 9, 4)
    samples = [all_of_them] + [fewer] * 3 + [all_of_them] * 4
    assert not list(gauge.judged(samples))
    more = sample(40, 9, 5)
    assert list(gauge.judged(samples[:6] + [more] * 2))


def test_the_closing_line() -> None:
    report = Report('7', 20, ['a'], 3, samples=[sample(30), sample(31.26)])
    assert report.failed
    assert report.closing() == (
        'sessions 20, leaks 1, declined 3, memory 30.0..31.3 MiB, seed 7'
    )
