"""Processes are killed while clients push; then every node is compared."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from . import campaign
from .campaign import Plan, Report
from .checker import Finding, Kind

THOROUGH = bool(os.environ.get('HGFLEET_THOROUGH'))
KILLS = 120 if THOROUGH else 40
PUSHES = 200 if THOROUGH else 30
# Two primaries can meet all that one can, and more.
PRIMARIES = (1, 2) if THOROUGH else (2,)
SEED = os.environ.get('HGFLEET_SEED') or '2026'


def _words(report: Report) -> str:
    listed = '\n'.join(str(finding) for finding in report.findings[:10])
    return f'{listed}\nagain: {report.plan.command}'


@pytest.mark.parametrize('primaries', PRIMARIES)
def test_kills_lose_nothing(tmp_path: Path, primaries: int) -> None:
    plan = Plan(tmp_path / 'fleet', SEED, KILLS, primaries)
    report = campaign.run(plan)
    assert not report.findings, _words(report)
    assert sum(report.kills.values()) >= KILLS
    assert len(report.kills) > 2
    assert report.glances > report.entries


def test_two_primaries_never_diverge(tmp_path: Path) -> None:
    plan = Plan(tmp_path / 'fleet', SEED, 0, primaries=2)
    report = campaign.race(plan, PUSHES)
    assert not report.findings, _words(report)
    assert report.told.total() >= PUSHES
    assert report.superseded, 'no push was ever beaten by another one'


def test_the_closing_line_counts_what_was_found(tmp_path: Path) -> None:
    report = Report(Plan(tmp_path, '7', 0))
    report.findings = [
        Finding(kind, 'something')
        for kind in (Kind.LOST, Kind.EARLY, Kind.EARLY, Kind.OTHER)
    ]
    assert report.closing() == (
        'faults 0, lost 1, doubled 0, divergent 0, early 2, seed 7'
    )
