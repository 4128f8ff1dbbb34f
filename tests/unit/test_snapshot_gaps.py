"""Nodes whose ledger has forgotten its beginning go on from snapshots."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from hgext3rd.fleet import adapters, daemon, files
from hgext3rd.fleet.core.errors import OutOfReach, Quarantined
from hgext3rd.fleet.core.mending import Cause
from hgext3rd.replicate import commands, shelf
from hgext3rd.replicate.follow import catch_up
from hgext3rd.replicate.node import Hosted, Node, stream
from hgext3rd.replicate.opening import open_repository
from hgext3rd.replicate.serve import Follower
from hgext3rd.replicate.snapshot import take
from testlib.hgrepo import commit, create, make_node, picture


class Forgetful:
    """A ledger that has forgotten what is before ``starts``, by stream."""

    def __init__(self, url: str, starts: dict[str, int]) -> None:
        self._ledger = adapters.open_ledger(url)
        self._starts = starts

    def read(self, stream: str, position: int, *more: Any, **most: Any) -> Any:
        start = self._starts.get(stream, 0)
        if position < start:
            raise OutOfReach(f'{stream} begins later', start=start)
        return self._ledger.read(stream, position, *more, **most)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)


def forget(hosted: Hosted, start: int) -> None:
    """Have the ledger of this node begin at ``start``, for the repository."""
    node = hosted.node
    vars(node)['ledger'] = Forgetful(
        node.settings.ledger, {hosted.stream: start}
    )


def behind(primary: Node, node: Node) -> tuple[Hosted, Hosted]:
    """Return a repository, and a copy that has none of its changesets."""
    hosted = create(primary)
    other = node.hosted('demo')
    catch_up(other)
    for number in range(3):
        commit(open_repository(hosted).unfiltered(), b'%d\n' % number)
    return hosted, other


@pytest.fixture
def primary(tmp_path: Path) -> Node:
    return make_node(tmp_path, 'p1')


def test_a_deleted_repository_has_a_snapshot_too(
    tmp_path: Path, primary: Node
) -> None:
    hosted = create(primary)
    commit(open_repository(hosted).unfiltered(), b'one\n')
    commands.delete_command(primary.ui, b'demo')
    taken = take(hosted)
    assert (taken.snapshot.blob, taken.snapshot.seq) == (None, 3)
    end = primary.ledger.end(hosted.stream)
    other = make_node(tmp_path, 'n2').hosted('demo')
    forget(other, end - 1)
    state = catch_up(other).state
    assert (state.seq, state.exists) == (3, False)
    commands.create_command(primary.ui, b'demo', hgrc=b'')
    assert catch_up(other).state == hosted.applied().state


def test_a_node_that_is_too_far_behind_starts_anew(
    tmp_path: Path, primary: Node
) -> None:
    hosted, other = behind(primary, make_node(tmp_path, 'n2', 'mirror'))
    take(hosted)
    commit(open_repository(hosted).unfiltered(), b'tail\n')
    start = shelf.current(hosted).snapshots[0].state.position
    forget(other, start)
    catch_up(other)
    assert picture(other) == picture(hosted)
    assert not os.path.exists(other.quarantine)


def test_a_node_that_misses_nothing_goes_on(
    tmp_path: Path, primary: Node
) -> None:
    hosted = create(primary)
    commit(open_repository(hosted).unfiltered(), b'one\n')
    node = make_node(tmp_path, 'n2')
    other = node.hosted('demo')
    catch_up(other)
    identity = other.identity()
    for _ in range(3):
        primary.ledger.append(hosted.stream, 'other', b'')
    forget(other, take(hosted).snapshot.state.position)
    assert catch_up(other).state.seq == 2
    commit(open_repository(hosted).unfiltered(), b'two\n')
    assert catch_up(other).state.seq == 3
    assert other.identity() == identity


def test_who_misses_nothing_lifts_no_quarantine(
    tmp_path: Path, primary: Node
) -> None:
    hosted = create(primary)
    other = make_node(tmp_path, 'n2', 'mirror').hosted('demo')
    catch_up(other)
    primary.ledger.append(hosted.stream, 'other', b'')
    forget(other, take(hosted).snapshot.state.position)
    other.refuse('demo: its content is damaged', Cause.DAMAGED)
    assert catch_up(other).state.seq == 1
    assert other.refused() is not None


def test_where_a_daemon_runs_it_alone_lifts_quarantines(
    tmp_path: Path, primary: Node
) -> None:
    """Only that knows whether it has passed over entries meanwhile."""
    hosted, other = behind(primary, make_node(tmp_path, 'n2', 'mirror'))
    forget(other, take(hosted).snapshot.state.position)
    with daemon.alone(other.node.state('daemon.lock'), 'its daemon'):
        catch_up(other)
        refused = other.refused()
        assert refused is not None
        assert refused.cause is Cause.REBUILT
    follower = Follower(other.node)
    follower.step()
    assert other.refused() is None
    assert picture(other) == picture(hosted)


def test_without_a_snapshot_a_gap_is_no_beginning(
    tmp_path: Path, primary: Node
) -> None:
    hosted = create(primary)
    other = make_node(tmp_path, 'n2').hosted('demo')
    catch_up(other)
    before = picture(other)
    commit(open_repository(hosted).unfiltered(), b'one\n')
    commit(open_repository(hosted).unfiltered(), b'two\n')
    start = primary.ledger.end(hosted.stream) - 1
    forget(other, start)
    with pytest.raises(Quarantined, match='no snapshot reaches that far'):
        catch_up(other)
    assert picture(other) == before


def test_the_daemon_of_an_empty_node_needs_no_beginning(
    tmp_path: Path, primary: Node
) -> None:
    for name in ('demo', 'small', 'a/b', 'gone'):
        commit(open_repository(create(primary, name)).unfiltered(), b'one\n')
    commands.delete_command(primary.ui, b'gone')
    partitions = map(stream, range(primary.settings.partitions))
    ends = {each: primary.ledger.end(each) for each in partitions}
    for name in ('demo', 'small', 'a/b', 'gone'):
        take(primary.hosted(name))
    node = make_node(tmp_path, 'n2')
    vars(node)['ledger'] = Forgetful(node.settings.ledger, ends)
    follower = Follower(node)
    while follower.step():
        pass
    assert follower.waiting == {}
    for name in ('demo', 'small', 'a/b'):
        assert picture(node.hosted(name)) == picture(primary.hosted(name))
    assert node.hosted('gone').applied().state.seq == 3


def test_a_daemon_that_is_too_far_behind_says_so_of_each(
    tmp_path: Path, primary: Node
) -> None:
    """It is nowhere before everything that was forgotten is there."""
    good, bad = (create(primary, name) for name in ('demo', 'bad'))
    node = make_node(tmp_path, 'n2')
    follower = Follower(node)
    while follower.step():
        pass
    for hosted in (good, bad):
        commit(open_repository(hosted).unfiltered(), b'one\n')
    take(good)
    partitions = map(stream, range(primary.settings.partitions))
    ends = {each: primary.ledger.end(each) for each in partitions}
    ends[good.stream] = shelf.current(good).snapshots[0].state.position
    vars(node)['ledger'] = Forgetful(node.settings.ledger, ends)
    follower.step()
    assert picture(node.hosted('demo')) == picture(good)
    assert set(follower.waiting) == {'bad'}
    reason = files.read(node.hosted('bad').quarantine) or b''
    assert b'no snapshot reaches that far' in reason
    assert node.hosted('bad').applied().state.seq == 1
    # It has been said; the ledger can be read from here on.
    assert {stream(p): n for p, n in follower.positions.items()} == {
        each: primary.ledger.end(each) for each in ends
    }
