"""A ledger that has lost entries gets no others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mercurial import error

from hgext3rd.fleet.core.errors import LedgerUnavailable, Quarantined
from hgext3rd.fleet.ports import Batch
from hgext3rd.replicate.follow import catch_up
from hgext3rd.replicate.node import POSITIONS, Hosted
from hgext3rd.replicate.opening import open_repository
from hgext3rd.replicate.rebuild import rebuild
from hgext3rd.replicate.serve import Follower
from testlib.hgrepo import commit, create, make_node, picture


@pytest.fixture
def demo(tmp_path: Path) -> Hosted:
    """A repository of four entries, of which the ledger has none."""
    hosted = create(make_node(tmp_path, partitions='1'))
    for number in range(3):
        commit(open_repository(hosted).unfiltered(), b'%d\n' % number)
    follower = Follower(hosted.node)
    while follower.step():
        pass
    for path in tmp_path.glob('ledger.db*'):
        if path.is_file():
            path.unlink()
    return make_node(tmp_path, partitions='1').hosted('demo')


def test_no_push_is_taken_however_often_it_is_tried(demo: Hosted) -> None:
    before = picture(demo)
    for _ in range(6):
        with pytest.raises(error.Abort, match='it has lost entries'):
            commit(open_repository(demo).unfiltered(), b'again\n')
    assert demo.node.ledger.end(demo.stream) == 0
    assert picture(demo) == before


def test_nor_is_a_repository_made(demo: Hosted) -> None:
    with pytest.raises(error.Abort, match='it has lost entries'):
        create(demo.node, 'other')
    assert demo.node.ledger.end(demo.stream) == 0


def test_the_daemon_says_so(demo: Hosted) -> None:
    follower = Follower(demo.node)
    with pytest.raises(LedgerUnavailable, match='it has lost entries'):
        follower.step()


def test_a_copy_is_not_replaced_by_one_with_less(demo: Hosted) -> None:
    """Here may be the only place where the rest still exists."""
    before = picture(demo)
    with pytest.raises(Quarantined, match='has been at entry 4'):
        rebuild(demo, 'it is to be made anew')
    assert picture(demo) == before


def test_what_the_daemon_reads_meanwhile_is_not_taken_for_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo = create(make_node(tmp_path, partitions='1'))
    ledger = demo.node.ledger
    read = ledger.read

    def slowly(*asked: Any, **more: Any) -> Batch:
        batch = read(*asked, **more)
        noted = {'0': batch.upto + 1}
        path = Path(demo.node.state(POSITIONS))
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(noted))
        return batch

    monkeypatch.setattr(ledger, 'read', slowly)
    assert catch_up(demo).state.seq == 1
