"""Which policies are in force; what is wrong with settings refuses."""

from __future__ import annotations

import http.server
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Before Mercurial looks for it, which it does once.
os.environ['HGRCPATH'] = ''

import pytest
from mercurial import ui as uimod

from hgext3rd.checks import loading, world
from hgext3rd.fleet.core.checks import Mode
from hgext3rd.fleet.core.errors import SettingError
from testlib import judged


def ui_with(**items: str) -> Any:
    ui = uimod.ui()
    for item, value in items.items():
        name = item.replace('__', '.').encode()
        ui.setconfig(b'checks', name, value.encode())
    return ui


def test_policies_are_off_unless_configured() -> None:
    assert loading.bench(ui_with()).appoint(judged.Push()) == []


def test_what_is_in_force() -> None:
    ui = ui_with(
        sizes='enforce',
        sizes__most='1 KB',
        dates='warn',
        heads='off',
        bypass__sizes='staff',
    )
    bench = loading.bench(ui)
    appointed = bench.appoint(judged.Push())
    found = {one.name: one.mode for one in appointed}
    assert found == {'dates': Mode.WARN, 'sizes': Mode.ENFORCE}
    assert bench.options['sizes'].size('most') == 1024
    assert bench.grants == {'sizes': ('staff',), 'dates': ()}


def test_a_bypass_of_everything_but_some() -> None:
    ui = uimod.ui()
    for item, value in (
        (b'sizes', b'warn'),
        (b'dates', b'warn'),
        (b'bypass.*', b'@ann'),
        (b'bypass.dates', b''),
    ):
        ui.setconfig(b'checks', item, value)
    assert loading.bench(ui).grants == {'sizes': ('@ann',), 'dates': ()}


def test_settings_of_what_is_off_do_not_matter() -> None:
    loading.bench(ui_with(sizes='off', sizes__mots='x'))


@pytest.mark.parametrize(
    ('items', 'words'),
    [
        ({'sizes': 'yes'}, "[checks] sizes is 'yes'"),
        ({'size': 'warn'}, '[checks] size is not known'),
        ({'size__most': '1'}, '[checks] size.most is not known'),
        ({'sizes': 'warn', 'sizes__x': '1'}, '[checks] sizes.x is not known'),
        ({'bypass__x': 'a'}, '[checks] bypass.x is not known'),
        ({'sizes': 'warn', 'bypass__sizes': '!'}, 'bypass.sizes'),
        ({'policy__sizes': 'x'}, '[checks] policy.sizes cannot be called so'),
        ({'policy__a-b': 'x'}, '[checks] policy.a-b cannot be called so'),
        (
            {'policy__x': 'no.such', 'x': 'warn'},
            "the check x cannot be loaded: No module named 'no'",
        ),
        (
            {'policy__x': 'json', 'x': 'warn'},
            'the check x cannot be loaded: AttributeError',
        ),
        (
            {'policy__x': '', 'x': 'warn'},
            'the check x cannot be loaded: ValueError',
        ),
    ],
)
def test_nonsense(items: dict[str, str], words: str) -> None:
    with pytest.raises(SettingError) as caught:
        loading.bench(ui_with(**items))
    assert words in str(caught.value)


def test_a_policy_that_cannot_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'beginless.py').write_text(
        'ITEMS = {}\ndef begin(options, push): return 1 / 0\n'
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    ui = ui_with(policy__beginless='beginless', beginless='warn')
    bench = loading.bench(ui)
    with pytest.raises(SettingError, match='the check beginless cannot begin'):
        bench.appoint(judged.Push())


class _Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        self.send_response(404 if self.path == '/no' else 200)
        self.end_headers()
        self.wfile.write(json.dumps({'status': 'open'}).encode())

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[Any]:
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), _Answer) as server:
        server.asked = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class _Repo:
    def __init__(self, state: Path) -> None:
        self.ui = uimod.ui()
        self.ui.setconfig(b'fleet', b'state', bytes(state))


def test_an_answer_counts_for_a_while(site: Any, tmp_path: Path) -> None:
    url = f'http://127.0.0.1:{site.server_port}/demo'
    for _session in range(2):
        one = world.NodeWorld(_Repo(tmp_path))
        assert one.fetch(url, 10, 1000) == b'{"status": "open"}'
    assert site.asked == ['/demo']
    one.fetch(url, 10, 0)
    assert len(site.asked) == 2


def test_a_damaged_cache_is_no_answer(site: Any, tmp_path: Path) -> None:
    url = f'http://127.0.0.1:{site.server_port}/demo'
    one = world.NodeWorld(_Repo(tmp_path))
    one.fetch(url, 10, 1000)
    (path,) = (tmp_path / 'checks').iterdir()
    for data in (b'', b'[]', b'{"url": 1}', b'\xff'):
        path.write_bytes(data)
        one.fetch(url, 10, 1000)
    assert len(site.asked) == 5


def test_no_answer_is_told(site: Any, tmp_path: Path) -> None:
    one = world.NodeWorld(_Repo(tmp_path))
    url = f'http://127.0.0.1:{site.server_port}/no'
    with pytest.raises(world.Unreachable, match='HTTPError'):
        one.fetch(url, 10, 10)
    with pytest.raises(world.Unreachable, match='cannot be read'):
        one.fetch('http://127.0.0.1:1/x', 10, 10)
    with pytest.raises(SettingError):
        one.fetch('file:///etc/passwd', 10, 10)


def test_users_are_those_of_the_directory(tmp_path: Path) -> None:
    users = tmp_path / 'users.toml'
    users.write_text(
        '[users.ann]\ngroups = ["staff"]\n[users.bob]\nenabled = false\n'
    )
    repo = _Repo(tmp_path)
    repo.ui.setconfig(b'fleet', b'directory', f'file://{users}'.encode())
    found = world.NodeWorld(repo)
    assert found.is_user('ann')
    assert not found.is_user('bob')
    assert not found.is_user('eve')
    assert not found.is_user('no name')
    assert set(found.groups('ann')) == {'staff'}
    assert not found.groups('eve')


def test_no_directory_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r'fleet\.directory is not set'):
        world.NodeWorld(_Repo(tmp_path)).is_user('ann')


def test_signatures_are_looked_at_by_gpgv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = tmp_path / 'gpgv'
    found = world.NodeWorld(_Repo(tmp_path))
    monkeypatch.setenv('PATH', f'{tmp_path}')
    with pytest.raises(SettingError, match='gpgv does not run'):
        found.is_signed(b'text', b'signature', '/keys')
    called.write_text(
        '#!/bin/sh\n[ "$*" = "--homedir $2 --keyring /keys -- $6 -" ] &&\n'
        'read -r said && [ "$said" = text ] &&\n'
        'read -r sign < "$6" && [ "$sign" = good ]\n'
    )
    called.chmod(0o755)
    assert found.is_signed(b'text\n', b'good\n', '/keys')
    assert not found.is_signed(b'text\n', b'bad\n', '/keys')
