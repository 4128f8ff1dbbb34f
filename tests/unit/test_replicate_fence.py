"""A fence that is cut off while it is set."""

from __future__ import annotations

from pathlib import Path

import pytest

from hgext3rd.fleet.core.errors import LedgerUnavailable, NameRefused
from hgext3rd.replicate import fence
from testlib.hgrepo import make_node


def test_it_is_only_told_of_when_it_holds_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = make_node(tmp_path, partitions='3')
    append = node.ledger.append
    left = [2]

    def failing(stream: str, key: str, value: bytes) -> int:
        if not left[0]:
            raise LedgerUnavailable('simulated')
        left[0] -= 1
        return append(stream, key, value)

    with monkeypatch.context() as patch:
        patch.setattr(node.ledger, 'append', failing)
        with pytest.raises(LedgerUnavailable):
            fence.put(node, 'p2', fence.FENCE, force=True)
    assert fence.fenced(node.ledger) == frozenset()
    fence.put(node, 'p2', fence.FENCE, force=True)
    assert fence.fenced(node.ledger) == {'p2'}
    fence.put(node, 'p2', fence.UNFENCE, force=True)
    assert fence.fenced(node.ledger) == frozenset()


def test_who_was_never_heard_of_is_not_fenced(tmp_path: Path) -> None:
    node = make_node(tmp_path)
    with pytest.raises(NameRefused, match='not a primary'):
        fence.put(node, 'p2', fence.FENCE)
