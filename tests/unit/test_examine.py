"""Whatever a power cut can take from a repository is found, and mended."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from mercurial import obsolete

from hgext3rd.fleet import files
from hgext3rd.fleet.core.errors import Quarantined
from hgext3rd.replicate import commands, examine
from hgext3rd.replicate.follow import catch_up
from hgext3rd.replicate.node import Hosted
from hgext3rd.replicate.opening import open_repository
from testlib.hgrepo import commit, create, make_node, picture

Harm = Callable[[Path], None]

LARGE = os.urandom(200_000).hex().encode()


# Mercurial leaves it to the collector to close what it splits.
pytestmark = pytest.mark.filterwarnings(
    'ignore::pytest.PytestUnraisableExceptionWarning'
)


@pytest.fixture
def copy(tmp_path: Path) -> Hosted:
    """A mirror's copy of a repository with a bit of everything."""
    return make_copy(tmp_path)


@pytest.fixture(scope='module')
def shared(tmp_path_factory: pytest.TempPathFactory) -> Hosted:
    """A copy like that, for tests that leave it as it was."""
    return make_copy(tmp_path_factory.mktemp('shared'))


def make_copy(tmp_path: Path) -> Hosted:
    node = make_node(tmp_path)
    file = tmp_path / 'hgrc'
    file.write_text('[web]\ndescription = x\n')
    commands.create_command(node.ui, b'demo', hgrc=bytes(file))
    hosted = node.hosted('demo')

    def mark(tr: object) -> None:
        repo = hosted_repo
        changes = [(b'@', repo[len(repo) - 1].node())]
        repo._bookmarks.applychanges(repo, tr, changes)

    hosted_repo = open_repository(hosted)
    for content in (b'1', b'2', LARGE, b'4'):
        hosted_repo = open_repository(hosted).unfiltered()
        commit(hosted_repo, content, mark)
    repo = open_repository(hosted)
    with repo.lock(), repo.transaction(b'test'):
        obsolete.createmarkers(
            repo, [((repo[3],), ())], metadata={b'user': b'ann'}
        )
    mirror = make_node(tmp_path, 'm1', 'mirror').hosted('demo')
    catch_up(mirror)
    assert picture(mirror) == picture(hosted)
    return mirror


def model(hosted: Hosted) -> dict[str, object]:
    """Return how the repository should be."""
    folder = Path(hosted.node.settings.state).parents[1]
    return picture(make_node(folder).hosted('demo'))


def test_a_sound_copy_is_left_as_it_is(copy: Hosted) -> None:
    before = copy.identity()
    assert examine.settle(copy) == ''
    assert copy.identity() == before
    assert picture(copy) == model(copy)


def test_a_sound_copy_that_is_behind_catches_up(copy: Hosted) -> None:
    folder = Path(copy.node.settings.state).parents[1]
    commit(open_repository(make_node(folder).hosted('demo')), b'5')
    assert examine.settle(copy) == ''
    assert picture(copy) == model(copy)


def zeros(path: Path) -> None:
    path.write_bytes(b'\0' * path.stat().st_size)


def half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def late_zeros(path: Path) -> None:
    data = path.read_bytes()
    kept = len(data) * 2 // 3
    path.write_bytes(data[:kept] + b'\0' * (len(data) - kept))


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b'\0' * 64)


def gone(path: Path) -> None:
    path.unlink()


FILES = (
    'requires',
    'hgrc',
    'store/requires',
    'store/00changelog.i',
    'store/00manifest.i',
    'store/data/file.i',
    'store/data/file.d',
    'store/fncache',
    'store/phaseroots',
    'store/bookmarks',
    'store/obsstore',
    'store/fleet-applied',
    'store/fleet-pushlog',
    'store/fleet-pushlog-users',
)


HARMS: tuple[Harm, ...] = (zeros, half, empty, late_zeros, longer, gone)


@pytest.mark.parametrize('name', FILES)
def test_each_harm_is_found_and_mended(shared: Hosted, name: str) -> None:
    before = model(shared)
    for harm in HARMS:
        harm(Path(shared.path, '.hg', name))
        words = examine.settle(shared)
        assert picture(shared) == before, harm
        assert words != '', harm


@pytest.mark.parametrize('name', ['journal', 'undo', 'journal.phases'])
def test_what_a_transaction_left_is_dealt_with(
    shared: Hosted, name: str
) -> None:
    before = model(shared)
    for harm in HARMS:
        path = Path(shared.path, '.hg', 'store', name)
        path.write_bytes(b'data/file.i\x000\n' * 9)
        harm(path)
        examine.settle(shared)
        assert picture(shared) == before, harm
        assert examine.settle(shared) == '', harm


def test_a_copy_that_lost_everything_is_made_anew(copy: Hosted) -> None:
    before = model(copy)
    shutil.rmtree(copy.path)
    examine.settle(copy)
    assert picture(copy) == before


def test_a_deleted_repository_that_came_back_goes_again(copy: Hosted) -> None:
    folder = Path(copy.node.settings.state).parents[1]
    aside = folder / 'aside'
    shutil.copytree(Path(copy.path, '.hg'), aside)
    commands.delete_command(make_node(folder).ui, b'demo')
    catch_up(copy)
    shutil.copytree(aside, Path(copy.path, '.hg'))
    files.remove(copy.tombstone)
    examine.settle(copy)
    assert not os.path.exists(os.path.join(copy.path, '.hg'))
    assert not copy.applied().state.exists


@pytest.mark.parametrize('harm', [zeros, empty, half])
def test_a_torn_tombstone_is_mended(copy: Hosted, harm: Harm) -> None:
    folder = Path(copy.node.settings.state).parents[1]
    commands.delete_command(make_node(folder).ui, b'demo')
    catch_up(copy)
    harm(Path(copy.tombstone))
    assert 'cannot be read' in examine.settle(copy)
    assert not copy.applied().state.exists


def test_a_torn_empty_repository_is_found(tmp_path: Path) -> None:
    """Nothing can be said of its changesets, since there are none."""
    hosted = create(make_node(tmp_path))
    empty(Path(hosted.path, '.hg', 'requires'))
    assert 'requires' in examine.settle(hosted)
    assert examine.settle(hosted) == ''


def test_what_the_ledger_has_lost_is_kept(copy: Hosted) -> None:
    """Here may be the only copy of it."""
    folder = Path(copy.node.settings.state).parents[1]
    for path in folder.glob('ledger.db*'):
        if path.is_file():
            path.unlink()
    before = picture(copy)
    fresh = make_node(folder, 'm1', 'mirror').hosted('demo')
    with pytest.raises(Quarantined, match='it has lost entries'):
        examine.settle(fresh)
    assert picture(copy) == before


def test_only_who_examines_it_may_touch_it(copy: Hosted) -> None:
    copy.node.examines = 'another'
    examine.settle(copy)
    assert copy.node.examines == ''
