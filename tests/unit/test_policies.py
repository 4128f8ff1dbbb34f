"""Each policy accepts what it should; settings; what is beyond one file."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

import fleethooks
from hgext3rd.fleet.core.checks import Bookmark, Options
from hgext3rd.fleet.core.errors import LedgerUnavailable, SettingError
from testlib.judged import (
    NOW,
    ONE,
    P1,
    P2,
    TWO,
    Change,
    File,
    Push,
    World,
    closure,
    merge,
    options,
    said,
    with_change,
    with_file,
)

VENDOR = [('vendor/**', 'vendors, @zoe'), ('**', '*')]
IDL = [('**.idl', 'reviewed by vendors')]
CLOSED = b'{"result": {"status": "closed", "reason": "fire"}}'
APPROVAL = b'{"status": "approval required", "reason": ""}'
DOWN = LedgerUnavailable('https://t/demo cannot be read (OSError)')
URL = {'url': 'https://t/{base}'}
TOKEN = b'github = ghp_' + b'a1B2' * 9 + b'\n'


NAME = 'give it another name'

ACCEPTED: list[tuple[str, Push, dict[str, Any]]] = [
    ('authors', Push(), {}),
    ('authors', with_change(author='x'), {'form': ''}),
    ('authors', Push(), {'known': 'author'}),
    ('authors', Push(), {'known': 'pusher'}),
    ('authors', with_change(author='ann'), {'form': 'ann', 'known': 'pusher'}),
    ('bookmarks', Push(), {}),
    ('bookmarks', Push(bookmarks=[Bookmark('main', P1, ONE)]), {}),
    (
        'bookmarks',
        Push(bookmarks=[Bookmark('x/y', '', ONE)]),
        {'allowed': 'x/*'},
    ),
    ('bookmarks', Push(bookmarks=[Bookmark('x', ONE, '')]), {'allowed': '**'}),
    ('branches', with_change(branch='odd', closes=True), {}),
    ('branches', Push(), {'allowed': 'default, stable'}),
    ('closure', closure(b'{"result": {"status": "open"}}'), URL),
    ('closure', closure(APPROVAL, description='x a=ann'), URL),
    (
        'closure',
        closure(APPROVAL, description='x a=bob.'),
        {**URL, 'approvers': 'vendors'},
    ),
    ('closure', closure(DOWN), {**URL, 'down': 'open'}),
    ('conflicts', with_file(data=b'title\n=======\na <<<<<<< b\n'), {}),
    ('conflicts', with_file(data=b'<<<<<<< x\n', own_added=b'y\n'), {}),
    ('conflicts', with_file('t/m', b'<<<<<<< x\n'), {'except_': 't/**'}),
    ('dates', Push(), {}),
    ('dates', with_change(time=NOW + 599), {}),
    ('dates', with_change(time=0), {}),
    ('encodings', with_file(data='grün\r\n'.encode()), {}),
    ('encodings', with_file(data=b'\0\xff'), {}),
    ('encodings', with_file('x.po', b'\xff'), {'except_': '*.po'}),
    ('encodings', with_file(data=b'\xff\na', own_added=b'a'), {}),
    ('encodings', with_file(data=b'\xef\xbb\xbfa'), {'bom': 'yes'}),
    ('encodings', with_file(data=b'\xff', flags='l'), {}),
    ('execbits', with_file(flags='x', before='x'), {}),
    ('execbits', with_file(data=b'#!/bin/sh\n', flags='x'), {}),
    ('execbits', with_file('bin/a', flags='x'), {'allowed': 'bin/**'}),
    ('execbits', with_file(before='x'), {}),
    ('filenames', with_file('src/Makefile.in'), {}),
    ('filenames', with_file('console.txt'), {}),
    ('filenames', with_file('a:b', before=''), {}),
    ('filenames', with_file('aux.c'), {'windows': 'no'}),
    ('filenames', with_file('grün'), {}),
    ('heads', Push(), {}),
    (
        'heads',
        Push(
            own_heads={'default': [ONE, TWO]}, own_heads_before={'default': 2}
        ),
        {},
    ),
    ('heads', Push(own_heads={'default': [ONE, TWO]}), {'except_': 'def*'}),
    ('integrity', with_file('x'), {}),
    ('integrity', merge(files=[File('x', gone=True)], own_listed=['y']), {}),
    ('integrity', with_change(is_sound=False), {}),
    ('integrity', with_change(branch='a b/c: d'), {}),
    ('limits', Push([Change(node=ONE), Change(node=TWO)]), {'changesets': '2'}),
    ('limits', Push([Change()] * 3, was_empty=True), {'changesets': '2'}),
    (
        'limits',
        Push([Change(node=ONE), Change(node=TWO, parents=(ONE,))]),
        {'heads': '1'},
    ),
    ('limits', with_file(own_size=100), {'bytes': '100 B'}),
    ('merges', Push(), {}),
    ('merges', merge(), {'allowed': 'all'}),
    ('messages', Push(), {}),
    ('messages', with_change(description='Backed out changeset 1'), {}),
    ('messages', merge(description='merge'), {}),
    ('messages', with_change(description='x'), {'form': ''}),
    ('paths', with_file('a'), {'rules': VENDOR}),
    ('paths', with_file('vendor/a'), {}),
    ('paths', with_file('a'), {'rules': [('a', '@ann')]}),
    (
        'paths',
        with_change(files=[File('a.idl')], description='x r=bob'),
        {'rules': IDL},
    ),
    ('roots', Push(), {}),
    ('roots', with_change(parents=(), node=TWO), {'allowed': TWO}),
    ('roots', Push([Change(parents=())], was_empty=True), {}),
    ('secrets', with_file(data=b'password = input()\n'), {}),
    ('secrets', with_file('t/x', TOKEN), {'except_': 't/*'}),
    ('secrets', with_file('x', TOKEN), {'without': 'GitHubTokenDetector'}),
    ('secrets', with_file('x', TOKEN, own_added=b'\n'), {}),
    ('secrets', with_file('x', b'\0' + TOKEN), {}),
    (
        'signatures',
        with_file('.hgsigs', b'1' * 40 + b' 0 YWJj\n'),
        {'keyring': '/k'},
    ),
    ('signatures', with_file('x', b'no'), {'keyring': '/k'}),
    ('sizes', with_file(own_size=100), {'most': '100 B'}),
    (
        'sizes',
        with_file('a/x', own_size=101),
        {'most': '100 B', 'except_': 'a/*'},
    ),
    ('subrepos', with_file('.hgsub', gone=True), {}),
    ('subrepos', with_file('x/.hgsub'), {}),
    ('symlinks', with_file('d/l', b'../a', flags='l'), {}),
    ('symlinks', with_file('l', b'/etc', flags=''), {'allowed': 'none'}),
]


@pytest.mark.parametrize(('policy', 'push', 'settings'), ACCEPTED)
def test_accepted(policy: str, push: Push, settings: dict[str, Any]) -> None:
    assert said(policy, push, **settings) == []


NONSENSE = [
    ('authors', {'known': 'maybe'}, "[checks] authors.known is 'maybe'"),
    ('authors', {'form': '('}, "[checks] authors.form is '('"),
    ('closure', {'url': 'file:///x'}, "[checks] closure.url is 'file:///x'"),
    ('closure', {**URL, 'down': 'x'}, "[checks] closure.down is 'x'"),
    ('closure', {**URL, 'timeout': '5'}, "[checks] closure.timeout is '5'"),
    ('dates', {'ahead': 'soon'}, "[checks] dates.ahead is 'soon'"),
    ('limits', {'changesets': '-1'}, "[checks] limits.changesets is '-1'"),
    ('merges', {'allowed': 'x'}, "[checks] merges.allowed is 'x'"),
    ('paths', {'rules': [('a', 'by')]}, ''),
    ('paths', {'rules': [('a', '')]}, "[checks.paths] a is ''"),
    ('paths', {'rules': [('a', '@')]}, "[checks.paths] a is '@'"),
    ('roots', {'allowed': '12'}, "[checks] roots.allowed is '12'"),
    ('secrets', {'without': 'X'}, "[checks] secrets.without is 'X'"),
    ('signatures', {}, "[checks] signatures.keyring is ''"),
    ('sizes', {'most': 'much'}, "[checks] sizes.most is 'much'"),
    ('symlinks', {'allowed': ''}, "[checks] symlinks.allowed is ''"),
    ('encodings', {'bom': '2'}, "[checks] encodings.bom is '2'"),
]


@pytest.mark.parametrize(('policy', 'settings', 'words'), NONSENSE)
def test_nonsense_is_no_setting(
    policy: str, settings: dict[str, Any], words: str
) -> None:
    if not words:
        assert said(policy, Push(), **settings) == []
        return
    with pytest.raises(SettingError) as caught:
        said(policy, Push(), **settings)
    assert str(caught.value) == words


def test_every_policy_is_shown_to_accept() -> None:
    assert {row[0] for row in ACCEPTED} == set(fleethooks.POLICIES)


def test_every_setting_is_described_and_used() -> None:
    for policy in fleethooks.POLICIES:
        default = options(policy)
        module = sys.modules[f'fleethooks.{policy}']
        for item in default.values:
            assert f'``{policy}.{item}``' in (module.__doc__ or '')


def test_policies_need_no_mercurial() -> None:
    names = ', '.join(f'fleethooks.{name}' for name in fleethooks.POLICIES)
    code = f'import sys, {names}\nsys.exit("mercurial" in sys.modules)'
    done = subprocess.run([sys.executable, '-c', code])
    assert done.returncode == 0


def test_a_secret_without_words_is_found() -> None:
    token = f'N{"a" * 24}.{"b" * 6}.{"c" * 27}'
    push = with_file(data=f'x\nt = {token}\ny\n'.encode())
    assert said('secrets', push) == [
        'a: an added line looks like a secret (Discord Bot Token): t =...; '
        'take it out of the changeset, and revoke it'
    ]


def test_the_rules_for_secrets_are_there_when_imports_are_lazy() -> None:
    code = (
        'import hgdemandimport; hgdemandimport.enable()\n'
        'from fleethooks import secrets\n'
        'print(len(secrets.detectors()))'
    )
    lazy, eager = (
        subprocess.run(
            [sys.executable, '-c', code],
            env={**os.environ, 'HGDEMANDIMPORT': setting},
            capture_output=True,
            check=True,
        ).stdout
        for setting in ('', 'disable')
    )
    assert lazy == eager
    assert int(lazy) > 10


def test_case_is_followed_from_parent_to_child() -> None:
    world = World(names={P1: ['Readme', 'b']})
    changes = [
        Change(ONE, files=[File('B'), File('c')]),
        Change(
            TWO, parents=(ONE,), files=[File('C'), File('Readme', gone=True)]
        ),
        Change('3' * 40, parents=(TWO,), files=[File('README')]),
        Change('4' * 40, parents=(P1,), files=[File('README')]),
    ]
    few = [Change(files=[File('x')])] * 5
    assert said('filenames', Push([*few, *changes], world=world)) == [
        f'B: it differs only by case from b; {NAME}',
        f'C: it differs only by case from c; {NAME}',
        f'README: it differs only by case from Readme; {NAME}',
    ]
    assert world.asked == [P1, P1]


def test_case_is_searched_for_in_few_changesets() -> None:
    change = Change(own_alike=['readme', 'README', 'b'], files=[File('Readme')])
    push = Push([change])
    assert said('filenames', push) == [
        f'Readme: it differs only by case from README; {NAME}'
    ]
    assert push.world.asked == []


def test_case_is_more_than_ascii() -> None:
    world = World(names={P1: ['STRASSE/É']})
    push = Push([Change(files=[File('straße/e\u0301')])], world=world)
    assert len(said('filenames', push)) == 1


@pytest.mark.parametrize(
    ('path', 'leads_out'),
    [
        *(('../a', True), ('/a', True), ('a//b', True), ('a/./b', True)),
        *(('a/../../b', True), ('.hg/hgrc', True), ('a/.HG/hgrc', True)),
        *(('.h\u200cg/hgrc', True), ('hg~1/hgrc', True), ('HG8B6C~2', True)),
        *(('a\\..\\b', True), ('.hg./hgrc', True), ('.hg /hgrc', True)),
        *(('.hgtags', False), ('a/.hgignore', False), ('a..b', False)),
        *(('...', False), ('hg~x', False), ('x.hg/a', False)),
    ],
)
def test_names_that_lead_out(path: str, leads_out: bool) -> None:
    words = "it leads out of the clone, or into Mercurial's folder"
    found = said('filenames', with_file(path), windows='no')
    assert any(words in one for one in found) is leads_out


@pytest.mark.parametrize(
    'target',
    [
        '/a',
        '',
        '..',
        'a/../..',
        'd/../b',
        '\\a',
        'c:/a',
        '.hg/hgrc',
        '.HG',
        'a\n',
    ],
)
def test_links_that_lead_out(target: str) -> None:
    assert said('symlinks', with_file('l', target.encode(), flags='l'))


@pytest.mark.parametrize(
    'target', ['../../../a', '../../.hg/hgrc', '..\\..\\..']
)
def test_links_that_lead_out_of_a_folder(target: str) -> None:
    assert said('symlinks', with_file('x/y/l', target.encode(), flags='l'))


@pytest.mark.parametrize('target', ['.', '../..', '../a', './b', '../z/q'])
def test_links_that_stay_inside(target: str) -> None:
    assert not said('symlinks', with_file('x/y/l', target.encode(), flags='l'))


def test_a_merge_of_branches_is_one() -> None:
    push = merge()
    push.world.branches = {P2: 'stable'}
    assert said('merges', push, allowed='branches') == []


def test_the_repository_is_quoted_in_the_url() -> None:
    push = closure(CLOSED)
    push.repo = 'a b/c+d'
    said('closure', push, url='https://t/{repo}/{base}')
    assert push.world.asked == ['https://t/a%20b/c%2Bd/c%2Bd']


def test_options_know_their_types() -> None:
    values = {'a': ' x,  y z ', 'b': '2.5 KB', 'c': 'on', 'd': '1.5 h'}
    found = Options('p', values)
    assert found.words('a') == ('x', 'y', 'z')
    assert found.size('b') == 2560
    assert found.flag('c') is True
    assert found.seconds('d') == 5400
