"""A mirror that begins with what it cannot look back from.

What it has of the first entries is not undone step by step: it had applied
them when it was a primary, or they came in a snapshot.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hgext3rd.fleet.core import barrier
from hgext3rd.fleet.core.barrier import MIRROR, STREAM, Lease
from hgext3rd.fleet.webgate import Gate, Sight
from hgext3rd.replicate.membership import Membership
from hgext3rd.replicate.node import Hosted, Node
from hgext3rd.replicate.opening import open_repository
from hgext3rd.replicate.serve import Follower
from hgext3rd.replicate.snapshot import take
from testlib.hgrepo import commit, create, make_node

ENTRIES = 51


@pytest.fixture
def demo(tmp_path: Path) -> Hosted:
    """A repository with a snapshot, of which a mirror has 40 entries."""
    hosted = create(make_node(tmp_path, partitions='1'))
    repo = open_repository(hosted).unfiltered()
    for number in range(ENTRIES - 1):
        commit(repo, b'%d\n' % number)
    take(hosted)
    say(hosted.node, 1, 40)
    return hosted


def say(node: Node, beat: int, applied: int) -> None:
    """Have another mirror say how far it has come."""
    lease = Lease('other', MIRROR, beat, 60.0, {0: applied}, {0: 40})
    node.ledger.append(STREAM, lease.key, barrier.encode(lease))


def sights(node: Node) -> Iterator[Sight | None]:
    """Be the daemon of a mirror; yield what is seen, and None for 503."""
    follower = Follower(node)
    membership = Membership(node, follower.positions)
    gate = Gate(node.settings, node.clock)
    while True:
        while follower.step():
            pass
        for _ in range(3):
            membership.acknowledge(node.ledger, follower.positions, ())
            membership.attend(node.ledger)
        shown = gate.shown()
        assert shown is not None
        seen = None if gate.refusal(shown) else gate.sight('demo', shown)
        assert seen is not None or gate.refusal(shown)
        yield seen


@pytest.mark.parametrize('name', ['p1', 'm1'], ids=['primary', 'snapshot'])
def test_it_serves_when_the_others_have_that(
    tmp_path: Path, demo: Hosted, name: str
) -> None:
    node = make_node(tmp_path, name, 'mirror', partitions='1')
    seen = sights(node)
    assert next(seen) is None
    say(node, 2, demo.node.ledger.end(demo.stream))
    sight = next(seen)
    assert sight is not None
    assert sight.view.seq == ENTRIES
