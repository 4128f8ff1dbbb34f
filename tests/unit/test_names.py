"""Names: no path tricks, no options; and where a repository lives."""

from __future__ import annotations

import itertools
import os
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hgext3rd.fleet.core import names
from hgext3rd.fleet.core.errors import NameRefused, SettingError

# The longest name of a file on all common file systems, in bytes.
LONGEST_FILE = 255

GOOD = ['a', 'demo', 'a/b/c', 'A-1_2.3+4', '0', 'x' * 100, 'a' + '.b' * 49]
BAD = [
    '',
    '/',
    'a/',
    '/a',
    'a//b',
    '.',
    '..',
    'a/..',
    '../a',
    'a/../b',
    '-R',
    'a/-b',
    '.hg',
    'a/.hg',
    'a/.hg/store',
    'a.hg',
    'a.HG',
    'a.hg/b',
    'a.git',
    'a.',
    'a./b',
    'a b',
    'a\nb',
    'a\n',
    'a\0b',
    'a\\b',
    'a:b',
    'a%2Fb',
    'a~1',
    'é',
    'a\u2215b',
    '٣',
    '_a',
    '+a',
    'x' * 101,
    '!fence',
    '/'.join('a' * 81),
    '/'.join(['x' * 100] * 3),
    'healthz',
    'readyz/a',
    'index.json',
    'static/a/b',
]


@pytest.mark.parametrize('name', GOOD)
def test_accepted(name: str) -> None:
    assert names.repository(name) == name


@pytest.mark.parametrize('name', BAD)
def test_refused(name: str) -> None:
    with pytest.raises(NameRefused, match='repository name') as caught:
        names.repository(name)
    assert caught.value.hint


def test_a_long_name_is_said_to_be_long() -> None:
    for name in ('x' * 101, '/'.join('a' * 81), 'é' * 300):
        with pytest.raises(NameRefused, match='too long') as caught:
            names.repository(name)
        assert len(str(caught.value)) < 2000


@given(st.text(max_size=300))
@example('a' * 100 + '/' + 'b' * 100)
@example('/'.join('a' * 80))
def test_what_is_accepted_is_harmless_anywhere(name: str) -> None:
    try:
        names.repository(name)
    except NameRefused:
        return
    assert name.isascii()
    assert name.isprintable()
    assert not name.startswith('-')
    path = os.path.normpath(os.path.join('/root', name))
    assert path == f'/root/{name}'
    assert not any(part.startswith('.') for part in name.split('/'))
    # As state/old has it, with the longest number that there can be.
    assert len(name.replace('/', '%2F')) + len('.9223372036854') < LONGEST_FILE
    assert len(name.replace('/', '%2F') + '.json') < LONGEST_FILE


@given(st.from_regex(re.compile(r'[a-z0-9+._/-]{1,20}', re.ASCII)))
def test_the_file_names_of_two_repositories_differ(name: str) -> None:
    try:
        names.repository(name)
    except NameRefused:
        return
    assert '%' not in name
    assert name.replace('/', '%2F').replace('%2F', '/') == name


@pytest.mark.parametrize('name', ['ann', 'ann@example.org', 'a+b', 'x' * 100])
def test_people(name: str) -> None:
    assert names.person(name) == name


@pytest.mark.parametrize(
    'name', ['', '-a', '.a', '@a', 'a b', 'a/b', 'a\n', 'é', 'x' * 101, 'a:b']
)
def test_no_people(name: str) -> None:
    with pytest.raises(NameRefused, match='user name'):
        names.person(name)


@pytest.mark.parametrize('name', ['hg1', 'hg1.example.org', 'a_b', 'x' * 63])
def test_nodes(name: str) -> None:
    assert names.node(name) == name


@pytest.mark.parametrize(
    'name', ['', '-a', '.a', 'a b', 'a/b', 'a\n', 'é', 'x' * 64, 'a+b', 'a@b']
)
def test_no_nodes(name: str) -> None:
    with pytest.raises(NameRefused, match='node name'):
        names.node(name)


# partitions


def test_the_partition_of_a_name_never_changes() -> None:
    """Were it another one tomorrow, its history would be elsewhere."""
    found = {name: names.partition(name, 8) for name in ('demo', 'a/b', 'x')}
    assert found == {'demo': 4, 'a/b': 5, 'x': 4}


@given(st.text(min_size=1, max_size=20), st.integers(1, 40))
def test_any_name_has_a_partition(name: str, count: int) -> None:
    assert 0 <= names.partition(name, count) < count


def test_names_spread_over_the_partitions() -> None:
    found = [names.partition(f'repo{number}', 8) for number in range(800)]
    assert min(found.count(partition) for partition in range(8)) > 60


def test_the_first_rule_that_matches_decides() -> None:
    rules = (('try$', (4,)), ('try', (5,)), ('t', (6, 7)), ('[a-c]', (1,)))
    at = {
        name: names.partition(name, 8, rules)
        for name in ('try', 'try2', 'atry', 'big')
    }
    assert at == {'try': 4, 'try2': 5, 'atry': 1, 'big': 1}
    spread = {names.partition(f't{n}', 8, rules) for n in range(50)}
    assert spread == {6, 7}
    assert names.partition('zoo', 8, rules) == names.partition('zoo', 8)


@pytest.mark.parametrize('chosen', [(8,), (-1,), (0, 9), ()])
def test_a_rule_outside_the_partitions_is_refused(
    chosen: tuple[int, ...],
) -> None:
    with pytest.raises(SettingError, match='sends demo to') as caught:
        names.partition('demo', 8, (('d', chosen),))
    assert 'partition-map' in caught.value.hint


@pytest.mark.parametrize(
    ('user', 'home'),
    [
        *(('ann', 'ann'), ('ann_lee', 'ann_lee'), ('ann.lee', 'ann.lee')),
        ('ann@example.org', 'ann_example.org'),
        ('ann_lee@example.org', 'ann_lee_example.org'),
        # these would be somebody else's
        *(('ann_example.org', ''), ('a_b_c.d', '')),
        *(('ann@lee_example.org', ''), ('a@b@c.org', ''), ('ann@host', '')),
        # these are no parts of names
        *(('a.hg', ''), ('a.', ''), ('a@b.git', ''), ('', '')),
    ],
)
def test_homes(user: str, home: str) -> None:
    assert names.home(user) == home


_LETTERS = st.text('a_.@-', min_size=1, max_size=8)


@given(_LETTERS, _LETTERS)
def test_nobody_shares_a_home(one: str, other: str) -> None:
    home = names.home(one)
    if home:
        assert names.repository(f'users/{home}/x')
        assert one == other or names.home(other) != home


def test_no_two_short_names_share_a_home() -> None:
    users = [
        ''.join(letters)
        for length in range(1, 7)
        for letters in itertools.product('a_.@', repeat=length)
    ]
    homes = [home for home in map(names.home, users) if home]
    assert len(homes) > 100
    assert len(homes) == len(set(homes))
