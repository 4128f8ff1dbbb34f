"""A daemon whose ledger goes away while it is about to apply an entry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hgext3rd.fleet.core.errors import LedgerUnavailable
from hgext3rd.replicate import commands
from hgext3rd.replicate.node import Node
from hgext3rd.replicate.serve import Follower
from testlib.hgrepo import create, make_node


class Flaky:
    """The ledger of a node, which refuses some of who read a stream.

    Those are all, or with ``keyed`` who want the records of some keys.
    """

    def __init__(self, node: Node, stream: str, keyed: bool) -> None:
        self.ledger = node.ledger
        self.stream: str | None = stream
        self.keyed = keyed
        vars(node)['ledger'] = self

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ledger, name)

    def read(self, stream: str, *words: Any, **more: Any) -> Any:
        if stream == self.stream and (not self.keyed or len(words) > 1):
            raise LedgerUnavailable('it is away')
        return self.ledger.read(stream, *words, **more)


def test_what_the_ledger_keeps_back_is_not_the_repositorys_fault(
    tmp_path: Path,
) -> None:
    first = make_node(tmp_path)
    create(first)
    mirror = make_node(tmp_path, 'm1', 'mirror')
    follower = Follower(mirror)
    assert follower.step()
    settled = dict(follower.positions)
    hgrc = tmp_path / 'hgrc'
    hgrc.write_text('[web]\ndescription = other\n')
    commands.config_command(first.ui, b'demo', str(hgrc).encode())
    flaky = Flaky(mirror, mirror.hosted('demo').stream, keyed=True)
    # It knows nothing of what an earlier life has read.
    follower = Follower(mirror)
    with pytest.raises(LedgerUnavailable):
        follower.step()
    assert (follower.positions, follower.waiting) == (settled, {})
    assert not (tmp_path / 'm1/state/quarantine').exists()
    flaky.stream = None
    assert follower.step()
    assert 'other' in (tmp_path / 'm1/repos/demo/.hg/hgrc').read_text()


def test_only_what_has_grown_is_read(tmp_path: Path) -> None:
    first = make_node(tmp_path, partitions='2')
    mirror = make_node(tmp_path, 'm1', 'mirror', partitions='2')
    follower = Follower(mirror)
    Flaky(mirror, 'entries-1', keyed=False)
    names = (f'demo{n}' for n in range(100))
    name = next(n for n in names if first.hosted(n).partition == 0)
    create(first, name)
    assert not follower.step(frozenset())
    assert follower.step({'entries-0'})
    assert mirror.hosted(name).applied().state.seq == 1
    with pytest.raises(LedgerUnavailable):
        follower.step({'entries-1'})


def test_what_was_new_before_a_partition_failed_is_told(
    tmp_path: Path,
) -> None:
    first = make_node(tmp_path, partitions='2')
    mirror = make_node(tmp_path, 'm1', 'mirror', partitions='2')
    follower = Follower(mirror)
    flaky = Flaky(mirror, 'entries-1', keyed=False)
    names = (f'demo{n}' for n in range(100))
    name = next(n for n in names if first.hosted(n).partition == 0)
    create(first, name)
    with pytest.raises(LedgerUnavailable):
        follower.step()
    assert mirror.hosted(name).applied().state.seq == 1
    flaky.stream = None
    assert follower.step()
    assert not follower.step()
