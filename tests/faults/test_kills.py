"""Things go wrong while clients push; then every node is compared."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from testlib import kafka, swift

from . import campaign
from .campaign import Plan, Report
from .checker import Finding, Kind
from .schedule import BROKERS, LASTING, NETWORK, RELAYS, STORAGE, Fault, Mix

THOROUGH = bool(os.environ.get('HGFLEET_THOROUGH'))
KILLS = 120 if THOROUGH else 40
STOPS = 120 if THOROUGH else 20
CUTS = 60 if THOROUGH else 12
STORE = 60 if THOROUGH else 12
PUSHES = 200 if THOROUGH else 30
# Two primaries can meet all that one can, and more.
PRIMARIES = (1, 2) if THOROUGH else (2,)
SEED = os.environ.get('HGFLEET_SEED') or '2026'


def _words(report: Report) -> str:
    listed = '\n'.join(str(finding) for finding in report.findings[:10])
    return f'{listed}\nagain: {report.plan.command}'


@pytest.mark.parametrize('primaries', PRIMARIES)
def test_kills_lose_nothing(tmp_path: Path, primaries: int) -> None:
    plan = Plan(tmp_path / 'fleet', SEED, KILLS, primaries, mix=Mix.KILLS)
    report = campaign.run(plan)
    assert not report.findings, _words(report)
    assert report.faults.total() >= KILLS
    assert len(report.faults) > 2
    assert not LASTING & set(report.faults)
    assert report.glances > report.entries


def test_stops_lose_nothing(tmp_path: Path) -> None:
    plan = Plan(tmp_path / 'fleet', SEED, STOPS, 2, workers=3)
    report = campaign.run(plan)
    assert not report.findings, _words(report)
    assert report.faults.total() >= STOPS
    assert LASTING & set(report.faults)


def test_faults_of_kafka_lose_nothing(tmp_path: Path) -> None:
    try:
        kafka.jars()
    except kafka.Missing as reason:
        pytest.skip(str(reason))
    plan = Plan(tmp_path / 'fleet', SEED, CUTS, 2, workers=6, ledger='kafka')
    report = campaign.run(plan)
    assert not report.findings, _words(report)
    assert report.faults.total() >= CUTS
    assert report.told.total() > len(report.faults)
    if THOROUGH:
        struck = {fault for fault, count in report.faults.items() if count}
        assert struck & NETWORK
        assert struck & (BROKERS | RELAYS)
        assert struck & {Fault.STOP_DAEMON, Fault.STOP_SESSION}


def test_faults_of_the_blob_store_lose_nothing(tmp_path: Path) -> None:
    plan = Plan(tmp_path / 'fleet', SEED, STORE, 2, workers=3, blobs='s3')
    try:
        report = campaign.run(plan)
    except swift.Unavailable as reason:
        pytest.skip(f'Swift: {reason}')
    assert not report.findings, _words(report)
    assert report.faults.total() >= STORE
    assert STORAGE & set(report.faults)
    assert report.stored


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
