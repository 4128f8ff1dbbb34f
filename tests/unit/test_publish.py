"""How it is known that an entry counts: what is read back, and when."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hgext3rd.fleet.core import entry as entries
from hgext3rd.fleet.core.entry import Kind
from hgext3rd.fleet.core.errors import (
    LedgerUnavailable,
    OutcomeUnknown,
    Superseded,
)
from hgext3rd.replicate.follow import catch_up
from hgext3rd.replicate.node import Hosted
from hgext3rd.replicate.publish import publish
from testlib.hgrepo import create, entry, make_node


class Watched:
    """The ledger of a node: where it was read, until it is cut off."""

    def __init__(self, hosted: Hosted) -> None:
        self.ledger = hosted.node.ledger
        self.positions: list[int] = []
        self.cut = False
        vars(hosted.node)['ledger'] = self

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ledger, name)

    def read(self, stream: str, position: int, *words: Any) -> Any:
        if self.cut:
            raise LedgerUnavailable('it is away')
        self.positions.append(position)
        return self.ledger.read(stream, position, *words)


@pytest.fixture
def demo(tmp_path: Path) -> Hosted:
    node = make_node(tmp_path, partitions='1')
    found = create(node)
    # Somebody else's, in the same partition.
    create(node, 'other')
    return found


def test_nothing_is_read_back_when_nothing_came_between(demo: Hosted) -> None:
    ledger = Watched(demo)
    state = catch_up(demo).state
    assert state.position == 2
    ledger.cut = True
    judged = publish(demo, state, entry(demo, Kind.CONFIG, text=''))
    assert (judged.record.offset, judged.state.seq) == (2, 2)
    ledger.cut = False
    assert ledger.read(demo.stream, 2) == [judged.record]


def test_what_came_between_is_read(demo: Hosted, tmp_path: Path) -> None:
    state = catch_up(demo).state
    create(make_node(tmp_path, 'p2', partitions='1'), 'third')
    ledger = Watched(demo)
    judged = publish(demo, state, entry(demo, Kind.CONFIG, text=''))
    assert (judged.record.offset, judged.state.seq) == (3, 2)
    # Not from the last entry of this repository on.
    assert ledger.positions == [2]


def test_who_comes_second_is_told(demo: Hosted) -> None:
    state = catch_up(demo).state
    first = entry(demo, Kind.CONFIG, text='')
    demo.node.ledger.append(demo.stream, first.key, entries.encode(first))
    with pytest.raises(Superseded):
        publish(demo, state, first)


def test_what_came_between_cannot_be_read(demo: Hosted) -> None:
    state = catch_up(demo).state
    one = entry(demo, Kind.CONFIG, text='')
    demo.node.ledger.append(demo.stream, 'other', b'')
    Watched(demo).cut = True
    with pytest.raises(OutcomeUnknown):
        publish(demo, state, one)
