"""Whatever changes on disk counts for the next session.

Each change leads to another answer; the session after it gets that one,
whether the server serves or declines.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testlib.warmbare import Bare

KEY = b'pushkey\nnamespace 9\nbookmarkskey 1\nbold 0\nnew 40\n' + b'0' * 40

_EXTENSION = """\
from . import sub
def uisetup(ui):
    global SET_UP
    SET_UP = ui.config(b'whatever', b'value', b'unset')
def reposetup(ui, repo):
    ui.warn(b'%s, set up with %s\\n' % (sub.SAID, SET_UP))
"""
_FILE = "def reposetup(ui, repo):\n    ui.warn(b'a{}\\n')\n"
_HOOK = "def hook(ui, **_):\n    ui.warn(b'hook {}\\n')\n"
_SETTINGS = """\
%include {folder}/included.rc
%include {folder}/missing.rc
[extensions]
file = {folder}/file.py
package = {folder}/package
[hooks]
prepushkey.file = python:{folder}/hook.py:hook
prepushkey.say = echo first
"""


@pytest.fixture(scope='module')
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bare]:
    folder = tmp_path_factory.mktemp('stale')
    (folder / 'package').mkdir()
    (folder / 'package' / '__init__.py').write_text(_EXTENSION)
    (folder / 'package' / 'sub.py').write_text("SAID = b'sub 1'\n")
    (folder / 'file.py').write_text(_FILE.format(1))
    (folder / 'hook.py').write_text(_HOOK.format('one'))
    (folder / 'other.py').write_text(_FILE.format(' other'))
    (folder / 'included.rc').write_text('[whatever]\nvalue = 1\n')
    with Bare(folder, _SETTINGS.format(folder=folder)) as bare:
        yield bare


def append(path: Path, text: str) -> None:
    with path.open('a') as file:
        file.write(text)


def settings(bare: Bare) -> None:
    append(bare.hgrc, '[hooks]\nprepushkey.say = echo second\n')


def access(bare: Bare) -> None:
    text = bare.hgrc.read_text()
    bare.hgrc.write_text(text.replace('staff:write', 'staff:read'))


def included(bare: Bare) -> None:
    (bare.folder / 'included.rc').write_text('[whatever]\nvalue = 2\n')


def appeared(bare: Bare) -> None:
    (bare.folder / 'missing.rc').write_text('[whatever]\nvalue = 3\n')


def submodule(bare: Bare) -> None:
    (bare.folder / 'package' / 'sub.py').write_text("SAID = b'sub 22'\n")


def shadowed(bare: Bare) -> None:
    # A package comes before a module of that name.
    (bare.folder / 'package' / 'sub').mkdir()
    inside = bare.folder / 'package' / 'sub' / '__init__.py'
    inside.write_text("SAID = b'shadow'\n")


def removed(bare: Bare) -> None:
    (bare.folder / 'file.py').unlink()


def same_second(bare: Bare) -> None:
    path = bare.folder / 'file.py'
    about = path.stat()
    path.write_text(_FILE.format(2))
    assert path.stat().st_size == about.st_size
    second = about.st_mtime_ns // 10**9 * 10**9
    later = second + (about.st_mtime_ns + 1) % 10**9
    os.utime(path, ns=(later, later))


def same_times(bare: Bare) -> None:
    path = bare.folder / 'included.rc'
    about = path.stat()
    path.write_text('[whatever]\nvalue = 9\n')
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def repository(bare: Bare) -> None:
    path = bare.folder / 'repos' / 'rw' / '.hg' / 'hgrc'
    path.write_text('[hooks]\nprepushkey.own = echo own\n')


def enabled(bare: Bare) -> None:
    path = bare.folder / 'repos' / 'rw' / '.hg' / 'hgrc'
    append(path, f'[extensions]\nother = {bare.folder}/other.py\n')


def disabled(bare: Bare) -> None:
    path = bare.folder / 'repos' / 'rw' / '.hg' / 'hgrc'
    append(path, '[extensions]\npackage = !\n')


def hook(bare: Bare) -> None:
    (bare.folder / 'hook.py').write_text(_HOOK.format('eleven'))


def group(bare: Bare) -> None:
    bare.users('nobodies')


CHANGES: dict[Callable[[Bare], None], bool] = {
    settings: True,
    included: True,
    same_times: True,
    appeared: True,
    submodule: True,
    shadowed: True,
    same_second: True,
    repository: False,
    enabled: False,
    disabled: False,
    hook: False,
    removed: True,
    access: True,
    group: False,
}
"""Each with whether the server must be started anew for it."""


@pytest.mark.parametrize('change', CHANGES)
def test_it_counts_at_once(bare: Bare, change: Callable[[Bare], None]) -> None:
    before = bare.served('rw', KEY)
    assert bare.session('rw', KEY, warm=False) == before
    handovers = bare.status()['handovers']
    change(bare)
    after = bare.session('rw', KEY)
    assert after != before
    assert after == bare.session('rw', KEY, warm=False)
    assert bare.served('rw', KEY) == after
    assert (bare.status()['handovers'] > handovers) is CHANGES[change]


def test_another_file_of_configuration_counts(bare: Bare) -> None:
    """Whoever moves it tells sshd, and may forget the server."""
    before, hgrc = bare.served('rw', KEY), bare.hgrc
    handovers = bare.status()['handovers']
    try:
        bare.hgrc = bare.folder / 'link'
        bare.hgrc.symlink_to(hgrc)
        assert bare.served('rw', KEY) == before
        bare.hgrc = bare.folder / 'moved'
        text = hgrc.read_text()
        bare.hgrc.write_text(f'{text}[extensions]\nmoved = /away/moved.py\n')
        after = bare.session('rw', KEY)
        assert b'moved' in after.error
        assert after == bare.session('rw', KEY, warm=False)
        bare.until('stale', lambda: 'command names' in bare.log())
    finally:
        bare.hgrc = hgrc
    assert bare.served('rw', KEY) == before
    assert bare.status()['handovers'] == handovers


_BACK = """\
import time
now = time.time_ns
time.time_ns = lambda: now() - 3600 * 10**9
"""


def test_it_starts_after_the_clock_was_set_back(tmp_path: Path) -> None:
    (tmp_path / 'back.py').write_text(_BACK)
    with Bare(tmp_path, f'[extensions]\nback = {tmp_path}/back.py\n') as bare:
        assert bare.served('rw', KEY)
