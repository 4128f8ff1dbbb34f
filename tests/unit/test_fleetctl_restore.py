"""Copying the past of a fleet: its ledger, and the blobs that it needs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hgext3rd.fleet.core import entry as entries
from hgext3rd.fleet.core import snapshot as snapshots
from hgext3rd.fleet.core.entry import Kind
from hgext3rd.fleet.core.errors import BlobUnavailable
from hgext3rd.fleet.core.past import Moment
from hgext3rd.fleetctl.restore import Copy, Restored
from hgext3rd.replicate import commands, shelf
from hgext3rd.replicate.follow import catch_up
from hgext3rd.replicate.node import Hosted, Node, stream
from hgext3rd.replicate.opening import open_repository
from hgext3rd.replicate.snapshot import take
from testlib.hgrepo import commit, create, entry, make_node, picture


@pytest.fixture
def there(tmp_path: Path) -> Node:
    (tmp_path / 'there').mkdir()
    # Everything goes to the blob store.
    return make_node(tmp_path / 'there', 'p1', inline_limit='1')


@pytest.fixture
def here(tmp_path: Path) -> Node:
    (tmp_path / 'here').mkdir()
    return make_node(tmp_path / 'here', 'p1')


def push(hosted: Hosted, *contents: bytes) -> None:
    for content in contents:
        commit(open_repository(hosted).unfiltered(), content)


def copy(there: Node, here: Node, moment: Moment) -> Restored:
    job = Copy((there.ledger, there.blobs), (here.ledger, here.blobs))
    for partition in range(there.settings.partitions):
        job.partition(stream(partition), moment)
    return job.done


def test_a_repository_is_as_it_was(there: Node, here: Node) -> None:
    hosted = create(there)
    push(hosted, b'1\n', b'2\n')
    before = picture(hosted)
    push(hosted, b'3\n')
    commands.delete_command(there.ui, b'demo')
    done = copy(there, here, Moment(repo='demo', seq=3))
    assert done == Restored(3, 1, {})
    assert len(list(here.blobs.names())) == 2
    other = here.hosted('demo')
    catch_up(other)
    assert picture(other) == before
    push(other, b'another future\n')


def test_what_was_deleted_is_deleted(there: Node, here: Node) -> None:
    create(there)
    commands.delete_command(there.ui, b'demo')
    assert copy(there, here, Moment()) == Restored(2, 0, {})
    assert not catch_up(here.hosted('demo')).state.exists


def test_snapshots_are_listed_where_they_are_in_the_copy(
    there: Node, here: Node
) -> None:
    hosted = create(there)
    for number in range(4):
        # Records that the copy leaves out.
        lost = entry(hosted, Kind.PUSH, seq=1, prev=0)
        there.ledger.append(hosted.stream, lost.key, entries.encode(lost))
        catch_up(hosted)
        push(hosted, b'%d\n' % number)
        take(hosted)
    copy(there, here, Moment(repo='demo', seq=4))
    other = here.hosted('demo')
    # That of the entry before was removed already.
    (one,) = shelf.current(other).snapshots
    assert (one.seq, one.state.position, one.floor) == (4, 4, 4)
    end = here.ledger.end(other.stream)
    large = replace(one, size=snapshots.LARGE)
    shelf.put(other, snapshots.Index('demo', (large,)))
    applied = catch_up(other)
    assert (applied.state.seq, end) == (4, 5)
    assert applied.state.digest == one.state.digest


def test_a_snapshot_that_is_missing_is_not_missed(
    there: Node, here: Node
) -> None:
    hosted = create(there)
    (name,) = [take(hosted).snapshot.blob]
    there.blobs.remove(name or '')
    assert copy(there, here, Moment()).entries == 1
    assert shelf.current(here.hosted('demo')).snapshots == ()


def test_a_payload_that_is_missing_is_told(there: Node, here: Node) -> None:
    hosted = create(there)
    push(hosted, b'1\n')
    (name,) = there.blobs.names()
    there.blobs.remove(name)
    said = 'entry 2 of demo .* cannot be restored: blob .* is not in'
    with pytest.raises(BlobUnavailable, match=said):
        copy(there, here, Moment())


def test_what_cannot_be_read_ends_that_repository(
    there: Node, here: Node
) -> None:
    hosted = create(there)
    there.ledger.append(hosted.stream, 'demo', b'rubbish')
    create(there, 'other')
    done = copy(there, here, Moment())
    assert (done.entries, done.halted) == (
        2,
        {'demo': 'the record is not an entry'},
    )
