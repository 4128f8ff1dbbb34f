"""A push through a primary that has missed more than pushes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import picture
from .client import Verdict, stock
from .fleet import HG, Fleet, until
from .yard import Yard


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    """A fleet of which p2 knows a repository, and runs no daemon."""
    settings = {'partitions': '1'}
    with Fleet(tmp_path / 'fleet', 2, 0, settings) as fleet, stock(fleet) as hg:
        yard = Yard(fleet, hg)
        yard.create('demo')
        assert fleet.command('p2', 'replicate::catchup', 'demo').stdout
        yield yard


def test_another_hgrc(yard: Yard) -> None:
    fleet = yard.fleet
    hgrc = fleet.folder / 'drafting'
    hgrc.write_text('[phases]\npublish = no\n')
    fleet.command('p1', 'replicate::config', 'demo', str(hgrc))
    yard.pushed('demo')
    _beaten(yard, 'configured or made anew')
    yard.pushed('demo', 'p2')
    fleet.start()
    yard.equal('demo')
    one = picture.take(yard.hg, fleet.nodes['p2'], 'demo')
    assert one is not None
    assert [each.phase for each in one.changesets[-2:]] == ['draft', 'draft']


def test_another_repository_of_that_name(yard: Yard) -> None:
    fleet = yard.fleet
    fleet.command('p1', 'replicate::delete', 'demo')
    fleet.create('demo')
    yard.pushed('demo')
    _beaten(yard, 'configured or made anew')
    yard.pushed('demo', 'p2')
    fleet.start()
    yard.equal('demo')


def test_entry_that_was_put_off_is_not_forgotten(yard: Yard) -> None:
    fleet = yard.fleet
    fleet.start()
    yard.create('other')
    fleet.reached('other', 2)
    path = fleet.nodes['p1'].root / 'demo'
    with subprocess.Popen(
        [HG, '-R', str(path), 'debuglocks', '--set-lock'],
        env=fleet.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    ) as holder:
        until('nobody has the lock', (path / '.hg/store/lock').is_symlink)
        yard.pushed('demo', 'p2')
        yard.pushed('other', 'p2')
        fleet.reached('other', 3)
        assert fleet.nodes['p1'].at('demo') == 2
        fleet.kill('p1')
        holder.kill()
    fleet.start('p1')
    yard.equal('demo')


def _beaten(yard: Yard, words: str) -> None:
    verdict, said = yard.push('demo', 'p2')
    assert verdict is Verdict.RETRY, said
    assert words in said
