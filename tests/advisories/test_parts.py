"""Who pushes cannot bring what only a server sends to those who pull.

Mercurial has one table of what a bundle may be made of, for both.
"""

from __future__ import annotations

import io
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from mercurial import bundle2
from mercurial import ui as uimod

from testlib.doors import Doors, Said
from testlib.malformed import Change
from testlib.warmnode import HG, PLAIN

CHANGE = Change({b'a': b'hello\n'})
LINK = 'link'


def bundler() -> Any:
    """Return a bundle to which parts can be added."""
    made = bundle2.bundle20(uimod.ui.load(), {})
    made.newpart(b'replycaps', data=b'HG20\n')
    return made


def pushed(doors: Doors, repo: str, made: Any) -> Said:
    """Push it; nothing of it is kept, and no traceback is seen."""
    before = doors.content(repo)
    said = doors.push(repo, b''.join(made.getchunks()))
    assert doors.content(repo) == before, said
    assert 'Traceback' not in said.err
    assert 'failed to answer' not in said.err
    return said


@pytest.fixture(scope='module')
def store(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A bundle of a whole store, with a link that the checks refuse."""
    folder = tmp_path_factory.mktemp('store')

    def hg(*words: str) -> None:
        env = {**PLAIN, 'HGRCPATH': '', 'HGUSER': 'ann'}
        subprocess.run([HG, *words], cwd=folder, env=env, check=True)

    hg('init', '.')
    os.symlink('/etc/passwd', folder / LINK)
    hg('commit', '-qAm', 'a link')
    hg('bundle', '-qa', '-t', 'none-v2;stream=v2', 'bundle.hg')
    return (folder / 'bundle.hg').read_bytes()


@pytest.mark.parametrize('name', [b'stream2', b'STREAM2', b'STREAM3-EXP'])
def test_the_files_of_a_store(doors: Doors, store: bytes, name: bytes) -> None:
    given = bundle2.getunbundler(uimod.ui.load(), io.BytesIO(store))
    part = next(given.iterparts())
    made = bundler()
    mandatory = name.isupper()
    sent = made.newpart(name.lower(), data=part.read(), mandatory=mandatory)
    for key, value in part.mandatoryparams:
        if key == b'requirements' or name.lower() == b'stream2':
            sent.addparam(key, value)
    said = pushed(doors, doors.repository(), made)
    assert (b'UNSUPPORTEDCONTENT' in said.out) is mandatory


@contextmanager
def listening() -> Iterator[tuple[str, list[str]]]:
    """Within, somebody inside notes what is asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with HTTPServer(('127.0.0.1', 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f'http://127.0.0.1:{server.server_port}/', asked
        finally:
            server.shutdown()
            thread.join()


def test_an_address_that_the_server_would_fetch(doors: Doors) -> None:
    with listening() as (url, asked):
        made = bundler()
        part = made.newpart(b'remote-changegroup')
        part.addparam(b'url', f'{url}secret'.encode())
        part.addparam(b'size', b'100')
        said = pushed(doors, doors.repository(), made)
    assert asked == []
    assert b'UNSUPPORTEDCONTENT' in said.out


def test_a_cache_of_tags(doors: Doors) -> None:
    repo = doors.repository()
    assert doors.push(repo, CHANGE.bundle()).status == 0
    cache = doors.node.repos / repo / '.hg' / 'cache' / 'hgtagsfnodes1'
    before = cache.read_bytes() if cache.exists() else b''
    node = bytes.fromhex(CHANGE.hex)
    made = bundler()
    made.newpart(b'hgtagsfnodes', data=node + b'x' * 20)
    assert b'UNSUPPORTEDCONTENT' in pushed(doors, repo, made).out
    assert (cache.read_bytes() if cache.exists() else b'') == before


@pytest.mark.parametrize(
    ('name', 'value'), [(b'treemanifest', b'1'), (b'version', b'77')]
)
def test_a_changegroup_of_another_format(
    doors: Doors, name: bytes, value: bytes
) -> None:
    made = bundler()
    part = made.newpart(b'changegroup', data=CHANGE.group())
    part.addparam(name, value, mandatory=False)
    said = pushed(doors, doors.repository(), made)
    assert b'ERROR:ABORT' in said.out


@pytest.mark.parametrize('wish', ['CHECK_ONLY=1', 'CHECKONLY=1'])
def test_variables_count_for_bookmarks_of_old_clients(
    doors: Doors, wish: str
) -> None:
    repo = doors.repository()
    assert doors.push(repo, CHANGE.bundle()).status == 0
    name, _equals, value = wish.encode().partition(b'=')
    made = bundler()
    part = made.newpart(b'pushvars')
    part.addparam(name, value, mandatory=False)
    part = made.newpart(b'pushkey')
    for key, said in (
        *((b'namespace', b'bookmarks'), (b'key', b'mark')),
        *((b'old', b''), (b'new', CHANGE.hex.encode())),
    ):
        part.addparam(key, said)
    assert b'ERROR:ABORT' in pushed(doors, repo, made).out


def test_what_a_push_has_is_taken(doors: Doors) -> None:
    made = bundler()
    made.newpart(b'changegroup', data=CHANGE.group())
    repo = doors.repository()
    said = doors.push(repo, b''.join(made.getchunks()))
    assert said.status == 0, said
    assert doors.log(repo) == f'{CHANGE.hex}\n'
