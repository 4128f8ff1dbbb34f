"""What the web tier answers, to whom, and when."""

from __future__ import annotations

import json
import shutil
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hgext3rd.fleet import web
from hgext3rd.fleet.core import applied as records
from hgext3rd.fleet.core.applied import Step
from testlib.mirror import Mirror, push, serve, two_repositories
from testlib.wsgi import ask, environ, start

pytestmark = pytest.mark.filterwarnings('ignore')


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    return two_repositories(tmp_path / 'node')


def heads(app: web.Application, name: str = 'a', **more: str) -> str:
    answer = ask(app, f'/{name}', 'cmd=heads', **more)
    assert answer.code == 200, answer
    return answer.text.strip()


def test_it_shows_what_the_barrier_has_passed(mirror: Mirror) -> None:
    app = serve(mirror)
    before, at = heads(app), mirror.end
    new = push(mirror)
    mirror.show(at)
    assert heads(app) == before
    mirror.show()
    assert heads(app) == new


def test_etags_agree_and_change(mirror: Mirror) -> None:
    """They depend on what is shown, not on the node or the moment."""

    def tag(app: web.Application) -> str:
        return ask(app, '/a/log').headers['ETag']

    app, at = serve(mirror), mirror.end
    old = tag(app)
    push(mirror)
    mirror.show(at)
    assert tag(app) == tag(serve(mirror)) == old
    again = ask(app, '/a/log', HTTP_IF_NONE_MATCH=old)
    assert (again.code, again.body) == (304, b'')
    mirror.show()
    assert tag(app) != old


# -- may it answer? -----------------------------------------------------------

REFUSALS: list[tuple[str, dict[str, Any]]] = [
    ('lost touch', {'until': 999.0}),
    ('lost touch', {'boot': 'another'}),
    ('catching up', {'joining': True}),
]


@pytest.mark.parametrize(('reason', 'shown'), REFUSALS)
def test_it_does_not_answer_without_a_lease(
    mirror: Mirror, reason: str, shown: dict[str, Any]
) -> None:
    app = serve(mirror)
    mirror.show(**shown)
    for path in ('/', '/index.json', '/a', '/a/log', '/none', '/readyz'):
        answer = ask(app, path)
        assert answer.code == 503
        assert reason in answer.text
        # hg prints the status line only.
        assert reason in answer.status
        assert 1 <= int(answer.headers['Retry-After']) <= 10
    assert ask(app, '/healthz').code == 200


def test_it_does_not_answer_before_the_daemon_has_spoken(
    mirror: Mirror,
) -> None:
    (mirror.state / 'shown.json').unlink()
    app = serve(mirror)
    assert ask(app, '/a').code == 503
    (mirror.state / 'shown.json').write_bytes(b'{"half')
    assert ask(app, '/a').code == 503
    health = json.loads(ask(app, '/healthz').body)
    assert health['node'] == 'web1'
    assert 'joined' in health['reason']


def test_a_lease_runs_out_without_anybody_doing_anything(
    mirror: Mirror,
) -> None:
    app = serve(mirror)
    mirror.show(until=1005.0)
    mirror.clock.now = 1004.9
    assert ask(app, '/readyz').code == 200
    heads(app)
    mirror.clock.now = 1005.0
    assert ask(app, '/readyz').code == 503
    assert ask(app, '/a', 'cmd=heads').code == 503


def test_health_says_what_it_shows(mirror: Mirror) -> None:
    mirror.show(until=1002.5)
    assert json.loads(ask(serve(mirror), '/healthz').body) == {
        'node': 'web1',
        'serving': True,
        'reason': '',
        'lease': 2.5,
        'positions': {'0': mirror.end},
    }


def test_a_quarantined_repository_alone_is_refused(mirror: Mirror) -> None:
    app = serve(mirror)
    folder = mirror.state / 'quarantine'
    folder.mkdir()
    file = folder / 'users%2Fann%2Fthing.json'
    file.write_text(json.dumps({'reason': 'entry 7 is damaged'}))
    answer = ask(app, '/users/ann/thing/log')
    assert (answer.code, answer.text) == (503, 'entry 7 is damaged\n')
    heads(app, 'a')
    file.write_text('not json')
    assert ask(app, '/users/ann/thing').code == 503
    file.unlink()
    heads(app, 'users/ann/thing')


def test_a_record_of_a_newer_version_is_refused(mirror: Mirror) -> None:
    app = serve(mirror)
    path = mirror.root / 'a' / '.hg' / 'store' / records.FILE
    path.write_bytes(path.read_bytes().replace(b'"version":1', b'"version":9'))
    assert ask(app, '/a').code == 503
    assert b'"a"' in ask(app, '/index.json').body


# -- which repositories are there? --------------------------------------------


def listed(app: web.Application, path: str = '/index.json') -> list[str]:
    body = json.loads(ask(app, path).body)
    return [one['name'] for one in body['repositories']]


def test_the_index(mirror: Mirror) -> None:
    app = serve(mirror)
    assert listed(app) == ['a', 'users/ann/thing']
    page = ask(app, '/', SCRIPT_NAME='/hg')
    assert '<a href="/hg/users/ann/thing">users/ann/thing</a>' in page.text
    assert ask(app, '/', 'style=json').body == ask(app, '/index.json').body


def test_new_and_deleted_repositories_are_noticed(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = serve(mirror)
    assert ask(app, '/b', 'cmd=heads').code == 404
    assert listed(app) == ['a', 'users/ann/thing']
    mirror.create('b')
    new = push(mirror, 'b')
    mirror.show()
    assert heads(app, 'b') == new
    assert listed(app) == ['a', 'b', 'users/ann/thing']
    shutil.rmtree(mirror.root / 'b' / '.hg')
    assert ask(app, '/b', 'cmd=heads').code == 404
    mirror.create('b')
    assert heads(app, 'b') == '0' * 40
    shutil.rmtree(mirror.root / 'b')
    monkeypatch.setattr(web.webindex, 'KEEP', 0.0)
    assert listed(app) == ['a', 'users/ann/thing']


def test_a_repository_exists_once_the_barrier_has_passed(
    mirror: Mirror,
) -> None:
    app, at = serve(mirror), mirror.end
    mirror.create('b')
    made = mirror.applied('b')
    step = Step(mirror.end - 1, 0, 0, 0, 0, exists=False)
    mirror.write('b', replace(made, tail=(step,)))
    mirror.show(at)
    assert ask(app, '/b').code == 404
    assert 'b' not in listed(app)
    mirror.show()
    assert ask(app, '/b').code == 200
    assert 'b' in listed(app)


def test_the_index_walks_once_for_many_requests(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = serve(mirror)
    walks = []
    scan = app._gate.scan
    monkeypatch.setattr(app._gate, 'scan', lambda: walks.append(1) or scan())
    for _ in range(5):
        listed(app)
    assert len(walks) == 1
    mirror.show(mirror.end + 1)
    listed(app)
    assert len(walks) == 2


def test_the_longest_name_is_meant(mirror: Mirror) -> None:
    mirror.create('users/ann')
    mirror.create('a/log')
    mirror.show()
    app = serve(mirror)
    assert heads(app, 'users/ann') != heads(app, 'users/ann/thing')
    assert ask(app, '/users/ann/log').code == 200
    assert ask(app, '/users').code == 404
    assert heads(app, 'a/log') == '0' * 40


@pytest.mark.parametrize(
    'path',
    [
        '/../secret',
        '/a/../../secret',
        '/.hg/store/00changelog.i',
        '/a/.hg/hgrc',
        '/a/static/../../../secret',
        '/a/static/../map',
        '/static/../map',
        '/static//etc/passwd',
        '/static/',
        '/a/file/tip/../../secret',
        '//a',
        '/a\0b',
        '/-a',
        '/%2e%2e/secret',
        '/\xe9\xff',
        '/' + 'x' * 5000,
        '/' + 'x/' * 3000,
        'a',
    ],
)
def test_nothing_outside_is_reached(mirror: Mirror, path: str) -> None:
    (mirror.folder / 'secret').write_text('the secret')
    (mirror.root / 'secret').mkdir()
    (mirror.root / 'secret' / 'file').write_text('the secret')
    answer = ask(serve(mirror), path)
    assert answer.code in (400, 404), answer
    assert b'the secret' not in answer.body
    assert b'Traceback' not in answer.body


def test_static_files(mirror: Mirror) -> None:
    app = serve(mirror)
    for path in ('/static/style-paper.css', '/a/static/style-paper.css'):
        answer = ask(app, path)
        assert (answer.code, answer.headers['Content-Type']) == (
            200,
            'text/css',
        )
        assert b'body' in answer.body
    assert ask(app, '/a/static/none.css').code == 404


# -- read-only ----------------------------------------------------------------


@pytest.mark.parametrize(
    'query',
    [
        'cmd=unbundle&heads=666f726365',
        'cmd=pushkey&namespace=bookmarks&key=x&old=&new=' + '0' * 40,
        'cmd=heads&cmd=unbundle',
    ],
)
def test_pushes_are_refused_in_so_many_words(
    mirror: Mirror, query: str
) -> None:
    app, before = serve(mirror), heads(serve(mirror))
    request = environ('/a', query, 'POST', b'x' * 100_000)
    response, body = start(app, request)
    assert response.headers['Content-Type'] == 'application/hg-error'
    said = b''.join(body).decode()
    assert said == (
        'this is a read-only mirror; push over SSH to ssh://hg.example.org/a\n'
    )
    # A client listens only after it has sent everything.
    assert request['wsgi.input'].read() == b''
    assert heads(app) == before


def test_a_batch_cannot_push(mirror: Mirror) -> None:
    app = serve(mirror)
    cmds = 'cmds=pushkey+namespace%3Dbookmarks%2Ckey%3Dx%2Cold%3D%2Cnew%3D'
    answer = ask(app, '/a', f'cmd=batch&{cmds}{heads(app)}')
    assert answer.code == 403
    assert b'read-only mirror' in answer.body
    marks = ask(app, '/a', 'cmd=listkeys&namespace=bookmarks')
    assert marks.body == b''


def test_stream_clones_are_not_offered(mirror: Mirror) -> None:
    """They send the files of the store, with what is not shown."""
    app = serve(mirror)
    assert b'stream' not in ask(app, '/a', 'cmd=capabilities').body
    assert ask(app, '/a', 'cmd=stream_out').body == b'1\n'
    asked = 'cmd=getbundle&bundlecaps=HG20%2Cbundle2%3DHG20&stream=1&cg=0'
    answer = zlib.decompress(ask(app, '/a', asked).body)
    assert b'stream data requested' in answer
