"""What a follower knows without asking, and when it had better ask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hgext3rd.fleet.core import entry as entries
from hgext3rd.fleet.core.entry import Kind
from hgext3rd.replicate import fence
from hgext3rd.replicate.follow import catch_up
from hgext3rd.replicate.node import Hosted, Node
from hgext3rd.replicate.serve import Follower
from testlib.hgrepo import create, entry, make_node


class Counting:
    """The ledger of a node; counts who reads the records of some keys."""

    def __init__(self, node: Node) -> None:
        self.ledger = node.ledger
        self.count = 0
        vars(node)['ledger'] = self

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ledger, name)

    def read(self, stream: str, position: int, *words: Any, **more: Any) -> Any:
        self.count += bool(words)
        return self.ledger.read(stream, position, *words, **more)

    def taken(self) -> int:
        """Return the count, and begin again."""
        count, self.count = self.count, 0
        return count


class World:
    """A repository, and a mirror that follows it."""

    def __init__(self, folder: Path) -> None:
        self.first = make_node(folder, partitions='1')
        self.demo = create(self.first)
        self.node = make_node(folder, 'm1', 'mirror', partitions='1')
        self.copy: Hosted = self.node.hosted('demo')
        self.ledger = Counting(self.node)
        self.follower = Follower(self.node)

    def configure(self, node: str = 'other', **more: Any) -> None:
        """Append an entry on top of what the mirror has."""
        said = entry(self.copy, Kind.CONFIG, text='', node=node, **more)
        self.first.ledger.append(
            self.demo.stream, said.key, entries.encode(said)
        )

    def seq(self) -> int:
        """Have the mirror follow; return how far it has come."""
        while self.follower.step():
            pass
        return self.copy.applied().state.seq


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    assert made.seq() == 1
    assert made.ledger.taken() > 0
    return made


def test_who_was_there_is_not_asked_for_again(world: World) -> None:
    for number in (2, 3):
        create(world.first, f'other{number}')
        world.configure()
        assert world.copy.applied().state.seq == number - 1
        reads = [world.seq(), world.ledger.taken()]
        # The other one is met for the first time.
        assert reads[0] == number
        assert reads[1] <= 2


def test_nothing_is_read_twice(world: World) -> None:
    world.configure()
    assert (world.seq(), world.ledger.taken()) == (2, 0)


def test_a_fence_is_not_overlooked(world: World) -> None:
    fence.put(world.first, 'p2', fence.FENCE, force=True)
    assert (world.seq(), world.ledger.taken()) == (1, 0)
    world.configure('p2')
    assert world.seq() == 1
    assert world.ledger.taken() > 0
    # Its record was not the last valid one, which is before the fence.
    world.configure('p2')
    assert world.seq() == 1
    world.configure('other')
    assert world.seq() == 2
    world.ledger.taken()
    world.configure('p2')
    assert (world.seq(), world.ledger.taken()) == (2, 0)


def test_nor_one_of_an_earlier_life(world: World) -> None:
    fence.put(world.first, 'p2', fence.FENCE, force=True)
    assert world.seq() == 1
    world.follower = Follower(world.node)
    for _time in range(2):
        world.configure('p2')
        assert world.seq() == 1


def test_a_fence_in_the_same_batch_counts(world: World) -> None:
    fence.put(world.first, 'p2', fence.FENCE, force=True)
    world.configure('p2')
    assert world.seq() == 1


def test_a_copy_that_is_not_as_it_was_reads_for_itself(world: World) -> None:
    world.configure()
    # The node's own session was faster.
    catch_up(world.copy)
    world.configure()
    catch_up(world.copy)
    world.ledger.taken()
    assert world.seq() == 3
    world.configure()
    assert (world.seq(), world.ledger.taken()) == (4, 0)
