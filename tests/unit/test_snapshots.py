"""Snapshots of real repositories, and nodes that start from them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mercurial import phases

from hgext3rd.fleet.core import applied as records
from hgext3rd.fleet.core import snapshot as snapshots
from hgext3rd.fleet.core.applied import Applied
from hgext3rd.fleet.core.errors import (
    Diverged,
    NameRefused,
)
from hgext3rd.replicate import bootstrap, commands, shelf, snapfile
from hgext3rd.replicate.follow import catch_up
from hgext3rd.replicate.node import Hosted, Node
from hgext3rd.replicate.opening import applying, open_repository
from hgext3rd.replicate.serve import Follower
from hgext3rd.replicate.snapshot import take
from testlib.hgrepo import commit, create, make_node, picture


def blob(hosted: Hosted, number: int = 0) -> Path:
    """Return the file of the blob of a snapshot."""
    name = shelf.current(hosted).snapshots[number].blob
    assert name is not None
    folder = Path(hosted.node.settings.blobs.removeprefix('file://'))
    return folder / name[:2] / name[2:]


@pytest.fixture
def primary(tmp_path: Path) -> Node:
    return make_node(tmp_path, 'p1')


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
    hgrc.write_text('[web]\ncontact = ann\n')
    publish = b'yes' if publishing else b'no'
    primary.ui.setconfig(b'phases', b'publish', publish)
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


def test_what_was_started_goes_on_taking_pushes(
    tmp_path: Path, primary: Node
) -> None:
    hosted = create(primary)
    busy(hosted)
    take(hosted)
    other = make_node(tmp_path, 'p2').hosted('demo')
    catch_up(other)
    commit(open_repository(other).unfiltered(), b'there\n')
    catch_up(hosted)
    assert picture(other) == picture(hosted)


# Mercurial itself leaves files open when it splits a revlog.
@pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')
def test_a_snapshot_is_of_the_moment_of_its_lock(
    tmp_path: Path, primary: Node
) -> None:
    hosted = create(primary)
    busy(hosted)
    before = picture(hosted)
    snapshot = snapshots.made(hosted.applied(), 0, 'p1')
    with applying(open_repository(hosted)) as unfi:
        chunks = snapfile.chunks(hosted, unfi, snapshot)
    # Before a byte of it is read; and with it the files grow out of line.
    repo = open_repository(hosted).unfiltered()
    for _ in range(5):
        commit(repo, os.urandom(200_000).hex().encode())
    stored = primary.blobs.put(chunks)
    snapshot = replace(snapshot, blob=stored.sha256, size=stored.size)
    other = make_node(tmp_path, 'n2').hosted('demo')
    bootstrap._start(other, snapshot)
    assert picture(other) == before


def test_few_entries_are_not_worth_a_snapshot(
    tmp_path: Path, primary: Node
) -> None:
    hosted = create(primary)
    commit(open_repository(hosted).unfiltered(), b'one\n')
    take(hosted)
    other = make_node(tmp_path, 'n2').hosted('demo')
    nothing = other.applied()
    assert bootstrap.begin(other, nothing) is nothing
    follower = Follower(other.node)
    other.node.ui.pushbuffer(error=True)
    while follower.step():
        pass
    assert other.node.ui.popbuffer() == b''
    assert other.applied().state.seq == 2


def test_a_second_snapshot_of_the_same_takes_no_space(primary: Node) -> None:
    hosted = create(primary)
    first = take(hosted)
    create(primary, 'other')
    again = take(hosted)
    assert (first.fresh, again.fresh) == (True, False)
    assert again.snapshot.blob == first.snapshot.blob
    assert again.snapshot.state.position > first.snapshot.state.position
    assert again.snapshot.floor == first.snapshot.floor
    assert len(list(primary.blobs.names())) == 1


def test_a_lost_snapshot_is_made_again(primary: Node) -> None:
    hosted = create(primary)
    take(hosted)
    blob(hosted).unlink()
    assert take(hosted).fresh
    assert blob(hosted).exists()


def test_the_last_two_are_kept_and_payloads_always(
    tmp_path: Path, primary: Node
) -> None:
    large = make_node(tmp_path, 'p1', inline_limit='1')
    hosted = create(large)
    removed = []
    for number in range(4):
        commit(open_repository(hosted).unfiltered(), b'%d\n' % number)
        removed.append(take(hosted).removed)
    # The last one is looked for again, in case it was not removed.
    assert removed == [0, 0, 1, 1]
    assert len(list(large.blobs.names())) == 4 + 2
    assert [one.seq for one in shelf.current(hosted).snapshots] == [5, 4]


def test_a_payload_is_not_removed_whatever_the_list_says(
    tmp_path: Path,
) -> None:
    node = make_node(tmp_path, 'p1', inline_limit='1')
    hosted = create(node)
    commit(open_repository(hosted).unfiltered(), b'one\n')
    (payload,) = node.blobs.names()
    index = snapshots.Index('demo', (), (payload, '0' * 64, 'nothing'))
    shelf.put(hosted, index)
    assert take(hosted).removed == 0
    assert node.blobs.has(payload)


def test_what_a_killed_process_did_not_remove_is_removed(
    primary: Node,
) -> None:
    hosted = create(primary)
    take(hosted)
    index = shelf.current(hosted)
    (old,) = index.snapshots
    commit(open_repository(hosted).unfiltered(), b'one\n')
    # As if killed between the two.
    shelf.put(hosted, snapshots.Index('demo', (), (old.blob or '',)))
    assert take(hosted).removed == 1
    assert not primary.blobs.has(old.blob or '')


def test_there_is_none_of_what_never_was(primary: Node) -> None:
    with pytest.raises(NameRefused, match='no repository nowhere'):
        take(primary.hosted('nowhere'))


def test_there_is_none_of_what_is_not_as_the_ledger_says(
    primary: Node,
) -> None:
    hosted = create(primary)
    commit(open_repository(hosted).unfiltered(), b'one\n')
    repo = open_repository(hosted)
    with applying(repo) as unfi, unfi.transaction(b'behind') as tr:
        unfi._bookmarks.applychanges(
            unfi, tr, [(b'hidden', unfi.changelog.tip())]
        )
    with pytest.raises(Diverged, match='demo: the digest is'):
        take(hosted)
    assert shelf.current(hosted).snapshots == ()


def damage(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def lengthen(file: Path) -> None:
    file.write_bytes(file.read_bytes() + bytes(1 << 20))


def other_repository(file: Path) -> None:
    """Make it a good blob, under its own name even; but of another."""
    file.write_bytes(file.read_bytes().replace(b'demo', b'dome'))


@pytest.mark.parametrize(
    'harm', [damage, cut, lengthen, Path.unlink, other_repository]
)
def test_a_bad_snapshot_is_passed_over(
    tmp_path: Path,
    primary: Node,
    harm: Any,
) -> None:
    hosted = create(primary)
    busy(hosted)
    take(hosted)
    commit(open_repository(hosted).unfiltered(), b'more\n')
    take(hosted)
    harm(blob(hosted))
    other = make_node(tmp_path, 'n2').hosted('demo')
    other.node.ui.pushbuffer(error=True)
    began = bootstrap.begin(other, other.applied())
    said = other.node.ui.popbuffer()
    assert began.state.seq == hosted.applied().state.seq - 1
    assert b'demo: the snapshot of entry' in said
    assert b'cannot be used' in said
    assert catch_up(other).state == catch_up(hosted).state

    harm(blob(hosted, 1))
    third = make_node(tmp_path, 'n3').hosted('demo')
    nothing = third.applied()
    assert bootstrap.begin(third, nothing) is nothing
    assert os.listdir(third.node.settings.root) == []
    catch_up(third)
    assert picture(third) == picture(hosted)


@pytest.mark.parametrize(
    'change',
    [
        {'digest': 'f' * 64},
        {'push_id': 7},
    ],
)
def test_what_is_not_as_stated_is_not_used(
    tmp_path: Path, primary: Node, change: dict[str, Any]
) -> None:
    hosted = create(primary)
    commit(open_repository(hosted).unfiltered(), b'one\n')
    good = hosted.applied().state
    snapshot = snapshots.made(Applied(replace(good, **change)), 0, 'p1')
    with applying(open_repository(hosted)) as unfi:
        chunks = snapfile.chunks(hosted, unfi, snapshot)
        stored = primary.blobs.put(chunks)
    snapshot = replace(snapshot, blob=stored.sha256, size=stored.size)
    other = make_node(tmp_path, 'n2').hosted('demo')
    with pytest.raises(bootstrap.Unusable, match='entry 2 cannot be used'):
        bootstrap._start(other, snapshot)
    assert not Path(other.path).exists()


def test_no_file_is_written_that_a_snapshot_does_not_have(
    tmp_path: Path, primary: Node
) -> None:
    hosted = create(primary)
    commit(open_repository(hosted).unfiltered(), b'one\n')
    file = blob(hosted) if take(hosted) else None
    assert file is not None
    evil = file.read_bytes().replace(b'store/bookmarks', b'../../bookmarks')
    evil = evil.replace(
        b'store/fleet-pushlog-users', b'../../../../fleet-pu-user'
    )
    stored = primary.blobs.put([evil])
    snapshot = shelf.current(hosted).snapshots[0]
    snapshot = replace(snapshot, blob=stored.sha256)
    other = make_node(tmp_path, 'n2').hosted('demo')
    with pytest.raises(bootstrap.Unusable, match='has a file'):
        bootstrap._start(other, snapshot)


def test_readers_see_what_they_saw(tmp_path: Path, primary: Node) -> None:
    """From the copy of a mirror, nothing is shown too early."""
    hosted = create(primary)
    busy(hosted)
    mirror = make_node(tmp_path, 'm1', 'mirror')
    mirror.barriers = {hosted.partition: 10}
    source = mirror.hosted('demo')
    known = catch_up(source)
    floor = take(source).snapshot.floor
    assert floor == 10
    other = make_node(tmp_path, 'm2', 'mirror').hosted('demo')
    catch_up(other)
    for position in range(floor, known.state.position + 1):
        assert records.view(other.applied(), position) == records.view(
            source.applied(), position
        )
    for position in range(floor):
        assert not records.view(other.applied(), position).exists


def test_from_the_copy_of_a_primary_only_all_of_it_is_shown(
    tmp_path: Path, primary: Node
) -> None:
    hosted = create(primary)
    busy(hosted)
    take(hosted)
    other = make_node(tmp_path, 'm2', 'mirror').hosted('demo')
    position = bootstrap.begin(other, other.applied()).state.position
    assert not records.view(other.applied(), position - 1).exists
    assert records.view(other.applied(), position).exists
    assert catch_up(other).state == catch_up(hosted).state


def test_a_list_that_cannot_be_read_is_none(
    tmp_path: Path, primary: Node
) -> None:
    hosted = create(primary)
    primary.ledger.append(hosted.stream, snapshots.key('demo'), b'rubbish')
    assert shelf.current(hosted) == snapshots.Index('demo')
    other = make_node(tmp_path, 'n2')
    follower = Follower(other)
    while follower.step():
        pass
    assert follower.waiting == {}
    assert picture(other.hosted('demo')) == picture(hosted)
