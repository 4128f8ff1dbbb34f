"""Snapshots of real repositories, and nodes that start from them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from mercurial import phases

from hgext3rd.replicate import bootstrap, commands, shelf
from hgext3rd.replicate.follow import catch_up
from hgext3rd.replicate.node import Hosted, Node
from hgext3rd.replicate.opening import open_repository
from hgext3rd.replicate.snapshot import take
from testlib.hgrepo import commit, create, make_node, picture


@pytest.fixture
def primary(tmp_path: Path) -> Node:
    return make_node(tmp_path, 'p1')


def blob(hosted: Hosted, number: int = 0) -> Path:
    """Return the file of a snapshot's blob."""
    name = shelf.current(hosted).snapshots[number].blob
    folder = Path(hosted.node.settings.blobs.removeprefix('file://'))
    return folder / name[:2] / name[2:]


def busy(hosted: Hosted, pushes: int = 60) -> None:
    """Make some of everything that a repository can have."""
    repo = open_repository(hosted).unfiltered()
    nodes = [commit(repo, b'%d\n' % number) for number in range(pushes)]

    def more(tr):
        repo._bookmarks.applychanges(
            repo, tr, [(b'main', nodes[-1]), ('b\xfc'.encode(), nodes[0])]
        )
        phases.advanceboundary(repo, tr, phases.public, [nodes[pushes // 2]])
        repo.obsstore.create(tr, nodes[-2], (nodes[-1],), date=(0, 0))

    commit(repo, b'branch\n', more, parent=0)
    commit(
        repo,
        b'secret\n',
        lambda tr: phases.retractboundary(
            repo, tr, phases.secret, [repo.changelog.node(len(repo) - 1)]
        ),
    )


@pytest.mark.parametrize('role', ['primary', 'mirror'])
@pytest.mark.parametrize('publishing', [False, True])
def test_a_node_starts_from_a_snapshot_and_is_the_same(
    tmp_path, primary, role, publishing
):
    hgrc = tmp_path / 'hgrc'
    hgrc.write_text(f'[phases]\npublish = {publishing}\n')
    commands.create_command(primary.ui, b'demo', hgrc=os.fsencode(hgrc))
    hosted = primary.hosted('demo')
    busy(hosted)
    taken = take(hosted)
    assert (taken.fresh, taken.removed) == (True, 0)
    commit(open_repository(hosted).unfiltered(), b'tail\n')

    other = make_node(tmp_path, 'n2', role).hosted('demo')
    began = bootstrap.begin(other, other.applied())
    assert began.state.seq == taken.snapshot.seq
    applied = catch_up(other)
    assert applied.state == hosted.applied().state
    assert picture(other) == picture(hosted)
    assert Path(other.path, '.hg/hgrc').read_bytes() == hgrc.read_bytes()
    assert os.listdir(other.node.state('new')) == ['lock']


def test_what_was_started_goes_on_taking_pushes(tmp_path, primary):
    hosted = create(primary)
    busy(hosted)
    take(hosted)
    other = make_node(tmp_path, 'p2').hosted('demo')
    catch_up(other)
    commit(open_repository(other).unfiltered(), b'there\n')
    catch_up(hosted)
    assert picture(other) == picture(hosted)
