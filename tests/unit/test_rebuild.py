"""A copy that is made anew changes places with the old one, or nothing does."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mercurial import error

from hgext3rd.fleet import daemon, files
from hgext3rd.fleet.core import snapshot as snapshots
from hgext3rd.fleet.core.entry import Kind, Payload
from hgext3rd.fleet.core.errors import FleetError, Quarantined
from hgext3rd.fleet.core.mending import Cause
from hgext3rd.replicate import commands, publish, rebuild, shelf
from hgext3rd.replicate.follow import catch_up
from hgext3rd.replicate.node import Hosted, Node
from hgext3rd.replicate.opening import applying, open_repository
from hgext3rd.replicate.serve import Follower
from hgext3rd.replicate.snapshot import take
from testlib.hgrepo import commit, create, entry, make_node, picture


@pytest.fixture
def primary(tmp_path: Path) -> Hosted:
    hosted = create(make_node(tmp_path, 'p1'))
    repo = open_repository(hosted).unfiltered()
    for number in range(3):
        commit(repo, b'%d\n' % number * 500)
    return hosted


@pytest.fixture
def mirror(tmp_path: Path, primary: Hosted) -> Hosted:
    hosted = make_node(tmp_path, 'm1', 'mirror').hosted('demo')
    catch_up(hosted)
    return hosted


def store(hosted: Hosted, *parts: str) -> Path:
    return Path(hosted.path, '.hg', 'store', *parts)


def flip(path: Path, at: int = -3) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x55
    path.write_bytes(data)


DAMAGE: dict[str, Callable[[Hosted], object]] = {
    'no requires': lambda one: os.unlink(Path(one.path, '.hg', 'requires')),
    'no changelog': lambda one: store(one, '00changelog.i').unlink(),
    'no file': lambda one: store(one, 'data', 'file.i').unlink(),
    'flipped byte': lambda one: flip(store(one, 'data', 'file.i')),
    'no record': lambda one: store(one, 'fleet-applied').unlink(),
    'bad record': lambda one: store(one, 'fleet-applied').write_bytes(b'{'),
    'bad journal': lambda one: store(one, 'journal').write_bytes(b'what\n'),
    'no store': lambda one: store(one).rename(Path(one.path, 'elsewhere')),
    'nothing': lambda one: None,
}


@pytest.mark.parametrize('how', DAMAGE)
def test_whatever_is_damaged_becomes_as_it_should_be(
    primary: Hosted, mirror: Hosted, how: str
) -> None:
    DAMAGE[how](mirror)
    mirror.refuse('demo: damaged', Cause.DAMAGED)
    done = rebuild.rebuild(mirror, 'demo: damaged')
    assert picture(mirror) == picture(primary)
    assert done.applied.state.seq == 4
    assert mirror.refused() is None
    assert rebuild.faults(open_repository(mirror)) == ''
    assert done.kept is not None
    assert Path(done.kept, 'reason').read_text() == 'demo: damaged\n'
    assert Path(done.kept, '.hg').is_dir()
    left = os.listdir(mirror.node.state('rebuild'))
    assert left == ['.demo']


def test_one_that_is_gone_comes_back(primary: Hosted, mirror: Hosted) -> None:
    Path(mirror.path, '.hg').rename(Path(mirror.path, 'gone'))
    done = rebuild.rebuild(mirror, 'gone')
    assert done.kept is None
    assert picture(mirror) == picture(primary)


def test_one_that_was_deleted_meanwhile_stays_away(
    primary: Hosted, mirror: Hosted
) -> None:
    commands.delete_command(primary.node.ui, b'demo')
    done = rebuild.rebuild(mirror, 'damaged')
    assert not os.path.exists(mirror.path)
    assert mirror.applied().state == done.applied.state
    assert not done.applied.state.exists
    assert catch_up(mirror).state == primary.applied().state


def test_nothing_is_less_than_before(
    primary: Hosted, mirror: Hosted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What arrives while the new copy is made is in it when it appears."""

    def late(name: str) -> None:
        if name == 'rebuild.made':
            commit(open_repository(primary).unfiltered(), b'late\n')
            catch_up(mirror)
        if name == 'rebuild.exchanged':
            seen.append(mirror.applied().state.seq)

    seen: list[int] = []
    monkeypatch.setattr(rebuild.failpoint, 'hit', late)
    rebuild.rebuild(mirror, 'damaged')
    assert seen == [5]
    assert picture(mirror) == picture(primary)


def poison(primary: Hosted) -> None:
    """Append an entry that nobody can apply."""
    bad = entry(
        primary,
        Kind.PUSH,
        push_id=4,
        changesets=1,
        payload=Payload.of(b'HG20' + b'\xff' * 50),
    )
    publish.publish(primary, primary.applied().state, bad)


def test_where_an_entry_cannot_be_applied_nothing_changes(
    primary: Hosted, mirror: Hosted
) -> None:
    before = picture(mirror)
    poison(primary)
    mirror.refuse('demo: stuck')
    with pytest.raises(Quarantined, match='entry 5 '):
        rebuild.rebuild(mirror, 'stuck')
    assert picture(mirror) == before
    refused = mirror.refused()
    assert refused is not None
    assert refused.reason == 'demo: stuck'
    assert rebuild.kept(mirror.node) == []
    assert os.listdir(mirror.node.state('rebuild')) == ['.demo']


def test_one_at_a_time(mirror: Hosted) -> None:
    folder = mirror.node.state('rebuild', 'demo')
    with rebuild._alone(folder), pytest.raises(error.LockHeld):
        rebuild.rebuild(mirror, 'damaged')


def test_who_works_in_the_old_copy_is_waited_for(
    mirror: Hosted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild, '_BUSY', 0.1)
    before = mirror.identity()
    with (
        applying(open_repository(mirror)),
        pytest.raises(error.LockHeld),
    ):
        rebuild.rebuild(mirror, 'damaged')
    assert mirror.identity() == before
    rebuild.rebuild(mirror, 'damaged')
    assert mirror.identity() != before


def test_a_snapshot_of_a_damaged_copy_is_passed_over(
    primary: Hosted, mirror: Hosted, tmp_path: Path
) -> None:
    flip(store(primary, 'data', 'file.i'))
    taken = take(primary)
    index = shelf.current(primary)
    assert index.snapshots == (taken.snapshot,)
    # As one that is worth it: far ahead.
    assert taken.snapshot.seq < snapshots.AHEAD
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(snapshots, 'AHEAD', 1)
        other = make_node(tmp_path, 'm2', 'mirror').hosted('demo')
        catch_up(other)
        assert rebuild.faults(open_repository(other)) != ''
        rebuild.rebuild(other, 'damaged')
    assert rebuild.faults(open_repository(other)) == ''
    assert picture(other) == picture(mirror)


def test_only_the_last_few_old_copies_are_kept(mirror: Hosted) -> None:
    made = []
    for _ in range(rebuild.KEPT + 2):
        made.append(rebuild.rebuild(mirror, 'damaged').kept)
    assert rebuild.kept(mirror.node) == made[-rebuild.KEPT :]


class Watched(Follower):
    """A daemon that notes what it applies."""

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self.tried: list[str] = []

    def _guarded(self, key: str, *more: Any) -> None:
        self.tried.append(key)
        super()._guarded(key, *more)


def test_the_daemon_leaves_a_damaged_copy_alone_until_it_is_made_anew(
    primary: Hosted, mirror: Hosted, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = mirror.node
    files.remove(node.state('positions.json'))
    follower = Watched(node)
    follower.step()
    follower.damaged('demo', 'demo: found', mirror.identity())
    follower.step()
    refused = mirror.refused()
    assert refused is not None
    assert (refused.reason, refused.cause) == ('demo: found', Cause.DAMAGED)
    commit(open_repository(primary).unfiltered(), b'more\n')
    follower.step()
    assert mirror.applied().state.seq == 4
    assert 'demo' in follower.waiting
    # The daemon runs: only it lifts the quarantine.
    monkeypatch.setattr(rebuild, '_HANDED_OVER', 0.0)
    held = daemon.alone(node.state('daemon.lock'), 'the daemon')
    rebuild.rebuild(mirror, 'demo: found')
    refused = mirror.refused()
    assert refused is not None
    assert refused.cause is Cause.REBUILT
    follower.step()
    assert mirror.refused() is None
    assert 'demo' not in follower.waiting
    assert picture(mirror) == picture(primary)
    held.close()


def test_a_ledger_that_is_away_is_no_fault_of_the_copy(
    primary: Hosted, mirror: Hosted, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = Follower(mirror.node)
    for problem, cause in (
        (FleetError('away'), Cause.WAITING),
        (Quarantined('demo: bad'), Cause.STUCK),
    ):

        def fails(*_args: Any, problem: FleetError = problem) -> None:
            raise problem

        monkeypatch.setattr('hgext3rd.replicate.serve.catch_up', fails)
        follower._guarded('demo')
        refused = mirror.refused()
        assert refused is not None
        assert refused.cause is cause


def test_what_was_found_in_a_copy_that_is_gone_does_not_count(
    tmp_path: Path,
) -> None:
    node = make_node(tmp_path)
    hosted = create(node)
    follower = Follower(node)
    follower.damaged('demo', 'demo: the old one is damaged', (1, 2, 3, 4))
    follower.step()
    assert hosted.refused() is None
    follower.damaged('demo', 'demo: it is damaged', hosted.identity())
    follower.step()
    refused = hosted.refused()
    assert refused is not None
    assert refused.cause is Cause.DAMAGED
