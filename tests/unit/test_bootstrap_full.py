"""A node whose disk becomes full while it starts from a snapshot."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from hgext3rd.replicate import bootstrap
from hgext3rd.replicate.opening import open_repository
from hgext3rd.replicate.serve import Follower
from hgext3rd.replicate.snapshot import take
from testlib.hgrepo import commit, create, make_node, picture


def test_its_daemon_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosted = create(make_node(tmp_path, partitions='1'))
    repo = open_repository(hosted).unfiltered()
    for number in range(50):
        commit(repo, b'%d\n' % number)
    take(hosted)
    small = create(hosted.node, 'small')

    def full(*_anything: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    node = make_node(tmp_path, 'm1', 'mirror', partitions='1')
    follower = Follower(node)
    monkeypatch.setattr(bootstrap.sums, 'take', full)
    follower.step()
    monkeypatch.undo()
    assert follower.waiting.keys() == {'demo', 'small'}
    follower.waiting.clear()
    for one in (hosted, small):
        follower._guarded(one.name)
        assert picture(node.hosted(one.name)) == picture(one)
