"""An entry is applied whatever the hgrc of the copy said when it was opened."""

from __future__ import annotations

from pathlib import Path

from hgext3rd.replicate import changes
from hgext3rd.replicate.opening import open_repository
from hgext3rd.replicate.serve import Follower
from testlib.hgrepo import commit, create, make_node, picture

SINGLE = '[experimental]\nsingle-head-per-branch = yes\n'


def test_heads_that_were_not_allowed_before(tmp_path: Path) -> None:
    hosted = create(make_node(tmp_path, partitions='1'))
    ui = hosted.node.ui
    changes.configure(ui, hosted, SINGLE)
    commit(open_repository(hosted).unfiltered(), b'one\n')
    node = make_node(tmp_path, 'm1', 'mirror', partitions='1')
    follower = Follower(node)
    follower.step()
    # Now it has the repository open.
    commit(open_repository(hosted).unfiltered(), b'two\n')
    follower.step()
    changes.configure(ui, hosted, '')
    commit(open_repository(hosted).unfiltered(), b'other\n', parent=0)
    follower.step()
    assert not follower.waiting
    assert picture(node.hosted('demo')) == picture(hosted)
