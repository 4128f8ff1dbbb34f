"""What a node trusts after a start of its machine, and what it does not."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mercurial import error

from hgext3rd.fleet import files
from hgext3rd.fleet.adapters.clock_system import SystemClock
from hgext3rd.fleet.core import boot as boots
from hgext3rd.fleet.core.boot import Boot
from hgext3rd.fleet.core.errors import Doubted
from hgext3rd.replicate import boot, commands, unsynced
from hgext3rd.replicate.follow import catch_up
from hgext3rd.replicate.node import Hosted, Node
from hgext3rd.replicate.opening import open_repository
from testlib.hgrepo import commit, create, make_node


class Rebooted:
    """A clock of another boot."""

    def __init__(self, name: str) -> None:
        self._name = name

    def wall(self) -> float:
        return 5e9

    def boot(self) -> float:
        return 100.0

    def boot_id(self) -> str:
        return self._name


def reboot(node: Node, name: str = 'next') -> Node:
    """Return the node after a start of its machine."""
    after = Node(node.ui, node.settings)
    after.__dict__['clock'] = Rebooted(name)
    return after


def written(tmp_path: Path) -> Hosted:
    """Return a repository that has just been written to."""
    hosted = create(make_node(tmp_path))
    commit(open_repository(hosted), b'1')
    return hosted


@given(st.builds(Boot, st.text(), st.frozensets(st.text())))
def test_what_is_written_is_read(one: Boot) -> None:
    assert boots.decode(boots.encode(one)) == one


@pytest.mark.parametrize(
    'data',
    [
        None,
        b'',
        b'\0' * 80,
        b'{"version": 1, "boot": "b"',
        b'{"version": 2, "boot": "b", "doubted": []}',
        b'{"version": 1, "boot": "b", "doubted": {}}',
        b'[' * 100_000,
        b'5',
    ],
)
def test_what_is_torn_says_nothing(data: bytes | None) -> None:
    assert boots.decode(data) is None


def test_what_was_written_to_is_doubted_after_a_reboot(tmp_path: Path) -> None:
    hosted = written(tmp_path)
    boot.guard(hosted)
    after = reboot(hosted.node).hosted('demo')
    with pytest.raises(Doubted, match='demo on p1 is being compared') as caught:
        boot.guard(after)
    assert caught.value.retry
    assert os.path.exists(after.quarantine)
    with pytest.raises(Doubted):
        catch_up(after)
    boot.lift(after)
    boot.guard(after)
    # And so it stays, for all of this boot.
    boot.guard(reboot(hosted.node).hosted('demo'))


def test_what_was_synced_is_trusted_after_a_reboot(tmp_path: Path) -> None:
    hosted = written(tmp_path)
    other = create(hosted.node, 'other')
    assert unsynced.marked(hosted.node) == {'demo', 'other'}
    assert unsynced.checkpoint(hosted.node, ()) == 2
    assert unsynced.checkpoint(hosted.node, ()) == 0
    commit(open_repository(other), b'2')
    after = reboot(hosted.node)
    boot.guard(after.hosted('demo'))
    assert boot.current(after).doubted == {'other'}


def test_a_push_is_refused_before_anything_is_touched(tmp_path: Path) -> None:
    hosted = written(tmp_path)
    repo = open_repository(reboot(hosted.node).hosted('demo'))
    repo._fleet.node.__dict__['clock'] = Rebooted('next')
    before = hosted.node.ledger.end(hosted.stream)
    with pytest.raises(error.Abort, match='being compared'):
        commit(repo, b'2')
    assert hosted.node.ledger.end(hosted.stream) == before
    assert not hosted.unfinished


@pytest.mark.parametrize('torn', [b'', b'\0' * 60])
def test_without_a_record_everything_is_doubted(
    tmp_path: Path, torn: bytes
) -> None:
    hosted = written(tmp_path)
    unsynced.checkpoint(hosted.node, ())
    files.replace(hosted.node.state(boots.FILE), torn)
    assert boot.current(hosted.node).doubted == {'demo'}


def test_a_new_node_has_nothing_to_doubt(tmp_path: Path) -> None:
    assert boot.current(make_node(tmp_path)).doubted == frozenset()


def test_where_boots_have_no_name_each_daemon_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SystemClock, 'boot_id', lambda _self: '')
    node = written(tmp_path).node
    assert boot.current(node).doubted == frozenset()
    assert boot.assess(node, anew=True).doubted == {'demo'}
    assert boot.current(node).doubted == {'demo'}


def test_locks_of_another_boot_are_gone(tmp_path: Path) -> None:
    hosted = written(tmp_path)
    lock = Path(hosted.path, '.hg', 'store', 'lock')
    lock.symlink_to('elsewhere:1')
    boot.assess(reboot(hosted.node))
    assert not lock.is_symlink()


def test_caches_that_were_written_late_are_gone(tmp_path: Path) -> None:
    hosted = written(tmp_path)
    unsynced.checkpoint(hosted.node, ())
    folder = Path(hosted.path, '.hg', 'cache')
    folder.mkdir(exist_ok=True)
    old, new = folder / 'old', folder / 'new'
    old.write_text('')
    new.write_text('')
    os.utime(old, (1e9, 1e9))
    boot.assess(reboot(hosted.node))
    assert old.exists()
    assert not new.exists()


def test_a_mark_that_is_held_stays(tmp_path: Path) -> None:
    hosted = written(tmp_path)
    unsynced.checkpoint(hosted.node, ())
    with unsynced.writing(hosted):
        assert unsynced.checkpoint(hosted.node, ()) == 0
        assert unsynced.marked(hosted.node) == {'demo'}
    assert unsynced.checkpoint(hosted.node, ()) == 1
    assert unsynced.marked(hosted.node) == frozenset()


def test_what_is_doubted_keeps_its_mark(tmp_path: Path) -> None:
    hosted = written(tmp_path)
    assert unsynced.checkpoint(hosted.node, {'demo'}) == 0
    assert unsynced.marked(hosted.node) == {'demo'}


def test_who_comes_during_a_checkpoint_makes_another_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosted = written(tmp_path)
    marks = []

    def sync(_path: str) -> None:
        marks.append(unsynced.Mark(hosted))

    monkeypatch.setattr(files, 'sync_system', sync)
    assert unsynced.checkpoint(hosted.node, ()) == 1
    assert marks
    assert unsynced.marked(hosted.node) == {'demo'}


def test_a_sync_that_fails_takes_no_mark_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosted = written(tmp_path)

    def sync(_path: str) -> None:
        raise OSError(5, 'Input/output error')

    with monkeypatch.context() as patch:
        patch.setattr(files, 'sync_system', sync)
        with pytest.raises(OSError, match='Input'):
            unsynced.checkpoint(hosted.node, ())
    assert unsynced.marked(hosted.node) == {'demo'}
    assert unsynced.checkpoint(hosted.node, ()) == 1


def test_the_name_of_a_mark_is_synced_before_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And only once, however many writers there are until the checkpoint."""
    hosted = written(tmp_path)
    unsynced.checkpoint(hosted.node, ())
    synced = []
    real = files.sync_folder

    def sync(folder: str) -> None:
        synced.append(sorted(os.listdir(folder)))
        real(folder)

    monkeypatch.setattr(files, 'sync_folder', sync)
    for _time in range(3):
        unsynced.Mark(hosted).close()
    assert synced == [['.demo']]


def test_many_writers_and_checkpoints_at_once(tmp_path: Path) -> None:
    hosted = written(tmp_path)
    over = threading.Event()
    unmarked = []

    def write() -> None:
        while not over.is_set():
            with unsynced.writing(hosted):
                if 'demo' not in unsynced.marked(hosted.node):
                    unmarked.append(1)

    threads = [threading.Thread(target=write) for _each in range(3)]
    for each in threads:
        each.start()
    for _time in range(30):
        unsynced.checkpoint(hosted.node, ())
    over.set()
    for each in threads:
        each.join()
    assert not unmarked


def test_to_rebuild_it_by_hand_ends_the_doubt(tmp_path: Path) -> None:
    hosted = written(tmp_path)
    files.remove(hosted.node.state(boots.FILE))
    assert boot.current(hosted.node).doubted == {'demo'}
    commands.rebuild_command(hosted.node.ui, b'demo')
    boot.guard(hosted)
    assert not os.path.exists(hosted.quarantine)
