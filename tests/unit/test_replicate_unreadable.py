"""A disk that cannot be read where one repository says what it has."""

from __future__ import annotations

import os
from pathlib import Path

from hgext3rd.replicate import check
from hgext3rd.replicate.serve import Follower
from hgext3rd.replicate.walker import Done, Walker
from testlib.hgrepo import create, make_node, picture


def test_the_others_are_looked_after(tmp_path: Path) -> None:
    primary = make_node(tmp_path, partitions='1')
    bad, good = (create(primary, name) for name in ('bad', 'good'))
    node = make_node(tmp_path, 'm1', 'mirror', partitions='1')
    follower = Follower(node)
    follower.step()
    path = Path(node.hosted('bad').path, '.hg/store/fleet-applied')
    path.unlink()
    # Reading it is an error of the system.
    os.mkdir(path)
    assert 'cannot be read' in check.compare(node.hosted('bad')).found
    asked: list[str] = []

    def run(words: object) -> Done:
        asked.append(str(words))
        return Done(0, '[]', '', 0.0)

    Walker(node, follower.damaged, lambda: False, run).step()
    assert "'bad', 'good'" in asked[0]
    for name in ('bad', 'good'):
        primary.ledger.append(bad.stream, name, b'unreadable')
    follower.step()
    assert follower.waiting.keys() == {'bad', 'good'}
    assert picture(node.hosted('good')) == picture(good)
