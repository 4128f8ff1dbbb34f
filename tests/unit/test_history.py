"""The histories: what moved, the plan, fetching, caching, and the slice."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pytest

import history
from history import cache, plan, progress, sdists, thin
from history.changes import Change, changes, likeness
from history.plan import DEFAULT, OTHER, STABLE, TAGS, Merge, Tag
from history.trees import Blob, Release, Tree, unpack
from testlib import places

HG = Path(sys.prefix, 'bin', 'hg')


def text(*lines: str) -> Blob:
    return Blob(''.join(f'{line}\n' for line in lines).encode())


def replay(steps: list[Change], tree: Tree) -> Tree:
    """What the changes make of a tree; each must be possible in turn."""
    tree = dict(tree)
    for step in steps:
        if step.source is not None:
            del tree[step.source]
        if step.blob is None:
            del tree[step.path]
        else:
            tree[step.path] = step.blob
        folder = step.path + b'/'
        assert not any(path.startswith(folder) for path in tree)
        assert not any(step.path.startswith(path + b'/') for path in tree)
    return tree


# what changed


@pytest.mark.parametrize(
    ('old', 'new', 'source'),
    [
        ({b'a/x': text('1')}, {b'b/y': text('1')}, b'a/x'),
        ({b'a/x': text('1', '2')}, {b'b/x': text('1', '3')}, b'a/x'),
        ({b'a/x': text('1', '2')}, {b'b/x': text('3', '4')}, None),
        ({b'a/x': text('1', '2')}, {b'b/y': text('1', '3')}, None),
        ({b'x': text('1')}, {b'x': text('1'), b'y': text('1')}, None),
        ({b'x': Blob(b'')}, {b'y': Blob(b'')}, None),
    ],
    ids=['content', 'name and lines', 'name', 'lines', 'copy', 'empty'],
)
def test_moves(old: Tree, new: Tree, source: bytes | None) -> None:
    found = changes(old, new, '').rest
    assert [change.source for change in found if change.new] == [source]
    assert replay(list(found), old) == new


def test_a_source_is_used_once_and_the_same_content_wins() -> None:
    old = {b'a/x': text('1', '2', '3')}
    new = {b'b/x': text('1', '2', '4'), b'z': text('1', '2', '3')}
    found = {
        change.path: change.source for change in changes(old, new, '').rest
    }
    assert found == {b'b/x': None, b'z': b'a/x'}


def test_a_changed_mode_is_a_change() -> None:
    (found,) = changes({b'x': Blob(b'1')}, {b'x': Blob(b'1', b'x')}, '').rest
    assert found == Change(b'x', Blob(b'1', b'x'))


@pytest.mark.parametrize('turned', [False, True])
def test_files_make_room_for_folders_first(turned: bool) -> None:
    trees: list[Tree] = [
        {b'a': text('1'), b'k': text('2')},
        {b'a/b': text('1'), b'a/c/d': text('3'), b'k': text('4')},
    ]
    old, new = reversed(trees) if turned else trees
    found = changes(old, new, '')
    assert replay([*found.first, *found.rest], old) == new
    assert [change.path for change in found.rest] == [b'k']


def test_likeness() -> None:
    assert likeness(b'a\nb\n', b'b\n\n  a\n') == 1
    assert likeness(b'a\nb\n', b'a\nc\nd\ne\n') == 0.25
    assert likeness(b'', b'') == 0


# the plan


def numbered(version: str, count: int, date: int) -> Release:
    """A release of which a third of the files differ from any other's."""
    tree = {
        b'%d/%d' % (number % 7, number): text(
            str(number), version if number % 3 == 0 else ''
        )
        for number in range(count)
    }
    return Release(version, date, tree)


RELEASED = [
    numbered('1.0', 300, 1_000_000_000),
    numbered('1.1', 420, 1_010_000_000),
    numbered('1.1.1', 400, 1_010_500_000),
    numbered('1.2', 402, 1_030_000_000),
]


def run(part: plan.Part, trees: dict[str, Tree], unmerged: set[bytes]) -> int:
    """Make a part's changesets; return how many were merges."""
    merges = 0
    for step in part.steps:
        if STABLE not in trees and step.branch == STABLE:
            trees[STABLE] = dict(trees[DEFAULT])
        tree, action = trees[step.branch], step.action
        if isinstance(action, Change):
            trees[step.branch] = replay([action], tree)
            assert unmerged.isdisjoint(action.paths)
            unmerged |= action.paths
        elif isinstance(action, Merge):
            merges += 1
            other = trees[OTHER[step.branch]]
            for path in action.paths:
                tree.pop(path, None)
                tree |= {path: other[path]} if path in other else {}
            unmerged -= action.paths
        else:
            tree[TAGS] = text(action.name)
    return merges


def test_both_branches_hold_the_release_at_its_tag() -> None:
    trees: dict[str, Tree] = {DEFAULT: {}}
    merges = 0
    for part, release in zip(plan.history(RELEASED), RELEASED, strict=True):
        unmerged: set[bytes] = set()
        merges += run(part, trees, unmerged)
        assert trees[STABLE] == trees[DEFAULT]
        assert trees[DEFAULT] == release.tree | {TAGS: text(release.version)}
    assert merges > 10


def test_dates_lead_to_the_release() -> None:
    last = 0
    for part, release in zip(plan.history(RELEASED), RELEASED, strict=True):
        dates = [step.date[0] for step in part.steps]
        assert dates == sorted(dates)
        assert last < dates[0]
        assert dates[-1] == release.date
        last = dates[-1]


def test_many_people_work_and_one_tags() -> None:
    steps = [step for part in plan.history(RELEASED) for step in part.steps]
    assert len({step.user for step in steps}) >= 6
    tagged = [s.action.name for s in steps if isinstance(s.action, Tag)]
    assert tagged == ['1.0', '1.1', '1.1.1', '1.2']


def test_thinned_releases_end_in_the_real_files() -> None:
    tree = numbered('7', 400, 2_000_000_000).tree
    tree[b'run'] = Blob(b'#!\n', b'x')
    tree[b'image'] = Blob(b'\0\1')
    made = thin.thinned(Release('7', 2_000_000_000, tree))
    assert made[-1].date == 2_000_000_000
    assert made[-1].tree.items() <= tree.items()
    assert any(path.startswith(b'attic/') for path in made[0].tree)
    assert len({frozenset(release.tree) for release in made}) > 2


# fetching


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> sdists.Sdist:
    """A release that pip finds, and that no Python can set up."""
    offered = tmp_path / 'offered'
    offered.mkdir()
    found = offered / 'mercurial-0.9.tar.gz'
    with tarfile.open(found, 'w:gz') as made:
        for name, data in {
            'PKG-INFO': 'Name: mercurial\nVersion: 0.9\n',
            'setup.py': 'raise SystemExit("an old Python, please")\n',
            'doc/x': 'x\n',
        }.items():
            member = tarfile.TarInfo(f'mercurial-0.9/{name}')
            member.size, member.mtime = len(data), 1_100_000_000
            made.addfile(member, io.BytesIO(data.encode()))
    monkeypatch.setenv('PIP_NO_INDEX', '1')
    monkeypatch.setenv('PIP_FIND_LINKS', str(offered))
    return sdists.Sdist('0.9', hashlib.sha256(found.read_bytes()).hexdigest())


def test_pip_fetches_what_it_could_not_set_up(
    index: sdists.Sdist, tmp_path: Path
) -> None:
    path = sdists.fetch(index, tmp_path / 'got')
    release = unpack(path)
    assert (release.version, release.date) == ('0.9', 1_100_000_000)
    assert release.tree[b'doc/x'] == text('x')


def test_a_damaged_sdist_is_fetched_again_and_a_good_one_is_not(
    index: sdists.Sdist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = tmp_path / index.name
    damaged.write_bytes(b'half')
    assert unpack(sdists.fetch(index, tmp_path)).tree
    monkeypatch.setattr(sdists, '_download', lambda *_: pytest.fail('again'))
    assert sdists.fetch(index, tmp_path) == damaged


def test_another_file_than_the_pinned_one_is_refused(
    index: sdists.Sdist, tmp_path: Path
) -> None:
    other = sdists.Sdist(index.version, 64 * '0')
    with pytest.raises(sdists.FetchError, match=index.name):
        sdists.fetch(other, tmp_path / 'got')
    assert not (tmp_path / 'got' / index.name).exists()


# caching


def test_what_fails_is_not_kept(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        path.mkdir()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.ready(tmp_path, 'thing', fail)
    assert [path.name for path in tmp_path.iterdir()] == ['.thing.lock']


def test_what_a_killed_maker_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / '.thing.part').mkdir()
    (tmp_path / '.thing.part' / 'half').touch()
    made = cache.ready(tmp_path, 'thing', Path.mkdir)
    assert list(made.iterdir()) == []


def test_makers_take_turns(tmp_path: Path) -> None:
    makers: list[int] = []
    begun = threading.Event()
    go_on = threading.Event()

    def make(path: Path) -> None:
        makers.append(threading.get_ident())
        begun.set()
        assert go_on.wait(30)
        path.mkdir()

    def use() -> None:
        cache.ready(tmp_path, 'thing', make)

    users = [threading.Thread(target=use) for _ in range(4)]
    for user in users:
        user.start()
    assert begun.wait(30)
    assert not (tmp_path / 'thing').exists()
    go_on.set()
    for user in users:
        user.join(30)
    assert len(makers) == 1
    assert (tmp_path / 'thing').is_dir()


# the slice, made by this Mercurial from a real sdist


def hg(*args: str | Path) -> str:
    env = os.environ | {'HGRCPATH': '', 'HGPLAIN': '1', 'LC_ALL': 'C.UTF-8'}
    command = [str(HG), *map(str, args)]
    return subprocess.run(
        command, env=env, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def count(repo: Path, revset: str) -> int:
    return len(hg('log', '-R', repo, '-r', revset, '-T', 'x'))


@pytest.fixture(scope='module')
def slice_(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The slice, made anew of the sdist in the shared cache."""
    folder = tmp_path_factory.mktemp('cache')
    (folder / 'sdists').symlink_to(places.cache('sdists'))
    return history.slice_(folder)


def test_the_slice_has_the_pinned_tip(slice_: Path) -> None:
    found = hg('log', '-R', slice_, '-r', 'tip', '-T', '{node}')
    assert found == history.SLICE_TIP


def test_the_slice_has_all_kinds_of_changesets(slice_: Path) -> None:
    assert count(slice_, 'all()') == 301
    assert count(slice_, 'merge()') >= 5
    assert count(slice_, 'branch(default) and not merge()') > 100
    assert count(slice_, 'branch(stable) and not merge()') > 50
    assert count(slice_, 'tag()') == 4
    assert count(slice_, 'draft()') == 301
    assert 'Dagný' in hg('log', '-R', slice_, '-T', '{user}\n')
    copies = hg('log', '-R', slice_, '-T', '{file_copies % "{source}\n"}')
    assert copies.count('attic/') >= 5


def test_the_slice_is_sound(slice_: Path) -> None:
    hg('verify', '-R', slice_, '-q')
    assert (
        hg('cat', '-R', slice_, slice_ / '.hgtags', '-r', 'tip').count('\n')
        == 4
    )


def test_the_slice_is_made_once(
    slice_: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sdists, 'fetch', lambda *_: pytest.fail('made again'))
    assert history.slice_(slice_.parent) == slice_


def test_nothing_changes_the_cached_repository(slice_: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        hg('phase', '-R', slice_, '--public', 'all()')
    assert count(slice_, 'draft()') == 301


def test_clones_are_draft_and_can_be_changed(
    slice_: Path, tmp_path: Path
) -> None:
    hg('clone', '-q', '-U', slice_, tmp_path / 'clone')
    assert count(tmp_path / 'clone', 'draft()') == 301
    hg('phase', '-R', tmp_path / 'clone', '--public', 'all()')
    assert count(tmp_path / 'clone', 'public()') == 301


def test_another_history_than_the_pinned_one_is_refused(
    slice_: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, 'SLICE_TIP', 40 * 'f')
    with pytest.raises(history.Unexpected, match=40 * 'f'):
        history.slice_(slice_.parent)


def test_the_command_prints_the_path(slice_: Path) -> None:
    ran = subprocess.run(
        [sys.executable, str(places.TESTS / 'history'), 'slice', '--print'],
        env=os.environ | {'HGFLEET_CACHE': str(slice_.parent)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert ran.stdout == f'{slice_}\n'


@pytest.mark.skipif(
    'HGFLEET_THOROUGH' not in os.environ,
    reason='optional: only on a thorough run',
)
def test_the_whole_has_the_pinned_tip() -> None:
    found = history.releases(progress=progress.silent)
    tip = hg('log', '-R', found, '-r', 'tip', '-T', '{node}')
    assert tip == history.RELEASES_TIP
    assert count(found, 'all()') >= 8_000
    assert count(found, 'merge()') >= 100
