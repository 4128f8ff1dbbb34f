"""Whatever changes, a client of chg sees it at its next command."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from testlib import chg
from testlib.chgplace import Place, Raw, place, write_over

_SAYS = """\
from mercurial import registrar
cmdtable = {}
command = registrar.command(cmdtable)
@command(b'say', [], optionalrepo=True)
def say(ui, repo):
    ui.write(b'%s\\n')
"""

_PACKAGE = """\
from mercurial import registrar
from . import part
cmdtable = {}
command = registrar.command(cmdtable)
@command(b'say', [], norepo=True)
def say(ui):
    ui.write(part.WORD + b'\\n')
"""

_SETTING = """\
from mercurial import registrar
cmdtable, configtable, seen = {}, {}, []
command = registrar.command(cmdtable)
configitem = registrar.configitem(configtable)
configitem(b'odd', b'word', default=b'none')
configitem(b'odd', b'other', default=b'none')
def uisetup(ui):
    seen.append(ui.config(b'odd', b'word'))
@command(b'say', [], norepo=True)
def say(ui):
    ui.write(seen[0] + b' ' + ui.config(b'odd', b'other') + b'\\n')
"""


@pytest.fixture(params=['asks', 'does not ask'])
def here(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Asking]:
    """A place with a client that asks first, or with one that never does."""
    try:
        with place(tmp_path) as made:
            yield Asking(made, request.param == 'asks')
    except chg.Missing as reason:
        pytest.skip(str(reason))


class Asking:
    """Gives commands, by one kind of client."""

    def __init__(self, where: Place, asks: bool) -> None:
        self.where = where
        self.folder = where.folder
        self._asks = asks

    def configure(self, *lines: str) -> None:
        self.where.configure(*lines)

    def run(self, *words: str) -> str:
        if self._asks:
            return ''.join(self.where.ask(*words)[1:])
        if not self.where.servers():
            self.where.ask('version', '-q')
        env = (f'{name}={value}' for name, value in self.where.env.items())
        with Raw(self.where.address) as raw:
            raw.frame()
            raw.send('chdir', str(self.folder))
            raw.send('setenv', *env)
            raw.send('runcommand', *words)
            written, result = raw.result()
        assert len(result) == 4, written
        return written.decode()

    def says(self, word: str, *words: str) -> None:
        """The command must say this, twice."""
        for _ in range(2):
            assert self.run(*words, 'say') == f'{word}\n'


def test_an_extension(here: Asking) -> None:
    file = here.folder / 'ext.py'
    file.write_text(_SAYS % 'one')
    here.configure('[extensions]', f'ext = {file}')
    here.says('one')
    # As long, and as old to the nanosecond.
    write_over(file, _SAYS % 'two')
    here.says('two')
    # As long, and in the same second.
    before = file.stat()
    file.write_text(_SAYS % 'six')
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    shutil.rmtree(here.folder / '__pycache__')
    here.says('six')


def test_a_part_of_a_package(here: Asking) -> None:
    package = here.folder / 'ext'
    package.mkdir()
    (package / '__init__.py').write_text(_PACKAGE)
    (package / 'part.py').write_text("WORD = b'one'\n")
    here.configure('[extensions]', f'ext = {package}')
    here.says('one')
    write_over(package / 'part.py', "WORD = b'two'\n")
    here.says('two')


def test_what_was_read_while_loading(here: Asking) -> None:
    file = here.folder / 'ext.py'
    file.write_text(_SETTING)
    lines = ('[extensions]', f'ext = {file}', '[odd]')
    here.configure(*lines)
    here.says('none none')
    here.configure(*lines, 'word = one')
    here.says('one none')
    here.configure(*lines, 'word = two', 'other = x')
    here.says('two x')
    here.says('six x', '--config', 'odd.word=six')
    here.configure(*lines, 'word = one')
    here.says('one none')


def test_what_was_read_later_needs_no_server(here: Asking) -> None:
    file = here.folder / 'ext.py'
    file.write_text(_SETTING)
    lines = ('[extensions]', f'ext = {file}', '[odd]')
    here.configure(*lines)
    here.says('none none')
    (before,) = here.where.servers()
    here.configure(*lines, 'other = x')
    here.says('none x')
    (after,) = here.where.servers()
    assert after.pid == before.pid


def test_an_extension_that_comes_and_goes(here: Asking) -> None:
    file = here.folder / 'ext.py'
    file.write_text(_SAYS % 'one')
    here.configure()
    assert 'unknown command' in here.run('say')
    here.configure('[extensions]', f'ext = {file}')
    here.says('one')
    here.configure('[extensions]', f'ext = !{file}')
    assert 'unknown command' in here.run('say')


def test_one_that_a_repository_disables(here: Asking) -> None:
    file = here.folder / 'ext.py'
    file.write_text(_SAYS % 'one')
    here.configure('[extensions]', f'ext = {file}')
    here.run('init', 'repo')
    here.says('one', '-R', 'repo')
    (here.folder / 'repo/.hg/hgrc').write_text('[extensions]\next = !\n')
    assert 'unknown command' in here.run('-R', 'repo', 'say')
    here.says('one')


def test_one_that_cannot_be_loaded(here: Asking) -> None:
    file = here.folder / 'ext.py'
    here.configure('[extensions]', f'ext = {file}')
    assert 'unknown command' in here.run('say')
    assert 'unknown command' in here.run('say')
    file.write_text(_SAYS % 'one')
    here.says('one')
    file.write_text('this is no Python\n')
    assert 'unknown command' in here.run('say')
    file.write_text(_SAYS % 'three')
    here.says('three')


@pytest.mark.parametrize('place', ['hgrc', 'repo/.hg/hgrc'])
def test_hooks(here: Asking, place: str) -> None:
    here.configure()
    here.run('init', 'repo')
    rc = here.folder / place
    rest = rc.read_text() if rc.exists() else ''
    for word in ('one', 'two', 'six'):
        rc.write_text(f'{rest}[hooks]\npre-root = echo {word}\n')
        assert here.run('-R', 'repo', 'root').startswith(f'{word}\n')
    rc.write_text(rest)
    assert here.run('-R', 'repo', 'root').count('\n') == 1


def test_a_hook_in_a_file(here: Asking) -> None:
    file = here.folder / 'hook.py'
    text = "def hook(ui, **_):\n    ui.write(b'%s\\n')\n"
    file.write_text(text % 'one')
    here.configure('[hooks]', f'pre-root = python:{file}:hook')
    here.run('init', 'repo')
    assert here.run('-R', 'repo', 'root').startswith('one\n')
    write_over(file, text % 'two')
    assert here.run('-R', 'repo', 'root').startswith('two\n')


def test_an_included_file(here: Asking) -> None:
    included = here.folder / 'more.rc'
    included.write_text('[ui]\nusername = ann\n')
    here.configure(f'%include {included}')
    assert here.run('showconfig', 'ui.username') == 'ann\n'
    included.write_text('[ui]\nusername = bob\n')
    assert here.run('showconfig', 'ui.username') == 'bob\n'


def test_this_extension_disabled(here: Asking) -> None:
    """Mercurial's own server goes on, as the client starts it."""
    here.configure('[extensions]', 'warmserver = !', '[alias]', 'x = root')
    out = ''.join(here.where.ask('version', '-q')[1:])
    assert out.startswith('Mercurial')
    here.configure()
    assert here.run('version', '-q').startswith('Mercurial')
