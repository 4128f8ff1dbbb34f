"""What was read ahead is used while it is true, and then not."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mercurial import extensions, obsolete, phases
from mercurial import ui as uimod

from hgext3rd.fleet import compat
from hgext3rd.warmserver import shelf as shelves
from hgext3rd.warmserver.shelf import Shelf
from testlib.warmbare import Bare, Seen

# Mercurial leaves it to the collector to close what is included.
pytestmark = [
    pytest.mark.filterwarnings('ignore::ResourceWarning'),
    pytest.mark.filterwarnings(
        'ignore::pytest.PytestUnraisableExceptionWarning'
    ),
]

_SETTINGS = """\
[experimental]
evolution = all
[phases]
publish = no
[warmserver]
repos = 2
"""
_MANY = """\
import os
from mercurial import registrar
cmdtable = {}
command = registrar.command(cmdtable)
@command(b'many', [], b'')
def many(ui, repo):
    with repo.lock(), repo.transaction(b'many') as tr:
        repo.obsstore.add(tr, [
            (os.urandom(20), (os.urandom(20),), 0, (), (0.0, 0), None)
            for _ in range(2000)])
"""
NULL = b'0' * 40
ASKS = (
    b'hello\nheads\nbranchmap\n'
    b'listkeys\nnamespace 6\nphaseslistkeys\nnamespace 9\nobsolete\n'
)


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Bare]:
    bare = Bare(tmp_path, _SETTINGS)
    (tmp_path / 'many.py').write_text(_MANY)
    for name in ('one', 'two', 'three'):
        (tmp_path / 'repos' / 'rw' / name).write_text(name)
        hg(bare, 'commit', '-qAm', name, '-u', 'ann')
        hg(bare, 'update', '-q', 'null')
    hg(bare, '--config', f'extensions.many={tmp_path}/many.py', 'many')
    yield bare
    bare.stop()


def hg(bare: Bare, *words: str) -> str:
    return bare.hg(
        *('-R', str(bare.folder / 'repos' / 'rw'), *words),
        *('--config', 'experimental.evolution=all'),
    )


def opened(bare: Bare) -> Any:
    ui = uimod.ui.load()
    ui.setconfig(b'experimental', b'evolution', b'all')
    return compat.repository(ui, os.fsencode(bare.folder / 'repos' / 'rw'))


def answers(repo: Any) -> tuple[object, ...]:
    unfi = repo.unfiltered()
    served = repo.filtered(b'served')
    return (
        served.heads(),
        sorted(served.branchmap().branchheads(b'default')),
        [unfi[rev].phasestr() for rev in unfi],
        sorted(obsolete.getrevs(unfi, b'obsolete')),
        len(unfi.obsstore),
    )


@pytest.fixture
def shelf(bare: Bare, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    compat.initialize()
    monkeypatch.setenv('HGRCPATH', '')
    monkeypatch.setattr(shelves, 'LEAST', 1000)
    ui = uimod.ui.load()
    ui.setconfig(b'experimental', b'evolution', b'all')
    shelf = Shelf(ui, str(bare.folder / 'repos'), 2)
    shelf.want('rw')
    assert shelf.step(0)
    yield shelf
    gc.unfreeze()


def test_what_is_lent_is_what_is_there(bare: Bare, shelf: Shelf) -> None:
    plain, repo = opened(bare), opened(bare)
    assert shelf.lend(repo)
    assert '_all' in vars(repo.obsstore)
    assert '_all' not in vars(plain.obsstore)
    assert answers(repo) == answers(plain)
    assert not shelf.step(100)


def test_a_repository_that_borrows_can_be_changed(
    bare: Bare, shelf: Shelf
) -> None:
    repo = opened(bare)
    assert shelf.lend(repo)
    unfi = repo.unfiltered()
    with unfi.lock(), unfi.transaction(b'test') as tr:
        obsolete.createmarkers(repo, [((repo[2],), ())])
        phases.advanceboundary(unfi, tr, phases.public, [unfi[0].node()])
    assert answers(repo) == answers(opened(bare))
    assert not shelf.lend(opened(bare))


def borrows(bare: Bare) -> Seen | None:
    """Return what a session leads to, if it has found markers in memory."""
    seen = bare.served('rw', ASKS)
    return seen if bare.log().endswith('detail=borrowed\n') else None


def commit(bare: Bare) -> None:
    (bare.folder / 'repos' / 'rw' / 'four').write_text('four')
    hg(bare, 'commit', '-qAm', 'four', '-u', 'ann')


def phase(bare: Bare) -> None:
    hg(bare, 'phase', '-p', '0')


def marker(bare: Bare) -> None:
    node = hg(bare, 'log', '-r', '2', '-T', '{node}')
    hg(bare, 'debugobsolete', node)


def strip(bare: Bare) -> None:
    words = ('--config', 'extensions.strip=', 'strip', '-r', '1', '--no-backup')
    hg(bare, *words)


def in_place(bare: Bare) -> None:
    path = bare.folder / 'repos' / 'rw' / '.hg' / 'store' / 'phaseroots'
    about = path.stat()
    lines = path.read_text().splitlines()
    roots = [line.split()[1] for line in lines]
    # One root twice instead of two: as long, and another meaning.
    roots[0] = roots[1]
    text = ''.join(f'1 {root}\n' for root in roots)
    assert len(text) == about.st_size
    path.write_text(text)
    second = about.st_mtime_ns // 10**9 * 10**9
    later = second + (about.st_mtime_ns + 1) % 10**9
    os.utime(path, ns=(later, later))


def settings(bare: Bare) -> None:
    path = bare.folder / 'repos' / 'rw' / '.hg' / 'hgrc'
    path.write_text('[ui]\nverbose = no\n')


@pytest.mark.parametrize(
    'change', [commit, phase, marker, strip, in_place, settings]
)
def test_what_has_changed_is_not_lent(
    bare: Bare, shelf: Shelf, change: Callable[[Bare], None]
) -> None:
    before = answers(opened(bare))
    change(bare)
    repo = opened(bare)
    assert not shelf.lend(repo)
    after = answers(repo)
    assert (after != before) is (change is not settings)
    assert not shelf.step(shelves.REST / 2)
    assert shelf.step(shelves.REST)
    repo = opened(bare)
    assert shelf.lend(repo)
    assert answers(repo) == after


@pytest.mark.parametrize('name', ['hgrc', 'hgrc-not-shared'])
def test_settings_that_name_extensions_are_not_read(
    bare: Bare, shelf: Shelf, name: str
) -> None:
    path = bare.folder / 'repos' / 'rw' / '.hg' / name
    path.write_text('[extensions]\nblackbox =\n')
    loaded = set(extensions._extensions)
    assert not shelf.step(100)
    assert set(extensions._extensions) == loaded


def test_what_is_damaged_is_not_kept(bare: Bare, shelf: Shelf) -> None:
    path = bare.folder / 'repos' / 'rw' / '.hg' / 'store' / 'phaseroots'
    # Mercurial does not expect a phase of that number.
    path.write_text(f'7 {path.read_text().split()[1]}\n')
    assert not shelf.step(100)
    assert not shelf._kept


def test_only_so_many_are_kept(bare: Bare, shelf: Shelf) -> None:
    shelf.want('one')
    assert shelf.lend(opened(bare))
    shelf.want('two')
    assert not shelf.lend(opened(bare))
    nothing = Shelf(uimod.ui.load(), str(bare.folder / 'repos'), 0)
    nothing.want('rw')
    assert not nothing.step(0)


def test_sessions_are_equal_while_it_changes(bare: Bare) -> None:
    bare.start()
    said = bare.served('rw', ASKS)
    for change in (commit, phase, marker, in_place, strip):
        for _time in range(2):
            seen = bare.served('rw', ASKS)
            assert seen == said == bare.session('rw', ASKS, warm=False)
        change(bare)
        said = bare.session('rw', ASKS, warm=False)
        assert said != seen
    assert bare.served('rw', ASKS) == said
    bare.until('one that borrows', lambda: borrows(bare) == said)
