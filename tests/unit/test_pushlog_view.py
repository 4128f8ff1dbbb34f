"""A mirror that shows less than it has shows no more of the pushlog."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mercurial import extensions, hg
from mercurial import ui as uimod
from mercurial.hgweb import hgweb_mod

from hgext3rd.fleet import webview
from hgext3rd.fleet.core.applied import View
from hgext3rd.pushlog import store, wire
from hgext3rd.pushlog.store import Push

# Mercurial leaves the files of its templates for the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    'ignore::ResourceWarning',
    'ignore::pytest.PytestUnraisableExceptionWarning',
)


@pytest.fixture(scope='module')
def ui() -> Any:
    """Return a ui with the extension."""
    one = uimod.ui.load()
    one.setconfig(b'ui', b'quiet', b'yes')
    one.setconfig(b'extensions', b'pushlog', b'')
    extensions.loadall(one)
    extensions.populateui(one)
    return one


@pytest.fixture
def path(ui: Any, tmp_path: Path) -> str:
    """Make a repository with 8 changesets in 4 pushes."""
    from mercurial import debugcommands

    repo = hg.repository(ui, str(tmp_path).encode(), create=True)
    debugcommands.debugbuilddag(ui, repo, b'+6:stable@stable+2')
    pushes = [Push(id, 'al', id, 2 * id - 2, 2) for id in range(1, 5)]
    records = (store.pack(push, 0) for push in pushes)
    repo.svfs.write(store.FILE, b''.join(records))
    repo.svfs.write(store.USERS, store.line('al'))
    return str(tmp_path)


class Pages(hgweb_mod.hgweb):
    """The pages of a repository that is never opened again."""

    def __init__(self, repo: Any) -> None:
        super().__init__(repo)
        self.served = hgweb_mod.getwebview(repo)
        self.mtime = 0

    @contextlib.contextmanager
    def _obtainrepo(self) -> Iterator[Any]:
        yield self.served


def get(repo: Any, query: str) -> tuple[str, Any]:
    """Return the status and the JSON of ``json-pushes``."""
    environ = {
        'REQUEST_METHOD': 'GET',
        'SCRIPT_NAME': '',
        'PATH_INFO': '/json-pushes',
        'QUERY_STRING': query,
        'SERVER_NAME': 'localhost',
        'SERVER_PORT': '80',
        'SERVER_PROTOCOL': 'HTTP/1.0',
        'wsgi.version': (1, 0),
        'wsgi.url_scheme': 'http',
        'wsgi.input': io.BytesIO(),
        'wsgi.errors': sys.stderr,
        'wsgi.multithread': False,
        'wsgi.multiprocess': False,
        'wsgi.run_once': False,
    }
    said: list[str] = []
    app = Pages(repo)
    body = b''.join(app(environ, lambda status, _headers: said.append(status)))
    return said[0][:3], json.loads(body)


@pytest.mark.parametrize(('shown', 'revisions'), [(0, 0), (1, 2), (3, 6)])
def test_pushes_behind_the_barrier_are_not_there(
    ui: Any, path: str, shown: int, revisions: int
) -> None:
    view = View(seq=shown + 1, push_id=shown, revisions=revisions)
    whole = hg.repository(ui, path.encode())
    unshown = whole[revisions].hex()
    loaded = webview.load(ui, path, view, lambda: True)
    assert loaded is not None
    repo = loaded.repo
    status, body = get(repo, 'version=2&startID=0')
    assert (status, body['lastpushid']) == ('200', shown)
    assert list(body['pushes']) == [str(id) for id in range(1, shown + 1)]
    for condition in ('changeset', 'fromchange', 'tochange'):
        assert get(repo, f'{condition}={unshown.decode()}')[0] == '404'
    assert get(repo, 'branch=stable')[0] == '404'
    assert len(repo.revs(b'pushhead()')) == shown
    assert not repo.revs(b'pushid(%d)' % (shown + 1))
    assert len(repo.revs(b"pushuser('re:.')")) == revisions
    assert len(repo.revs(b"pushdate('>1970-01-01')")) == revisions
    assert unshown not in wire.answer(repo, b'1')
    assert wire.answer(repo, b'1').count(b'\n') == shown


def test_without_a_view_everything_is_there(ui: Any, path: str) -> None:
    repo = hg.repository(ui, path.encode())
    status, body = get(repo, 'version=2&branch=stable')
    assert (status, body['lastpushid']) == ('200', 4)
    assert list(body['pushes']) == ['4']
