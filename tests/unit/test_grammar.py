"""The SSH grammar accepts what Mercurial sends, and nothing else."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fleetpash import grammar
from hgext3rd.fleet.core import names
from hgext3rd.fleet.core.errors import NameRefused

PART = st.from_regex(r'[A-Za-z0-9][A-Za-z0-9._+-]{0,20}', fullmatch=True)


@st.composite
def repositories(draw: st.DrawFn) -> str:
    name = '/'.join(draw(st.lists(PART, min_size=1, max_size=4)))
    try:
        return names.repository(name)
    except NameRefused:
        return 'demo'


# Commands near the border are made of the pieces that matter.
PIECES = st.sampled_from(
    [
        *('hg', ' ', ' -R ', 'demo', 'a/b', '/', '//', "'", '"', '..', '.'),
        *(' serve --stdio', ' --hidden', ' --config', '--debugger', '=', ';'),
        *('&&', '|', '$(id)', '`', '\\', '\n', '\0', '\t', 'é', '\udcff', '+'),
        *('hg -R ', 'hg -R demo serve --stdio', 'help'),
    ]
)
NEAR = st.lists(PIECES, max_size=10).map(''.join)


@pytest.mark.parametrize(
    ('command', 'repo'),
    [
        ('hg -R demo serve --stdio', 'demo'),
        ('hg -R /demo serve --stdio', 'demo'),
        ('hg -R demo/ serve --stdio', 'demo'),
        ("hg -R 'a+b' serve --stdio", 'a+b'),
        ("hg -R '/users/ann/x' serve --stdio", 'users/ann/x'),
        ('hg -R users/ann/x serve --stdio', 'users/ann/x'),
    ],
)
def test_serve(command: str, repo: str) -> None:
    assert grammar.parse(command) == grammar.Serve(repo)


@pytest.mark.parametrize('command', [None, '', 'help'])
def test_banner(command: str | None) -> None:
    assert grammar.parse(command) == grammar.Banner()


@pytest.mark.parametrize(
    'command',
    [
        ' ',
        'hg',
        'hg ',
        'hg -R',
        'hg -R  serve --stdio',
        "hg -R '' serve --stdio",
        "hg -R ' serve --stdio",
        "hg -R ''demo'' serve --stdio",
        "hg -R 'demo serve --stdio",
        'hg -R "demo" serve --stdio',
        'hg -R de\\mo serve --stdio',
        'hg -R . serve --stdio',
        'hg -R .. serve --stdio',
        'hg -R a/../b serve --stdio',
        'hg -R a/.hg serve --stdio',
        'hg -R a//b serve --stdio',
        'hg -R //demo serve --stdio',
        'hg -R demo// serve --stdio',
        'hg -R / serve --stdio',
        'hg -R ~ serve --stdio',
        'hg -R -x serve --stdio',
        'hg -R --debugger serve --stdio',
        'hg -R --config=ui.debugger=1 serve --stdio',
        'hg -R demo serve --stdio ',
        ' hg -R demo serve --stdio',
        'hg  -R demo serve --stdio',
        'hg -R demo  serve --stdio',
        'hg -R demo serve --stdio --hidden',
        'hg -R demo serve --stdio; id',
        'hg -R demo;id serve --stdio',
        'hg -R $(id) serve --stdio',
        'hg -R demo\n serve --stdio',
        'hg -R demo\0 serve --stdio',
        'hg -R demo serve --stdio\n',
        'hg -R dém serve --stdio',
        'hg -R \udcff serve --stdio',
        'hg -R demo serve --daemon',
        'hg -R demo log',
        '/usr/bin/hg -R demo serve --stdio',
        'hg init demo',
        'HELP',
        'help\n',
        'scp -t .',
        'internal-sftp',
        'hg -R ' + 'a' * 241 + ' serve --stdio',
        'hg -R ' + 'a' * 1000 + ' serve --stdio',
    ],
)
def test_refused(command: str) -> None:
    request = grammar.parse(command)
    assert isinstance(request, grammar.Refused)
    assert request.reason.isprintable()
    assert request.reason.isascii()
    assert request.hint


def test_the_longest_name_fits() -> None:
    longest = 'a' * names.LONGEST_PART
    with contextlib.suppress(NameRefused):
        while names.repository(f'{longest}/a'):
            longest += '/a'
    command = f"hg -R '/{longest}/' serve --stdio"
    assert grammar.parse(command) == grammar.Serve(longest)
    assert len(command) + names.LONGEST_PART < grammar.LONGEST


@given(st.one_of(st.text(), NEAR))
@example('hg -R demo serve --stdio')
def test_total(command: str) -> None:
    request = grammar.parse(command)
    match request:
        case grammar.Serve(repo):
            assert names.repository(repo) == repo
            assert grammar.parse(grammar.render(request)) == request
            # what was dropped can only be one pair of quotes, and slashes
            inner = command[len('hg -R ') : -len(' serve --stdio')]
            assert len(inner) <= len(repo) + 4
            assert inner.replace("'", '').strip('/') == repo
        case grammar.Banner():
            assert command in ('', 'help')
        case grammar.Refused(reason, hint):
            assert reason
            assert hint


@given(repositories())
def test_round_trip(repo: str) -> None:
    request = grammar.Serve(repo)
    assert grammar.parse(grammar.render(request)) == request
    quoted = f"hg -R '{repo}' serve --stdio"
    assert grammar.parse(quoted) == request


@given(st.binary())
def test_any_bytes(raw: bytes) -> None:
    command = raw.decode('utf-8', 'surrogateescape')
    assert isinstance(grammar.parse(command), grammar.Banner | grammar.Refused)
