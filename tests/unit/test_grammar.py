"""The SSH grammar accepts what Mercurial sends, and nothing else."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fleetpash import grammar
from fleetpash.grammar import (
    Banner,
    Clone,
    Config,
    Delete,
    Edit,
    Group,
    Help,
    Serve,
    Set,
)
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
        *('hg -R ', 'hg -R demo serve --stdio', 'help', '--json', 'hg:for='),
        *('clone ', 'edit ', 'repo-group ', 'repo-config ', ' delete YES'),
        *(' description ', ' publishing ', ' obsolescence ', 'yes', 'no'),
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


@pytest.mark.parametrize(
    ('command', 'request_'),
    [
        (None, Banner()),
        ('', Banner()),
        ('--json', Banner(json=True)),
        ('help', Help()),
        ('help --json', Help(json=True)),
        ('hg:for=ann -R demo serve --stdio', Serve('demo', 'ann')),
        ("'hg:for=a+b@c.d' -R x/y serve --stdio", Serve('x/y', 'a+b@c.d')),
        ('clone new', Clone('new')),
        ('clone /new', Clone('new', at_top=True)),
        ("clone '/new'", Clone('new', at_top=True)),
        ('clone users/ann/new', Clone('users/ann/new')),
        ('clone /users/ann/new', Clone('users/ann/new')),
        ('clone new a/b', Clone('new', 'a/b')),
        ('clone --json new a/b', Clone('new', 'a/b', json=True)),
        ('edit demo', Edit('demo')),
        ('edit --json demo', Edit('demo', json=True)),
        ('edit demo delete YES', Edit('demo', Delete())),
        ('edit demo publishing no', Edit('demo', Set('publishing', 'no'))),
        (
            'edit demo obsolescence yes',
            Edit('demo', Set('obsolescence', 'yes')),
        ),
        (
            'edit demo description It is "Übung";  really',
            Edit('demo', Set('description', 'It is "Übung";  really')),
        ),
        ('repo-group demo', Group('demo')),
        ('repo-group --json /demo', Group('demo', json=True)),
        ('repo-config demo', Config('demo')),
        ('repo-config --json demo', Config('demo', json=True)),
    ],
)
def test_requests(command: str | None, request_: grammar.Request) -> None:
    assert grammar.parse(command) == request_
    assert grammar.parse(grammar.render(request_)) == request_


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
        *('HELP', 'help\n', 'help ', 'help me', 'help --json ', '--json '),
        *("'hg' -R demo serve --stdio", "'hg -R demo serve --stdio"),
        *('hg:for= -R demo serve --stdio', 'hg:for -R demo serve --stdio'),
        *('hg:for=-x -R demo serve --stdio', 'hg:for=a/b -R a serve --stdio'),
        *('hg:for=ann', 'for=ann hg -R demo serve --stdio'),
        *('clone', 'clone ', 'clone a ', 'clone a b c', 'clone  a', 'clone -f'),
        *('clone a --json', 'clone --json', 'clone --json ', 'clone é'),
        *('clone a ../b', 'clone .. b', 'clone a;id', "clone ''"),
        *('edit', 'edit ', 'edit demo ', 'edit demo delete', 'edit demo x y'),
        *('edit demo delete yes', 'edit demo delete YES ', 'edit  demo'),
        *('edit demo publishing', 'edit demo publishing maybe'),
        *('edit demo publishing yes ', 'edit é description x'),
        *('edit demo publishing é', 'edit demo description'),
        *('edit demo description ', 'edit demo description  x'),
        *('edit demo description x ', 'edit demo description x\ny'),
        *('edit demo description \u202ex', 'edit demo description \udcff'),
        *('repo-group', 'repo-group a b', 'repo-config a ', 'repo-config ..'),
        *('repo-config --json', 'repo-config --json --json a'),
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
    if isinstance(request, grammar.Refused):
        assert request.reason
        assert request.hint
        return
    again = grammar.render(request)
    assert grammar.parse(again) == request
    # What was dropped can only be quotes, and slashes around names.
    assert bare(again) == bare(command)
    for name in repos_of(request):
        assert names.repository(name) == name


def bare(command: str) -> str:
    return ' '.join(
        word.replace("'", '').strip('/') for word in command.split(' ')
    )


def repos_of(request: grammar.Request) -> list[str]:
    match request:
        case Serve(repo) | Edit(repo) | Group(repo) | Config(repo):
            return [repo]
        case Clone(name, source):
            return [one for one in (name, source) if one]
    return []


@given(repositories(), st.booleans())
def test_round_trip(repo: str, json: bool) -> None:
    for request in (
        *(Serve(repo), Serve(repo, 'a@b.c'), Clone(repo, json=json)),
        *(Clone(repo, repo, '/' not in repo, json), Edit(repo, None, json)),
        *(Edit(repo, Delete(), json), Group(repo, json), Config(repo, json)),
        Edit(repo, Set('description', f'of {repo}'), json),
    ):
        assert grammar.parse(grammar.render(request)) == request
