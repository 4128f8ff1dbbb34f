"""Each policy refuses, in exactly these words."""

from __future__ import annotations

from typing import Any

import pytest

import fleethooks
from hgext3rd.fleet.core.checks import Bookmark
from hgext3rd.fleet.core.errors import LedgerUnavailable
from testlib.judged import (
    NOW,
    ONE,
    TWO,
    Change,
    File,
    Push,
    World,
    closure,
    merge,
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


FORM = (
    'write an author that matches .* <[^<>@ ]+@[^<>@ ]+> (ui.username in '
    'your hgrc)'
)
BUG = 'begin it with what matches Bug [0-9]+|No bug'
RESOLVE = 'resolve the conflict, and amend the changeset'
NAME = 'give it another name'
CLIENT = 'make the changeset anew with a recent Mercurial'
PARTS = 'push it in several parts, with hg push -r'
CLOCK = 'set your clock, and amend it with the date of today'
LINK = 'let it lead to a file of the repository, by a relative path'
SIGN = 'sign again, with a key that is known here'
REVOKE = 'take it out of the changeset, and revoke it'

REFUSED: list[tuple[str, Push, dict[str, Any], list[str]]] = [
    (
        'authors',
        with_change(author='ann'),
        {},
        [f"its author is 'ann'; {FORM}"],
    ),
    (
        'authors',
        with_change(author='Eve <eve@example.org>'),
        {'known': 'author'},
        [
            "its author 'Eve <eve@example.org>' is not a user of this server; "
            'use the address that the directory has'
        ],
    ),
    (
        'authors',
        with_change(author='Bob <bob@example.org>'),
        {'known': 'pusher'},
        [
            "its author is 'Bob <bob@example.org>', and ann pushes it; "
            'push only changesets that you have made'
        ],
    ),
    (
        'bookmarks',
        Push(bookmarks=[Bookmark('x', '', ONE), Bookmark('y/z', ONE, '')]),
        {'allowed': 'y'},
        [
            'bookmark x would be made; push without -B of that name; names '
            'that may be made and removed: y',
            'bookmark y/z would be removed; push without -B of that name; '
            'names that may be made and removed: y',
        ],
    ),
    (
        'branches',
        with_change(branch='odd'),
        {'allowed': 'default stable'},
        [
            'it is on branch odd; rebase it onto an allowed branch: default, '
            'stable'
        ],
    ),
    (
        'branches',
        with_change(closes=True),
        {'closing': 'no'},
        ['it closes branch default; do not close branches of this repository'],
    ),
    (
        'closure',
        closure(CLOSED),
        URL,
        ['group/demo is closed: fire; wait until it is open again'],
    ),
    (
        'closure',
        Push(changes=(), world=World(answer=CLOSED)),
        URL,
        ['group/demo is closed: fire; wait until it is open again'],
    ),
    (
        'closure',
        closure(DOWN),
        URL,
        [
            'group/demo is closed: its status is not known: https://t/demo '
            'cannot be read (OSError); wait until it is open again'
        ],
    ),
    (
        'closure',
        closure(b'[1]'),
        URL,
        [
            'group/demo is closed: the answer about its status is not '
            'understood; wait until it is open again'
        ],
    ),
    (
        'closure',
        closure(APPROVAL, description='x a=eve'),
        URL,
        [
            'it needs approval; have it approved, and say a=NAME in the '
            'description'
        ],
    ),
    (
        'closure',
        closure(APPROVAL, description='x a=ann'),
        {**URL, 'approvers': 'vendors'},
        [
            'it needs approval; have it approved, and say a=NAME in the '
            'description'
        ],
    ),
    (
        'conflicts',
        with_file(data=b'a\n<<<<<<< mine\nb\n'),
        {},
        [f'a: a line is added that begins with <<<<<<<; {RESOLVE}'],
    ),
    (
        'conflicts',
        with_file(data=b'a\n>>>>>>>\nb\n'),
        {},
        [f'a: a line is added that begins with >>>>>>>; {RESOLVE}'],
    ),
    (
        'dates',
        with_change(time=NOW + 601),
        {},
        [f'its date is 2025-06-15 15:16 UTC, which is in the future; {CLOCK}'],
    ),
    (
        'dates',
        with_change(time=0),
        {'oldest': '1990'},
        [f'its date is 1970-01-01 00:00 UTC, before 1990; {CLOCK}'],
    ),
    (
        'dates',
        with_change(time=1e18),
        {},
        [
            'its date is 1000000000000000000 seconds after 1970, which is in '
            f'the future; {CLOCK}'
        ],
    ),
    (
        'encodings',
        with_file(data=b'a\nb\xff\n'),
        {},
        ['a: line 2 is not UTF-8; convert the file to UTF-8'],
    ),
    (
        'encodings',
        with_file(data=b'\xef\xbb\xbfa\r\n'),
        {'crlf': 'no'},
        [
            'a: it begins with a byte order mark; save the file without byte '
            'order mark',
            'a: line 1 ends as on Windows; save the file with the line ends '
            'of Unix',
        ],
    ),
    (
        'execbits',
        with_file(data=b'x', flags='x', before=''),
        {},
        ['a: it becomes executable; take that away again: chmod -x'],
    ),
    (
        'execbits',
        with_file(data=b'#!/bin/sh', flags='x'),
        {'scripts': 'no'},
        ['a: it becomes executable; take that away again: chmod -x'],
    ),
    (
        'filenames',
        with_file('doc/aux.txt'),
        {},
        [f'doc/aux.txt: its name is reserved on Windows; {NAME}'],
    ),
    (
        'filenames',
        with_file('COM1/a'),
        {},
        [f'COM1/a: its name is reserved on Windows; {NAME}'],
    ),
    (
        'filenames',
        with_file('a:b'),
        {},
        [f'a:b: its name has a character that Windows forbids; {NAME}'],
    ),
    (
        'filenames',
        with_file('a./b'),
        {},
        [f'a./b: a part of its name ends in a space or full stop; {NAME}'],
    ),
    (
        'filenames',
        with_file('a\x1b'),
        {},
        [f'a\x1b: its name has a control character; {NAME}'],
    ),
    (
        'filenames',
        with_file('a\udcff'),
        {},
        [f'a\udcff: its name is not UTF-8; {NAME}'],
    ),
    (
        'filenames',
        with_file('x/y.orig'),
        {'forbidden': '**.orig'},
        [f'x/y.orig: such names are forbidden; {NAME}'],
    ),
    (
        'heads',
        Push([], own_heads={'default': [TWO, ONE]}, shown_again={'default'}),
        {},
        [
            'branch default would have 2 heads (111111111111, 222222222222); '
            'pull, merge or rebase, and push again'
        ],
    ),
    (
        'heads',
        Push(own_heads={'default': [TWO, ONE]}),
        {},
        [
            'branch default would have 2 heads (111111111111, 222222222222); '
            'pull, merge or rebase, and push again'
        ],
    ),
    (
        'integrity',
        with_change(
            faults=['both of its parents are the same'],
            files=[File('b'), File('c')],
            own_listed=['a', 'c'],
            is_sound=False,
        ),
        {'hashes': 'yes'},
        [
            f'its manifest is damaged; {CLIENT}',
            f'both of its parents are the same; {CLIENT}',
            f'it changes b, and does not list it; {CLIENT}',
            f'it lists a, and does not change it; {CLIENT}',
        ],
    ),
    (
        'integrity',
        merge(files=[File('b')], own_listed=[]),
        {},
        [f'it changes b, and does not list it; {CLIENT}'],
    ),
    (
        'limits',
        Push([Change(node=ONE), Change(node=TWO)]),
        {'changesets': '1', 'heads': '1'},
        [
            f'it has 2 changesets, more than 1; {PARTS}',
            'it has 2 heads, more than 1; merge or rebase, or push fewer of '
            'them',
        ],
    ),
    (
        'limits',
        with_file(own_size=2048),
        {'bytes': '1 KB'},
        [f'it has 2.0 KB, more than 1.0 KB; {PARTS}'],
    ),
    ('merges', merge(), {}, ['it is a merge; rebase instead of merging']),
    (
        'merges',
        merge(),
        {'allowed': 'branches'},
        [
            'it merges branch default with itself; rebase instead of merging; '
            'only branches are merged here'
        ],
    ),
    (
        'messages',
        with_change(description='hello'),
        {},
        [f"its description begins with 'hello'; {BUG}"],
    ),
    (
        'messages',
        with_change(description='Bug 1 - WIP: hello\nx'),
        {},
        [
            "its description has 'WIP' in the first line; describe what the "
            'finished change does'
        ],
    ),
    *(
        (
            'filenames',
            with_change(files=[File(path, before=None)], others=[other]),
            {},
            [
                f'{path}: it cannot be there together with {other}; give it '
                'another name'
            ],
        )
        for path, other in (('a/b', 'a'), ('a', 'a/b'))
    ),
    *(
        (
            'integrity',
            with_change(branch=name),
            {},
            [f'its branch is called {name!r}; give the branch another name'],
        )
        for name in ('', 'x\n1 o default', 'default ', '\tdefault', 'a\rb')
    ),
    (
        'paths',
        with_file('vendor/a'),
        {'rules': VENDOR},
        [
            'vendor/a: ann may not change it; let one of these push it: '
            'vendors, @zoe'
        ],
    ),
    (
        'paths',
        with_file('.arcconfig'),
        {'rules': [('.arcconfig', 'forbidden')]},
        [
            '.arcconfig: nobody may change it; leave files alone that match '
            '.arcconfig'
        ],
    ),
    (
        'paths',
        Push([Change(files=[File('a.idl')], description='r=bob')], user='bob'),
        {'rules': IDL},
        [
            'a.idl: nobody has reviewed it who may; let one of these review '
            'it, as r=NAME: vendors'
        ],
    ),
    (
        'paths',
        Push([Change(files=[File('vendor/a')])], user='bob', own_actor='ann'),
        {'rules': VENDOR},
        [
            'vendor/a: ann may not change it; let one of these push it: '
            'vendors, @zoe'
        ],
    ),
    (
        'paths',
        Push(
            [Change(files=[File('a.idl')], description='r=bob')],
            own_actor='bob',
        ),
        {'rules': IDL},
        [
            'a.idl: nobody has reviewed it who may; let one of these review '
            'it, as r=NAME: vendors'
        ],
    ),
    (
        'roots',
        with_change(parents=()),
        {},
        [
            'it has no parent, and starts an unrelated history; rebase it '
            'onto the history of this repository'
        ],
    ),
    (
        'roots',
        Push([Change(parents=()), Change(parents=())], was_empty=True),
        {},
        [
            'it has no parent, and starts an unrelated history; rebase it '
            'onto the history of this repository'
        ],
    ),
    (
        'secrets',
        with_file('x', b'a\n' + TOKEN),
        {},
        [
            'x: an added line looks like a secret (GitHub Token): github =...; '
            f'{REVOKE}'
        ],
    ),
    (
        'signatures',
        with_file('.hgsigs', b'x\n' + b'1' * 40 + b' 0 YQ=x\n'),
        {'keyring': '/k'},
        [
            f'.hgsigs: a line is added that is not a signature; {SIGN}',
            f'.hgsigs: a line is added that is not a signature; {SIGN}',
        ],
    ),
    (
        'signatures',
        Push(
            [Change(files=[File('.hgsigs', b'1' * 40 + b' 0 YWJj\n')])],
            world=World(good=False),
        ),
        {'keyring': '/k'},
        [f'.hgsigs: the signature of 111111111111 is not good; {SIGN}'],
    ),
    (
        'sizes',
        with_file(own_size=11 << 20),
        {},
        [
            'a: it has 11.0 MB, more than 10.0 MB; keep files of more than '
            '10.0 MB somewhere else'
        ],
    ),
    (
        'subrepos',
        with_file('.hgsubstate'),
        {},
        [
            '.hgsubstate: it makes a subrepository; copy the files in, or '
            'fetch them when building'
        ],
    ),
    (
        'symlinks',
        with_file('l', b'a', flags='l'),
        {'allowed': 'none'},
        ['l: it is a symbolic link; put the file itself there'],
    ),
    (
        'symlinks',
        with_file('l', b'../a', flags='l'),
        {},
        [f"l: it is a symbolic link to '../a'; {LINK}"],
    ),
]


@pytest.mark.parametrize(('policy', 'push', 'settings', 'words'), REFUSED)
def test_refused(
    policy: str, push: Push, settings: dict[str, Any], words: list[str]
) -> None:
    assert said(policy, push, **settings) == words


def test_every_policy_is_shown_to_refuse() -> None:
    assert {row[0] for row in REFUSED} == set(fleethooks.POLICIES)
