"""A mirror that is away: it is not waited for, refuses, and comes back."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import book, poison
from .client import stock
from .fleet import Fleet, refusal, serves, until
from .yard import Yard

LEASE = 1.5
GRACE = 1.25
# What a busy machine may need besides; without an end it is longer.
SLACK = 30.0
# How long a mirror stays away, beyond its lease.
AWAY = 60.0 if os.environ.get('HGFLEET_THOROUGH') else LEASE


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    settings = {'partitions': '1', 'lease': str(LEASE)}
    with Fleet(tmp_path / 'fleet', 1, 2, settings) as fleet, stock(fleet) as hg:
        yard = Yard(fleet, hg)
        fleet.start()
        yard.create('demo')
        fleet.joined()
        yard.shows('demo')
        yield yard


@pytest.mark.parametrize('how', [signal.SIGSTOP, signal.SIGKILL])
def test_mirror_that_is_away(yard: Yard, how: signal.Signals) -> None:
    fleet = yard.fleet
    away = fleet.nodes['m1']
    if how is signal.SIGKILL:
        fleet.kill('m1')
    else:
        fleet.tell('m1', how)
    gone = time.monotonic()
    yard.pushed('demo')
    pushed = time.monotonic()
    _stream, offset, _value = poison.last(fleet, 'demo')
    until('m2 waits for ever', lambda: yard.shown('m2') > offset)
    # Nobody may show what this mirror lacks before it has stopped serving.
    assert refusal(away) == 'this mirror has lost touch with the fleet'
    assert time.monotonic() < max(gone + GRACE * LEASE, pushed) + SLACK
    while time.monotonic() < gone + LEASE + AWAY:
        yard.pushed('demo')
        assert not serves(away)
    assert yard.shown('m1') <= offset
    yard.shows('demo', 'm2')
    fleet.stop('p1')
    if how is signal.SIGKILL:
        fleet.start('m1')
    else:
        fleet.tell('m1', signal.SIGCONT)
    yard.equal('demo')
    yard.shows('demo')


def test_lease_is_refused_after_another_boot(yard: Yard) -> None:
    fleet = yard.fleet
    fleet.kill('m1')
    shown = fleet.nodes['m1'].shown
    body = json.loads(shown.read_bytes())
    shown.write_text(json.dumps({**body, 'boot': 'another', 'until': 1e9}))
    assert refusal(fleet.nodes['m1']) != ''
    fleet.start('m1')
    until('m1 does not serve again', lambda: serves(fleet.nodes['m1']))


def test_mirrors_without_a_ledger_stop_serving(yard: Yard) -> None:
    fleet = yard.fleet
    members = fleet.ledger.with_name(f'{fleet.ledger.name}-members.db')
    with book.held(fleet.ledger), book.held(members):
        said = yard.refused('demo')
        assert [node.name for node in fleet.mirrors if serves(node)] == []
    last = book.read(fleet.ledger).last('demo')
    assert f'demo, entry {last + 1}: ' in said
    assert 'another process has kept it locked' in said
    fleet.joined()
    yard.pushed('demo')
    yard.equal('demo')
    yard.shows('demo')
