"""Who may only read changes nothing, whatever a request is wrapped in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from testlib import mirror as mirrors
from testlib import wsgi
from testlib.doors import Doors
from testlib.malformed import Change
from testlib.stdio import FORCE, HELLO, call, push

KEY = b'namespace=bookmarks,key=x,old=,new='
CHANGE = Change({b'a': b'hello\n'})


@pytest.fixture(scope='module')
def filled(doors: Doors) -> str:
    """A repository with one changeset, that bob may only read."""
    repo = doors.repository()
    assert doors.push(repo, CHANGE.bundle()).status == 0
    return repo


def writes() -> Iterator[tuple[str, bytes]]:
    """Yield all ways to write over SSH."""
    node = CHANGE.hex.encode()
    more = Change({b'b': b'more\n'}).bundle()
    yield 'unbundle', push(more)
    for name, value in (('bookmarks', b'x'), ('phases', node)):
        yield (
            f'pushkey-{name}',
            call(
                b'pushkey',
                namespace=name.encode(),
                key=value,
                old=b'1' if name == 'phases' else b'',
                new=b'0' if name == 'phases' else node,
            ),
        )
    for words in (
        b'pushkey ' + KEY + node,
        b'heads ;pushkey ' + KEY + node,
        b'heads ;known nodes=;unbundle heads=' + FORCE,
    ):
        yield 'batch', b'batch\n* 0\ncmds %d\n%s' % (len(words), words)


WAYS = list(writes())


@pytest.mark.parametrize(
    'said', [said for _, said in WAYS], ids=[name for name, _ in WAYS]
)
def test_cve_2018_1000132_a_reader_over_ssh(
    doors: Doors, filled: str, said: bytes
) -> None:
    before = doors.content(filled)
    told = doors.session(filled, said, user='bob')
    assert f'bob may not write to {filled}' in told.err
    assert told.refused, told
    assert doors.content(filled) == before


def test_cve_2018_1000132_the_same_is_possible_for_a_writer(
    doors: Doors,
) -> None:
    repo = doors.repository()
    assert doors.push(repo, CHANGE.bundle()).status == 0
    words = b'pushkey ' + KEY + CHANGE.hex.encode()
    asked = b'batch\n* 0\ncmds %d\n%s' % (len(words), words)
    assert doors.session(repo, asked).status == 0
    path = str(doors.node.repos / repo)
    said = doors.node.hg('-R', path, 'log', '-r', 'x', '-T', '{node}')
    assert said == CHANGE.hex


def test_cve_2018_1000132_unauthorized_reading_over_ssh(doors: Doors) -> None:
    repo = doors.repository(below='closed')
    for command in (b'heads\n', call(b'lookup', key=b'0'), b'branchmap\n'):
        said = doors.session(repo, HELLO + command, user='bob')
        assert said.status == 1
        assert said.out == b''
        assert 'does not exist or you may not read it' in said.err


@pytest.mark.parametrize('method', ['GET', 'POST'])
@pytest.mark.parametrize(
    ('command', 'argument'),
    [
        (
            'batch',
            'cmds=' + quote('pushkey namespace=bookmarks,key=x,old=,new='),
        ),
        ('batch', 'cmds=' + quote('heads ;pushkey ' + KEY.decode())),
        ('batch', 'cmds=' + quote('unbundle heads=' + FORCE.decode())),
        ('pushkey', 'namespace=bookmarks&key=x&old=&new='),
        ('unbundle', f'heads={FORCE.decode()}'),
    ],
)
def test_cve_2018_1000132_everybody_over_http(
    tmp_path: Path, method: str, command: str, argument: str
) -> None:
    mirror = mirrors.two_repositories(tmp_path / 'web')
    node = mirror.open('a')[0].hex().decode()
    if argument.endswith(('new=', quote('new='))):
        argument += node
    store = tmp_path / 'web' / 'repos' / 'a' / '.hg' / 'store'
    before = {one: one.read_bytes() for one in store.iterdir() if one.is_file()}
    application = mirrors.serve(mirror)
    for query, header in (
        (f'cmd={command}', argument),
        (f'cmd={command}&{argument}', ''),
    ):
        said = wsgi.ask(
            application,
            '/a',
            query,
            method,
            CHANGE.bundle() if method == 'POST' else b'',
            HTTP_X_HGARG_1=header,
        )
        assert 'read-only' in said.text or said.code == 403, said
    assert all(path.read_bytes() == data for path, data in before.items())
    assert mirror.open('a')._bookmarks.keys() == set()
