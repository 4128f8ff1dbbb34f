"""The console script: words in, arguments of hg out."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hgext3rd import fleetctl
from hgext3rd.fleetctl import main


@pytest.mark.parametrize(
    ('words', 'arguments'),
    [
        ('', 'help hgfleet'),
        ('help', 'help hgfleet'),
        ('--help', 'help hgfleet'),
        ('help up', 'help fleet::up'),
        ('help repo create -v', 'help fleet::repo-create -v'),
        ('up --data x', 'fleet::up --data x'),
        ('repo create a --data x', 'fleet::repo-create a --data x'),
        ('repo list', 'fleet::repo-list'),
        ('user add up', 'fleet::user-add up'),
    ],
)
def test_words(words: str, arguments: str) -> None:
    assert main.command(words.split()) == arguments.split()


@pytest.mark.parametrize(
    'words', ['commit', 'repo', 'repo destroy', 'user', 'help me', '-R x up']
)
def test_other_words_are_refused(words: str) -> None:
    assert main.command(words.split()) is None


def test_every_command_exists() -> None:
    known = {name.encode() for name in main.COMMANDS.values()}
    assert known == set(fleetctl.cmdtable)


def test_the_users_configuration_is_left_out() -> None:
    outer = {'HOME': '/h', 'HGRCPATH': '/h/rc', 'HGUSER': 'me', 'HG': '/hg'}
    assert main.environment(outer) == {
        'HOME': '/h',
        'HGRCPATH': '',
        'HGRCSKIPREPO': '1',
        'HGPLAIN': '1',
        'HGENCODING': 'utf-8',
    }


def test_no_mercurial_is_imported() -> None:
    code = (
        'import sys, hgext3rd.fleetctl.main; '
        'print([one for one in sys.modules if one.startswith("mercurial")])'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True
    )
    assert done.stdout == '[]\n', done.stderr
