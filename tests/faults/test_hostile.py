"""Whatever somebody does to the warm server, others have their sessions."""

from __future__ import annotations

import os
from pathlib import Path

from . import hostile
from .hostile import Report, Row, Way

THOROUGH = bool(os.environ.get('HGFLEET_THOROUGH'))
SESSIONS = 20 if THOROUGH else 4
SEED = os.environ.get('HGFLEET_SEED') or '2026'


def test_the_sessions_of_others_go_on(tmp_path: Path) -> None:
    report = hostile.run(tmp_path / 'node', SESSIONS, SEED, rounds=1)
    found = [*report.failed_sessions, *report.other]
    assert not report.failed, '\n'.join(found)
    for row in report.rows.values():
        assert row.peace
        assert row.war


def test_who_waits_longer_is_found() -> None:
    rows = {
        Way.HALF: Row([2.0, 4.0, 9.0], [4.0, 5.0, 6.0]),
        Way.FLOOD: Row([4.0], [10.0], 1),
    }
    report = Report('7', rows)
    assert rows[Way.HALF].ratio == 1.25
    assert report.worst == 2.5
    assert not report.failed
    assert report.closing() == (
        'sessions 8, failed 0, cold 1, p50 6 ms (in peace 4 ms), '
        'worst 2.50, seed 7'
    )
    report.limit = 2.0
    assert report.failed
