"""How the web tier serves: who waits, what is kept, and what goes wrong."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hgext3rd.fleet import web, website
from hgext3rd.fleet.core import applied as records
from testlib.mirror import Mirror, push, serve, two_repositories
from testlib.wsgi import Response, ask, environ, start

pytestmark = pytest.mark.filterwarnings('ignore')


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    return two_repositories(tmp_path / 'node')


def heads(app: web.Application, name: str = 'a', **more: str) -> str:
    answer = ask(app, f'/{name}', 'cmd=heads', **more)
    assert answer.code == 200, answer
    return answer.text.strip()


@pytest.mark.parametrize('name', ['caf%C3%A9', 'caf\u00c3\u00a9', '%FF'])
def test_what_is_asked_for_need_not_be_ascii(mirror: Mirror, name: str) -> None:
    """By both ways in which a client may say it; what a server hands on."""
    node = push(mirror)
    with mirror.entry('a') as changes:
        changes.bookmark('café', bytes.fromhex(node))
    mirror.show()
    app = serve(mirror)
    wanted = '0 unknown' if name == '%FF' else f'1 {node}\n'
    for query, more in (
        (f'cmd=lookup&key={name}', {}),
        ('cmd=lookup', {'HTTP_X_HGARG_1': f'key={name}'}),
    ):
        answer = ask(app, '/a', query, **more)
        assert answer.code == 200
        assert answer.text.startswith(wanted)
    answer = ask(app, '/a/log', f'rev={name}')
    assert answer.code == 200
    assert (node[:12].encode() in answer.body) is (name != '%FF')


@pytest.mark.parametrize('page', ['raw-file', 'file'])
@pytest.mark.parametrize('node', ['f' * 40, 'ffff'])
def test_what_lies_about_in_a_folder_is_not_served(
    mirror: Mirror, page: str, node: str
) -> None:
    (mirror.root / 'a' / 'f').write_text('not for you')
    answer = ask(serve(mirror), f'/a/{page}/{node}/f')
    assert answer.code == 404
    assert b'not for you' not in answer.body


# -- waiting ------------------------------------------------------------------


def later(seconds: float, action: Callable[[], object]) -> threading.Timer:
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer


def naming(node: str) -> list[tuple[str, str, dict[str, str]]]:
    return [
        ('/a', f'cmd=lookup&key={node}', {}),
        ('/a', f'cmd=lookup&key={node[:12]}', {}),
        ('/a', 'cmd=known', {'HTTP_X_HGARG_1': f'nodes={node}'}),
        (
            '/a',
            'cmd=getbundle',
            {
                'HTTP_X_HGARG_1': f'common={"0" * 40}&heads={"0" * 40}+',
                'HTTP_X_HGARG_2': node[:20],
                'HTTP_X_HGARG_3': node[20:],
            },
        ),
        ('/a', f'cmd=batch&cmds=known+nodes%3D{"1" * 40}%20{node}', {}),
        (f'/a/rev/{node}', '', {}),
        (f'/a/file/{node[:12]}/f', '', {}),
        ('/a/log', f'rev={node}', {}),
    ]


@pytest.mark.parametrize('number', range(8))
def test_who_names_a_changeset_waits_for_it(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    app, at = serve(mirror), mirror.end
    path, query, more = naming(push(mirror))[number]
    wanted = _shown(mirror, lambda: ask(app, path, query, **more))
    mirror.show(at)
    # The timer may be late.
    monkeypatch.setattr(web, 'WAIT', 60.0)
    before = time.monotonic()
    timer = later(0.15, mirror.show)
    got = ask(app, path, query, **more)
    assert 0.1 < time.monotonic() - before < 50
    timer.join()
    assert got == wanted


def _shown(mirror: Mirror, asking: Callable[[], Response]) -> Response:
    mirror.show()
    return asking()


def test_nobody_waits_for_nothing(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither for what is shown, nor for what is not here, nor unnamed."""
    app, at = serve(mirror), mirror.end
    old = heads(app)
    push(mirror)
    mirror.show(at)
    monkeypatch.setattr(web.time, 'sleep', lambda _: pytest.fail('it waits'))
    for path, query, more in (*naming(old), *naming('0123456789' * 4)):
        ask(app, path, query, **more)
    assert heads(app) == old


def test_waiting_ends_after_a_second(mirror: Mirror) -> None:
    app, at = serve(mirror), mirror.end
    new = push(mirror)
    mirror.show(at)
    before = time.monotonic()
    answer = ask(app, '/a', f'cmd=known&nodes={new}')
    assert 0.9 < time.monotonic() - before < 30
    assert answer.body == b'0'


def test_waiting_ends_when_the_lease_does(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, 'WAIT', 60.0)
    app, at = serve(mirror), mirror.end
    new = push(mirror)
    mirror.show(at, until=1001.0)
    timer = later(0.1, lambda: setattr(mirror.clock, 'now', 1001.0))
    answer = ask(app, '/a', f'cmd=known&nodes={new}')
    timer.join()
    assert answer.code == 503


# -- what is kept open --------------------------------------------------------


class Opened:
    """Counts how often a site is opened."""

    def __init__(self, app: web.Application) -> None:
        self.count = 0
        self._open = app._pool._open
        app._pool._open = self

    def __call__(self, *args: Any) -> website.Site | None:
        self.count += 1
        return self._open(*args)


def test_a_repository_is_opened_once(mirror: Mirror) -> None:
    app = serve(mirror)
    opened = Opened(app)
    for _ in range(5):
        heads(app)
    assert opened.count == 1
    push(mirror)
    mirror.show()
    for _ in range(5):
        heads(app)
    assert opened.count == 2


def test_who_says_hello_again_is_told_the_same(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without asking Mercurial, unless the client is another."""
    app = serve(mirror)
    asked = []
    run = website.Site._runwsgi

    def count(*args: Any) -> Any:
        asked.append(1)
        return run(*args)

    monkeypatch.setattr(website.Site, '_runwsgi', count)
    first = ask(app, '/a', 'cmd=capabilities')
    assert b'getbundle' in first.body
    assert ask(app, '/a', 'cmd=capabilities') == first
    assert len(asked) == 1
    for number in range(40):
        more = {'HTTP_X_HGPROTO_1': f'0.{number}'}
        assert ask(app, '/a', 'cmd=capabilities', **more) == first
    assert len(asked) == 41
    assert ask(app, '/users/ann/thing', 'cmd=capabilities') == first
    assert len(asked) == 42
    push(mirror)
    mirror.show()
    assert ask(app, '/a', 'cmd=capabilities') == first
    assert len(asked) == 43


def test_two_at_once_get_one_each(mirror: Mirror) -> None:
    app = serve(mirror)
    opened = Opened(app)
    requests = [start(app, environ('/a', 'cmd=heads')) for _ in range(3)]
    for _response, body in requests:
        list(body)
        body.close()  # type: ignore[attr-defined]
    assert opened.count == 3
    assert len(app._pool) == 3
    heads(app)
    assert opened.count == 3


def test_the_number_kept_is_limited(mirror: Mirror) -> None:
    app = serve(mirror, limit=2)
    opened = Opened(app)
    for name in ('b', 'c'):
        mirror.create(name)
    mirror.show()
    for name in ('a', 'b', 'c'):
        heads(app, name)
    assert len(app._pool) == 2
    heads(app, 'b')
    assert opened.count == 3
    heads(app, 'a')
    assert opened.count == 4


def test_a_body_that_is_not_read_to_its_end(mirror: Mirror) -> None:
    """The repository is busy until the server lets go, and not used again."""
    app = serve(mirror)
    opened = Opened(app)
    response, body = start(app, environ('/a', 'cmd=getbundle'))
    assert response.code == 200
    next(iter(body))
    heads(app)
    assert opened.count == 2
    body.close()  # type: ignore[attr-defined]
    body.close()  # type: ignore[attr-defined]
    assert len(app._pool) == 1


def test_an_old_site_is_not_kept(mirror: Mirror) -> None:
    app = serve(mirror)
    _response, body = start(app, environ('/a', 'cmd=heads'))
    new = push(mirror)
    mirror.show()
    assert heads(app) == new
    list(body)
    body.close()  # type: ignore[attr-defined]
    assert len(app._pool) == 1
    assert heads(app) == new


def test_a_repository_built_anew_is_opened_anew(mirror: Mirror) -> None:
    """Its record may be the same to the byte, but its files are not."""
    app = serve(mirror)
    old = heads(app)
    data = (mirror.root / 'a' / '.hg' / 'store' / records.FILE).read_bytes()
    shutil.rmtree(mirror.root / 'a')
    mirror.create('a')
    (mirror.root / 'a' / '.hg' / 'store' / records.FILE).write_bytes(data)
    assert heads(app) != old


# -- what goes wrong ----------------------------------------------------------


def test_head_has_no_body(mirror: Mirror) -> None:
    app = serve(mirror)
    for path, query in [
        ('/', ''),
        ('/healthz', ''),
        ('/a', 'cmd=capabilities'),
        ('/a/log', ''),
        ('/none', ''),
    ]:
        answer = ask(app, path, query, 'HEAD')
        assert answer.body == b''
        assert answer.status == ask(app, path, query).status


def test_only_some_methods_mean_anything(mirror: Mirror) -> None:
    answer = ask(serve(mirror), '/a/log', method='DELETE')
    assert (answer.code, answer.headers['Allow']) == (405, 'GET, HEAD, POST')


def test_a_surprise_is_one_line_and_a_log(
    mirror: Mirror,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = serve(mirror)

    def fail(*_: Any) -> Any:
        raise ZeroDivisionError('inside')

    monkeypatch.setattr(website.Site, '_runwsgi', fail)
    answer = ask(app, '/a/log')
    assert answer.code == 500
    assert answer.body.count(b'\n') == 1
    assert b'inside' not in answer.body
    assert 'ZeroDivisionError: inside' in caplog.text
    assert len(app._pool) == 0


def test_what_a_client_asks_wrongly_is_its_fault(
    mirror: Mirror, caplog: pytest.LogCaptureFixture
) -> None:
    app = serve(mirror)
    answer = ask(app, '/a', f'cmd=getbundle&heads={"1" * 40}')
    assert answer.headers['Content-Type'] == 'application/hg-error'
    assert b'no node' in answer.body
    assert ask(app, '/a', 'cmd=lookup').code == 400
    assert ask(app, '/a', 'cmd=known&nodes=zz').code == 400
    assert ask(app, '/a/nonsense').code == 400
    assert ask(app, '/a/rev/nonsense').code == 404
    assert 'Traceback' not in caplog.text


def test_damage_is_not_the_clients_fault(mirror: Mirror) -> None:
    app = serve(mirror)
    store = mirror.root / 'a' / '.hg' / 'store'
    with (store / '00changelog.d').open('r+b') as file:
        file.write(b'\0' * 1000)
    assert ask(app, '/a', 'cmd=getbundle').code >= 500


def test_it_is_tried_again_when_the_repository_was_replaced(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = serve(mirror)
    run = website.Site._runwsgi
    failed: list[int] = []

    def once(self: website.Site, *args: Any) -> Any:
        if not failed:
            failed.append(1)
            push(mirror)
            mirror.show()
            raise OSError('gone')
        return run(self, *args)

    monkeypatch.setattr(website.Site, '_runwsgi', once)
    assert ask(app, '/a', 'cmd=heads').code == 200
