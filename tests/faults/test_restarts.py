"""The warm server starts anew again and again, and nobody is refused."""

from __future__ import annotations

import os
from pathlib import Path

from testlib.visitor import Seen

from . import restarts
from .restarts import Blow, Report, Storm, Tide, Visited

THOROUGH = bool(os.environ.get('HGFLEET_THOROUGH'))
RESTARTS = 60 if THOROUGH else 12
SEED = os.environ.get('HGFLEET_SEED') or '2026'


def test_nobody_is_refused_and_nothing_is_stale(tmp_path: Path) -> None:
    report = restarts.run(
        tmp_path / 'sea', RESTARTS, SEED, clients=2, stays=0.0
    )
    found = [*report.failed_sessions, *report.stale, *report.other]
    assert not report.failed, '\n'.join(found)
    assert {storm.blow for storm in report.storms} == set(Blow)
    assert report.calm


def visited(said: str, status: int | None = 0) -> Visited:
    seen = Seen('', said, status, False, 0.01, 0.02)
    return Visited(1.0, Tide(3, 4, 0), seen)


def test_a_session_is_judged_by_what_there_was_when_it_began() -> None:
    for said in ('TIDE 3 4 99\n', 'other words\nTIDE 4 9 99\n'):
        assert not visited(said).problem
        assert not visited(said).stale
    for said in ('TIDE 2 4 99\n', 'TIDE 9 3 99\n'):
        assert not visited(said).problem
        assert visited(said).stale
    assert visited('').problem
    assert visited('TIDE 3 4 99\n', 70).problem
    assert visited('TIDE 3 4 99\n', None).problem


def test_the_closing_line() -> None:
    report = Report('7', [Storm(Blow.KILL, 0, 1)], stale=['x'], calm=[2.6])
    report.waits = {Blow.KILL: [151.0, 3.0]}
    report.cold['calm'] = 2
    assert report.failed
    assert report.closing() == (
        'restarts 1, failed 0, stale 1, cold 2, longest 151 ms (calm 3 ms), '
        'seed 7'
    )
    report.stale = []
    assert not report.failed
    report.limit = 150
    assert report.failed
