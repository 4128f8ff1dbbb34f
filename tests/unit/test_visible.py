"""Who is waited for until an entry can be read from every mirror."""

from __future__ import annotations

from pathlib import Path

import pytest

from hgext3rd.fleet.core import barrier
from hgext3rd.fleet.core.barrier import GRACE, STREAM, Lease
from hgext3rd.fleet.ports import Record
from hgext3rd.replicate import visible
from hgext3rd.replicate.node import Hosted
from testlib.hgrepo import make_node
from testlib.memory import MemoryLedger


class Uncompacted(MemoryLedger):
    """A ledger that has not got round to compacting its members yet."""

    def append(self, stream: str, key: str, value: bytes) -> int:
        offset = self._ends.get(stream, 0)
        self._ends[stream] = offset + 1
        self._streams.setdefault(stream, []).append(Record(offset, key, value))
        return offset


class Ticking:
    """A clock on which a second passes whenever it is asked."""

    def __init__(self) -> None:
        self.now = 0.0

    def boot(self) -> float:
        self.now += 1.0
        return self.now


@pytest.fixture
def demo(tmp_path: Path) -> Hosted:
    node = make_node(tmp_path, wait='visible', lease='5', partitions='1')
    vars(node).update(ledger=Uncompacted(), clock=Ticking())
    return node.hosted('demo')


def say(hosted: Hosted, role: str, beat: int, shown: int = 0) -> None:
    """Have a node renew its lease, for 20 seconds."""
    lease = Lease(role, role, beat, 20.0, {0: shown}, {0: shown})
    hosted.node.ledger.append(STREAM, lease.key, barrier.encode(lease))


def test_a_mirror_that_came_after_many_renewals_is_waited_for(
    demo: Hosted,
) -> None:
    for beat in range(1000):
        say(demo, 'primary', beat)
    say(demo, 'mirror', 1)
    assert not visible.wait(demo, 0)
    say(demo, 'mirror', 2, shown=1)
    assert visible.wait(demo, 0)


def test_a_dead_mirror_is_waited_for_as_long_as_its_own_lease(
    demo: Hosted,
) -> None:
    """Which may be longer than that of the primary."""
    say(demo, 'mirror', 1)
    assert not visible.wait(demo, 0)
    clock = demo.node.clock
    assert isinstance(clock, Ticking)
    assert clock.now >= 20 * GRACE
