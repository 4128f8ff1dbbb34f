"""What bites a client bites no mirror, since a mirror is nobody's client."""

from __future__ import annotations

import ast
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from mercurial import error, hg, httppeer, sshpeer
from mercurial.utils import procutil, urlutil

from hgext3rd.replicate import commands, follow
from testlib import hgrepo, layers, wsgi
from testlib import mirror as mirrors
from testlib.places import ROOT

# Mercurial leaves its templates open.
pytestmark = pytest.mark.filterwarnings(
    'ignore::ResourceWarning',
    'ignore::pytest.PytestUnraisableExceptionWarning',
)

# What leads from a server to other servers, or starts their programs.
CLIENTS = (
    *('mercurial.sshpeer', 'mercurial.httppeer', 'mercurial.hg'),
    *('mercurial.subrepo', 'mercurial.subrepoutil', 'hgext.convert'),
    *('mercurial.httpconnection', 'mercurial.statichttprepo'),
)
EVIL = (
    'ssh://-oProxyCommand=touch${IFS}trap/x',
    'ssh://host/x;touch trap',
    "ssh://host/$(touch trap)'",
)


def imported() -> Iterator[tuple[str, str]]:
    """Yield all that the fleet imports, with the file that does so."""
    for folder in layers.FOLDERS:
        for path in sorted((ROOT / folder).rglob('*.py')):
            name = str(path.relative_to(ROOT))
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    for alias in node.names:
                        yield name, alias.name
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    for alias in node.names:
                        yield name, f'{node.module}.{alias.name}'


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other server, and no other program, can be reached."""

    def reached(*args: object, **_options: object) -> None:
        pytest.fail(f'a client or a program was started: {args}')

    for module in (sshpeer, httppeer):
        monkeypatch.setattr(module, 'make_peer', reached, raising=True)
    monkeypatch.setattr(hg, 'peer', reached)
    monkeypatch.setattr(procutil, 'popen4', reached)
    monkeypatch.setattr(procutil, 'system', reached)
    monkeypatch.setattr(subprocess, 'Popen', reached)
    monkeypatch.setattr(socket.socket, 'connect', reached)


def followed(folder: Path) -> None:
    """A mirror catches up with everything that an entry can bring."""
    primary = hgrepo.make_node(folder, 'p1', inline_limit='1')
    mirror = hgrepo.make_node(folder, 'm1', 'mirror')
    hosted = hgrepo.create(primary)
    repo = hgrepo.open_repository(hosted)
    for evil in EVIL:
        hgrepo.commit(repo, evil.encode())
    follow.catch_up(mirror.hosted('demo'))
    there = hgrepo.picture(mirror.hosted('demo'))
    assert there == hgrepo.picture(hosted)
    assert len(there['changesets']) == len(EVIL)


@pytest.mark.usefixtures('offline')
def test_cve_2014_9462_mirrors_start_no_ssh(tmp_path: Path) -> None:
    followed(tmp_path)


def test_cve_2014_9462_nothing_of_the_fleet_is_a_client() -> None:
    found = list(imported())
    assert len(found) > 500
    bad = [one for one in found if one[1] in CLIENTS]
    # With which old versions of Mercurial open a repository of this machine.
    assert bad == [('hgext/fleet/compat.py', 'mercurial.hg')]
    compat = (ROOT / 'hgext' / 'fleet' / 'compat.py').read_text()
    assert 'peer' not in compat


@pytest.mark.parametrize('url', EVIL[:1])
def test_cve_2017_1000116_mercurial_itself_refuses_it(url: str) -> None:
    with pytest.raises(error.Abort, match='potentially unsafe url'):
        urlutil.checksafessh(url.encode())


@pytest.mark.parametrize('url', EVIL)
def test_cve_2017_1000116_no_repository_names_a_source(
    tmp_path: Path, url: str
) -> None:
    node = hgrepo.make_node(tmp_path)
    for section in (
        *('paths', 'ui', 'subrepos', 'hooks', 'extensions', 'auth'),
        *('schemes', 'hostsecurity', 'alias', 'fleet', 'access'),
    ):
        hgrc = tmp_path / 'hgrc'
        hgrc.write_text(f'[{section}]\ndefault = {url}\n')
        with pytest.raises(error.Abort, match='may not set'):
            commands.create_command(node.ui, b'demo', hgrc=str(hgrc).encode())
    assert not node.hosted('demo').applied().state.exists


def test_cve_2016_3105_nothing_is_converted(tmp_path: Path) -> None:
    node = hgrepo.make_node(tmp_path)
    for name in ("a';touch trap;'", 'a/.git', 'git|touch trap', '--config=x'):
        with pytest.raises(error.Abort, match='is not a repository name'):
            commands.create_command(node.ui, name.encode(), hgrc=b'')
    for rc in (ROOT / 'hgrc.d').glob('*.rc'):
        assert 'convert' not in rc.read_text()


SCRIPT = '<script>alert(1)</script>'


@pytest.mark.parametrize(
    ('path', 'query'),
    [
        ('/a', 'cmd={}'),
        ('/a', 'cmd={}&style=paper'),
        ('/a', 'style={}'),
        ('/a/{}', ''),
        ('/a/log/{}', ''),
        ('/a/log', 'rev={}'),
        ('/a/log', 'revcount={}'),
        ('/a/rev/{}', ''),
        ('/a/file/tip/{}', ''),
        ('/a/raw-file/tip/{}', ''),
        ('/a/annotate/tip/f', 'style={}'),
        ('/a/shortlog', 'graphtop={}'),
        ('/a/graph', 'revcount={}'),
        ('/a/help/{}', ''),
        ('/a/archive/{}', ''),
        ('/{}', ''),
        ('/', 'style={}'),
        ('/static/{}', ''),
    ],
)
def test_cve_2025_2361_what_is_asked_for_is_no_markup(
    tmp_path: Path, path: str, query: str
) -> None:
    mirror = mirrors.two_repositories(tmp_path / 'web')
    application = mirrors.serve(mirror)
    for script in (SCRIPT, '%3Cscript%3Ealert(1)%3C/script%3E'):
        said = wsgi.ask(application, path.format(SCRIPT), query.format(script))
        kind = said.headers.get('Content-Type', '')
        assert SCRIPT not in said.text or kind.startswith(
            ('text/plain', 'application/hg-error', 'application/mercurial-')
        ), said
        for header in said.headers.values():
            assert '<script' not in header


def test_cve_2025_2361_a_page_does_say_what_was_asked_for(
    tmp_path: Path,
) -> None:
    mirror = mirrors.two_repositories(tmp_path / 'web')
    said = wsgi.ask(mirrors.serve(mirror), '/a/rev/<b>', '')
    assert said.code == 404
    assert '&lt;b&gt;' in said.text
