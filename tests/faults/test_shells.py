"""The servers of chg change again and again, and every command is answered."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from testlib import chg

from . import shells
from .shells import Blow, Ran, Report

THOROUGH = bool(os.environ.get('HGFLEET_THOROUGH'))
BLOWS = 40 if THOROUGH else 10
SEED = os.environ.get('HGFLEET_SEED') or '2026'


def test_everybody_is_answered_and_nothing_is_stale(tmp_path: Path) -> None:
    try:
        report = shells.run(tmp_path / 'room', BLOWS, SEED, clients=2)
    except chg.Missing as reason:
        pytest.skip(str(reason))
    found = [*report.failures, *report.stale, *report.other]
    assert not report.failed, '\n'.join(found)
    assert {blow for blow, _began, _ended in report.blows} == set(Blow)
    assert report.waits


def test_a_command_is_judged_by_what_there_was_when_it_began() -> None:
    def ran(out: str, code: int = 0, err: str = '') -> Ran:
        return Ran(1.0, 2.0, (3, 4), code, out, err)

    for out in ('3 4 99', '5 4 99\n', '3 9 99'):
        assert not ran(out).problem
        assert not ran(out).stale
    for out in ('2 4 99', '9 3 99'):
        assert ran(out).stale
    assert ran('').problem
    assert ran('3 4 99', 255).problem
    assert ran('3 4 99', err='a warning').problem


def test_only_a_killed_server_excuses_a_failure(tmp_path: Path) -> None:
    room = shells.Room.__new__(shells.Room)
    room.other = []
    room.ran = [
        Ran(1.0, 2.0, (0, 0), 255, '', ''),
        Ran(1, 2, (1, 0), 0, '0 0 7', ''),
    ]
    for blow, failures in ((Blow.KILL, 0), (Blow.TERM, 1), (Blow.UNLINK, 1)):
        report = Report('7', blows=[(blow, 1.5, 1.6)])
        shells.judge(room, report)
        assert len(report.failures) == failures
        assert report.cut == 1 - failures
        assert report.failed
        assert report.stale
        assert report.closing() == (
            f'restarts 1, failed {failures}, stale 1, cut {1 - failures}, '
            'commands 1, longest 1000 ms (calm 0 ms), seed 7'
        )
