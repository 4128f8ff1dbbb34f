"""A machine that misbehaves: a full disk, and a clock that is set back."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from . import book
from .client import stock
from .fleet import Fleet, serves, until
from .yard import Yard

MISHAP = Path(__file__).with_name('mishap.py')
# Long enough for a daemon that has to wait for its turn.
LEASE = 6.0
SETTINGS = {'partitions': '1', 'lease': str(LEASE), 'inline-limit': '64 KB'}
HOUR = 3600


def mishap(fleet: Fleet, **what: int) -> None:
    """Let it happen, or with nothing, let it be over."""
    (fleet.folder / 'mishap.json').write_text(json.dumps(what))


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    extensions = {'mishap': MISHAP}
    fleet = Fleet(tmp_path / 'fleet', 1, 1, SETTINGS, extensions)
    mishap(fleet)
    with _tiny(fleet.ledger.parent), fleet, stock(fleet) as hg:
        yard = Yard(fleet, hg)
        fleet.start()
        yard.create('demo')
        fleet.joined()
        yield yard


@contextmanager
def _tiny(folder: Path) -> Iterator[None]:
    """Make ``folder`` a small file system of its own, where one may."""
    size = ('-o', 'size=3m', 'tmpfs', str(folder))
    mount = ('mount', '-t', 'tmpfs', *size)
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        yield
        return
    try:
        yield
    finally:
        subprocess.run(['umount', '-l', str(folder)], check=True)


def _fill(fleet: Fleet) -> Path:
    """Fill the disk of the ledger; return what is to be removed."""
    ballast = fleet.ledger.parent / 'ballast'
    if not os.path.ismount(fleet.ledger.parent):
        mishap(fleet, pages=1)
        ballast.touch()
        return ballast
    with ballast.open('wb', buffering=0) as file:
        for size in (1 << 16, 1 << 9):
            try:
                while file.write(b'\0' * size):
                    pass
            except OSError:
                pass
    return ballast


def test_full_disk_under_the_ledger(yard: Yard) -> None:
    fleet = yard.fleet
    yard.pushed('demo')
    last = book.read(fleet.ledger).last('demo')
    ballast = _fill(fleet)
    said = yard.refused_at_last('demo')
    assert f'demo, entry {last + 1}: ' in said
    assert 'there is no room for' in said
    assert 'free some space' in said
    for node in fleet.nodes.values():
        assert node.daemon is not None
        assert node.daemon.poll() is None
        assert 'Traceback' not in node.complaints()
    ballast.unlink()
    mishap(fleet)
    yard.pushed('demo')
    yard.equal('demo')
    fleet.joined()
    yard.shows('demo')


def test_copies_that_cannot_be_opened(yard: Yard) -> None:
    fleet = yard.fleet
    mirror = fleet.nodes['m1']
    broken = {'r': 'requires', 'a': 'store/fleet-applied', 'h': 'hgrc'}
    for repo in broken:
        yard.create(repo)
        yard.equal(repo)
    fleet.stop('m1')
    before = {}
    for repo, name in broken.items():
        file = mirror.root / repo / '.hg' / name
        before[file] = file.read_bytes() if file.exists() else b''
        file.write_bytes(b'nonsense\n')
        yard.pushed(repo)
    fleet.start('m1')
    for repo in broken:
        assert f'{repo}: ' in yard.aside(repo, 'm1')
    yard.pushed('demo')
    yard.shows('demo')
    for file, data in before.items():
        file.write_bytes(data)
    for repo in broken:
        yard.equal(repo)
    assert 'Traceback' not in mirror.complaints()


def test_clock_set_back_an_hour(yard: Yard) -> None:
    fleet = yard.fleet
    mirror = fleet.nodes['m1']
    yard.pushed('demo')
    mishap(fleet, clock=-HOUR)
    began = time.monotonic()
    while time.monotonic() < began + 2 * LEASE:
        assert serves(mirror)
        yard.pushed('demo')
        yard.shows('demo')
    yard.create('late')
    mishap(fleet, clock=HOUR)
    yard.pushed('demo')
    yard.equal('demo')
    until('m1 does not serve', lambda: serves(mirror))
    for node in fleet.nodes.values():
        times = _times(node.root / 'demo' / '.hg/store/fleet-pushlog')
        assert times == sorted(times)
        assert times[-1] > time.time() * 1000 + HOUR * 500
        (late,) = _times(node.root / 'late' / '.hg/store/fleet-pushlog')
        assert late < time.time() * 1000 - HOUR * 500


def _times(pushlog: Path) -> list[int]:
    """Return the times of all pushes, in milliseconds."""
    records = struct.iter_unpack('>IIIIqQ', pushlog.read_bytes())
    return [record[4] for record in records]
