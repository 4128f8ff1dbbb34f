"""A primary that is fenced while it is in the middle of a push."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import book
from .client import Verdict, stock, verdict
from .fleet import PATIENCE, Fleet, until
from .yard import Yard

# From the opening of the transaction until the entry is appended.
PAUSE = 10


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    with Fleet(tmp_path / 'fleet', primaries=2) as fleet, stock(fleet) as hg:
        fleet.start()
        fleet.joined()
        yard = Yard(fleet, hg)
        yard.create('demo')
        yield yard


def test_a_paused_primary_wakes_up_fenced(yard: Yard) -> None:
    fleet = yard.fleet
    node = fleet.nodes['p2']
    fleet.reached('demo', 2)
    clone = yard.clones['demo']
    point = f'publish.before pause {PAUSE}'
    push = clone.pushing(node, 'late', '-r', clone.ahead(1), point=point)
    until('no push has begun', lambda: node.unfinished('demo'))
    ((_name, session),) = fleet.running()
    os.kill(session, signal.SIGSTOP)
    fence = fleet.command('p1', 'replicate::fence', 'p2')
    assert fence.returncode == 0, fence.stderr
    os.kill(session, signal.SIGCONT)
    said, _nothing = push.communicate(timeout=2 * PATIENCE)
    assert verdict(push.returncode, said) is Verdict.REFUSED, said
    assert 'demo cannot be changed on p2, which is fenced' in said
    (late,) = book.read(fleet.ledger).by_user('late')
    assert not late.valid
    clone.at -= 1
    yard.pushed('demo')
    yard.equal('demo')
    lifted = fleet.command('p1', 'replicate::unfence', 'p2')
    assert lifted.returncode == 0, lifted.stderr
    yard.pushed('demo', 'p2')
    yard.equal('demo')
