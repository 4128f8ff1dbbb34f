"""The power is cut while clients push; then every node is compared."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from . import blockdev, powercut
from .blockdev import Disk
from .powercut import Plan, Report

THOROUGH = bool(os.environ.get('HGFLEET_THOROUGH'))
PUSHES, CUTS = (24, 3) if THOROUGH else (12, 2)
ATTEMPTS = 15
SEED = os.environ.get('HGFLEET_SEED') or '2026'

pytestmark = pytest.mark.skipif(
    bool(blockdev.missing()), reason=f'optional: {blockdev.missing()}'
)


def _words(report: Report) -> str:
    listed = '\n'.join(str(finding) for finding in report.findings[:10])
    return f'{listed}\n{report.closing()}'


def test_power_cuts_lose_nothing(tmp_path: Path) -> None:
    report = powercut.run(Plan(tmp_path, SEED, PUSHES, CUTS))
    assert not report.failed, _words(report)
    assert report.pushes >= PUSHES
    assert report.cuts.total() == CUTS
    assert report.examined


def test_a_ledger_that_is_not_synced_is_found_out(tmp_path: Path) -> None:
    """Otherwise nothing would be known of those that are.

    Whether a cut takes anything with it depends on what the system has
    written back by itself by then, so several schedules are tried.
    """
    for attempt in range(ATTEMPTS):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        plan = Plan(folder, f'{SEED}.{attempt}', 12, 3, weak=('ledger',))
        if powercut.run(plan).failed:
            return
    pytest.fail(f'nothing was lost in {ATTEMPTS} runs')


def test_a_disk_forgets_what_was_not_synced(tmp_path: Path) -> None:
    disk = Disk(tmp_path / 'image', tmp_path / 'disk')
    disk.make(32 << 20)
    disk.mount()
    try:
        synced, other = disk.place / 'synced', disk.place / 'other'
        synced.write_text('1')
        for path in (synced, disk.place):
            handle = os.open(path, os.O_RDONLY)
            os.fsync(handle)
            os.close(handle)
        other.write_text('2')
        synced.write_text('3')
        disk.cut()
        disk.unmount()
        disk.mount()
        assert synced.read_text() in ('1', '')
        assert not other.exists()
    finally:
        disk.unmount()
