"""The server notices that it was started from other files."""

from __future__ import annotations

import gc
import importlib.util
import os
import py_compile
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mercurial import config

from hgext3rd.warmserver import fresh, rehearsal


def same_size(path: Path) -> None:
    about = path.stat()
    path.write_text('b')
    # Within the same second, as far as a whole one is looked at.
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns + 1))


def replaced(path: Path) -> None:
    about = path.stat()
    other = path.with_suffix('.new')
    other.write_text('b')
    os.utime(other, ns=(about.st_atime_ns, about.st_mtime_ns))
    other.rename(path)


@pytest.mark.parametrize('change', [same_size, replaced, Path.unlink])
def test_any_change_is_noticed(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    one, other = tmp_path / 'one', tmp_path / 'other'
    one.write_text('a')
    other.write_text('a')
    marks = fresh.Marks([str(one), str(other)])
    assert len(marks) == 2
    assert marks.changed() is None
    change(other)
    assert marks.changed() == os.fsencode(other)


def test_what_was_missing_may_appear(tmp_path: Path) -> None:
    missing = tmp_path / 'missing'
    marks = fresh.Marks([str(missing)])
    assert marks.changed() is None
    assert not marks.changed_since(0)
    missing.touch()
    assert marks.changed() == os.fsencode(missing)


def test_what_was_read_later_is_compared_as_well(tmp_path: Path) -> None:
    early, late = tmp_path / 'early', tmp_path / 'late'
    early.write_text('a')
    late.write_text('a')
    marks = fresh.Marks([str(early)])
    second = 1_000_000_000
    after = late.stat().st_ctime_ns + second
    assert marks.include([str(early), str(late)], after) is None
    assert len(marks) == 2
    same_size(late)
    assert marks.changed() == os.fsencode(late)


def test_what_may_have_changed_while_it_was_read_is_told(
    tmp_path: Path,
) -> None:
    marks = fresh.Marks([])
    late = tmp_path / 'late'
    late.write_text('a')
    since = late.stat().st_ctime_ns
    assert marks.include([str(late)], since) == os.fsencode(late)


def test_what_changed_before_the_clock_was_set_back_did_so_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'file').touch()
    changed = (tmp_path / 'file').stat().st_ctime_ns
    marks = fresh.Marks([str(tmp_path / 'file')])
    hour = 3600 * 10**9
    assert marks.changed_since(changed)
    assert marks.changed_since(changed - hour)
    assert not marks.changed_since(changed + 1)
    monkeypatch.setattr('time.time_ns', lambda: changed - hour)
    assert not marks.changed_since(changed - 2 * hour)
    late = fresh.Marks([])
    assert late.include([str(tmp_path / 'file')], changed - 2 * hour) is None


def test_modules_that_are_put_off_count_and_stay_put_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / 'put_off_for_now.py'
    path.write_text('raise AssertionError')
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, path.stem, module)
    importlib.util.LazyLoader(spec.loader).exec_module(module)
    assert str(path) in fresh.modules()
    fresh.search_path()
    assert path.stem not in rehearsal.loaded()
    with pytest.raises(AssertionError):
        rehearsal.load(path.stem)


def test_of_a_folder_count_the_names_of_modules(tmp_path: Path) -> None:
    marks = fresh.Marks([str(tmp_path)])
    for name in ('__pycache__', 'some.txt', '.hidden', 'module.py~'):
        (tmp_path / name).mkdir()
        assert marks.changed() is None
    for name in ('module.py', 'package', 'some.pth', 'module.abi3.so'):
        (tmp_path / name).mkdir()
        assert marks.changed() == os.fsencode(tmp_path)
        (tmp_path / name).rmdir()
        assert marks.changed() is None
    tmp_path.rename(tmp_path.with_name('elsewhere'))
    assert marks.changed() == os.fsencode(tmp_path)


def test_the_places_of_modules_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'some.pth').touch()
    monkeypatch.syspath_prepend(tmp_path)
    found = fresh.search_path()
    assert {str(tmp_path), str(tmp_path / 'some.pth')} <= found
    assert os.path.dirname(config.__file__) in found


def test_bytecode_of_what_has_changed_is_removed(tmp_path: Path) -> None:
    one, other = tmp_path / 'one.py', tmp_path / 'other.py'
    compiled = []
    for path in (one, other):
        path.write_text('A = 1')
        compiled.append(Path(py_compile.compile(str(path)) or ''))
    marks = fresh.Marks([str(one), str(other)])
    same_size(one)
    marks.forget()
    assert [path.exists() for path in compiled] == [False, True]


# Mercurial leaves it to the collector to close what is included.
@pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')
@pytest.mark.filterwarnings('ignore::ResourceWarning')
def test_includes_are_read_as_well(tmp_path: Path) -> None:
    (tmp_path / 'hgrc').write_text('%include a.rc\n%include none.rc\n')
    (tmp_path / 'a.rc').write_text('%include b.rc\n')
    (tmp_path / 'b.rc').write_text('[ui]\n')
    with fresh.reading() as seen:
        config.config().read(os.fsencode(tmp_path / 'hgrc'))
    names = {os.path.basename(path) for path in seen}
    assert names == {b'hgrc', b'a.rc', b'b.rc', b'none.rc'}
    gc.collect()
    with fresh.reading() as seen:
        pass
    assert not seen


def test_this_very_module_is_among_those_loaded() -> None:
    assert __file__ in fresh.modules()
