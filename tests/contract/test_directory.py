"""What every directory promises, and what the one in a file adds."""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hgext3rd.fleet.adapters import directory_file, open_directory
from hgext3rd.fleet.adapters.directory_file import (
    FileDirectory,
    add_user,
    disable,
    enable,
)
from hgext3rd.fleet.core.errors import DirectoryUnavailable, SettingError
from hgext3rd.fleet.ports import Directory, User


def key(number: int) -> str:
    kind = b'ssh-ed25519'
    secret = number.to_bytes(32, 'big')
    raw = b''.join(len(one).to_bytes(4, 'big') + one for one in (kind, secret))
    return f'ssh-ed25519 {base64.b64encode(raw).decode()}'


ANN = User('ann', frozenset({'staff', 'ops'}), True, (key(1), key(2)))
BOB = User('bob@example.org', frozenset(), False, (key(3),))
ZOE = User('Zoe', frozenset({'staff'}), True, ())

Filled = Callable[[list[User]], Directory]


def in_file(path: Path, users: list[User]) -> Directory:
    """Fill a directory through the commands that people have."""
    name = str(path / 'users.toml')
    Path(name).touch()
    for user in users:
        keys = [f'{one} a comment' for one in user.keys]
        add_user(name, user.name, keys, user.groups)
        if not user.enabled:
            disable(name, user.name)
    return open_directory(f'file://{name}')


FILLED = {'file': in_file}


@pytest.fixture(params=sorted(FILLED))
def filled(request: pytest.FixtureRequest, tmp_path: Path) -> Filled:
    return lambda users: FILLED[request.param](tmp_path, users)


def test_users(filled: Filled) -> None:
    directory = filled([BOB, ANN, ZOE])
    assert list(directory.users()) == [ZOE, ANN, BOB]
    assert directory.user('ann') == ANN
    assert directory.user('bob@example.org') == BOB


@pytest.mark.parametrize('name', ['', 'eve', 'Ann', 'ann ', '*', 'a\0', 'é'])
def test_no_such_user(filled: Filled, name: str) -> None:
    assert filled([ANN]).user(name) is None


def test_owners(filled: Filled) -> None:
    directory = filled([ANN, BOB])
    assert directory.owner(key(1)) == ANN
    assert directory.owner(key(2)) == ANN
    assert directory.owner(f'{key(3)} any comment') == BOB


@pytest.mark.parametrize(
    'presented',
    ['', 'x', 'ssh-ed25519', key(9), key(1)[:-4], 'ssh-dss AAAA', '*', '\0'],
)
def test_nobodys_key(filled: Filled, presented: str) -> None:
    assert filled([ANN]).owner(presented) is None


def test_empty(filled: Filled) -> None:
    assert list(filled([]).users()) == []


# The file.


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / 'users.toml')


def write(path: str, text: str) -> None:
    Path(path).write_text(text)


def test_defaults(path: str) -> None:
    write(path, '[users.ann]\n')
    assert FileDirectory(path).user('ann') == User('ann', frozenset(), True, ())


def test_a_change_is_seen(path: str) -> None:
    add_user(path, 'ann', [key(1)], [])
    directory = FileDirectory(path)
    assert directory.owner(key(1)) is not None
    add_user(path, 'bob', [key(2)], [])
    assert directory.owner(key(2)) is not None
    disable(path, 'ann')
    found = directory.owner(key(1))
    assert found is not None
    assert not found.enabled
    os.unlink(path)
    with pytest.raises(DirectoryUnavailable):
        directory.owner(key(2))


def test_a_file_that_went_bad_is_not_served_from_memory(path: str) -> None:
    add_user(path, 'ann', [key(1)], [])
    directory = FileDirectory(path)
    assert directory.user('ann') is not None
    write(path, 'nonsense')
    for _again in range(2):
        with pytest.raises(SettingError):
            directory.user('ann')


@pytest.mark.parametrize('name', ['missing.toml', '.', 'a/b', 'users.toml/x'])
def test_unreadable(tmp_path: Path, name: str) -> None:
    (tmp_path / 'users.toml').touch()
    with pytest.raises(DirectoryUnavailable) as caught:
        FileDirectory(str(tmp_path / name)).user('ann')
    assert caught.value.retry
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ('text', 'says'),
    [
        ('users = 1', '[users.NAME]'),
        ('x = 1', "'x' is unknown"),
        ('[user.ann]', "'user' is unknown"),
        ('users.ann = 1', 'users.ann'),
        ('[users.ann]\nkey = []', "user ann has 'key'"),
        ('[users."a b"]', "'a b' is not a user name"),
        ('[users."*"]', "'*' is not a user name"),
        ('[users.ann]\nenabled = "no"', 'user ann: enabled'),
        ('[users.ann]\nenabled = 0', 'user ann: enabled'),
        ('[users.ann]\ngroups = "staff"', 'user ann: groups'),
        ('[users.ann]\ngroups = [1]', 'user ann: groups'),
        ('[users.ann]\ngroups = ["@bob"]', "user ann: '@bob' is not a group"),
        ('[users.ann]\nkeys = ["ssh-dss AAAA"]', "user ann: 'ssh-dss"),
        ('[users.ann]\nkeys = ["ssh-ed25519 AAAA"]', 'user ann: the text'),
        (
            f'[users.ann]\nkeys=["{key(1)}"]\n[users.bob]\nkeys=["{key(1)} b"]',
            'users ann and bob have the same key',
        ),
        ('[users.ann]\n[users.ann]\n', 'line 2'),
        ('[users.ann\n', 'line 1'),
    ],
)
def test_refused_as_a_whole(path: str, text: str, says: str) -> None:
    write(path, f'{text}\n')
    with pytest.raises(SettingError) as caught:
        FileDirectory(path).user('zoe')
    assert says in str(caught.value)
    assert str(caught.value).startswith(f'{path}: ')


def test_not_utf8(path: str) -> None:
    Path(path).write_bytes(b'# \xff\n')
    with pytest.raises(SettingError, match='not TOML'):
        FileDirectory(path).user('ann')


def test_adding_makes_the_file(path: str) -> None:
    made = add_user(path, 'ann', [f'{key(1)} "ann"\\ é\n'], ['staff'])
    assert made == User('ann', frozenset({'staff'}), True, (key(1),))
    assert FileDirectory(path).user('ann') == made
    assert os.stat(path).st_mode & 0o777 == 0o644
    assert os.listdir(os.path.dirname(path)) == ['users.toml']


HAND = f"""\
# Our people.  # not [users.eve]
[users.ann] # the first
keys = [
    # her laptop
    "{key(1)} ann [old]",
]
  enabled   = true   # for now

[ users . "bob@example.org" ]
groups = [
  "staff"]

[users.Zoe]"""


def test_changes_leave_the_rest_alone(path: str) -> None:
    write(path, HAND)
    os.chmod(path, 0o640)
    for name in ('ann', 'bob@example.org', 'Zoe'):
        before = FileDirectory(path).user(name)
        assert before is not None
        disable(path, name)
        disable(path, name)
        now = FileDirectory(path).user(name)
        assert now == replace(before, enabled=False)
    add_user(path, 'eve', [key(7)], [])
    for name in ('ann', 'bob@example.org', 'Zoe'):
        enable(path, name)
    text = Path(path).read_text()
    for line in HAND.splitlines():
        assert line in text or 'enabled' in line
    assert '# for now' in text
    assert os.stat(path).st_mode & 0o777 == 0o640
    assert len(list(FileDirectory(path).users())) == 4


@pytest.mark.parametrize(
    'text',
    ['users = {ann = {}}', 'users.ann.enabled = true', '[users]\nann = {}'],
)
def test_what_cannot_be_changed_is_left_as_it_is(path: str, text: str) -> None:
    write(path, text)
    with pytest.raises(SettingError, match='only people can change'):
        disable(path, 'ann')
    assert Path(path).read_text() == text


@pytest.mark.parametrize(
    ('name', 'keys', 'groups'),
    [
        ('ann', [], []),
        ('a b', [], []),
        ('bob', ['nonsense'], []),
        ('bob', [key(1)], []),
        ('bob', [], ['a b']),
    ],
)
def test_a_bad_addition_changes_nothing(
    path: str, name: str, keys: list[str], groups: list[str]
) -> None:
    add_user(path, 'ann', [key(1)], [])
    before = Path(path).read_bytes()
    with pytest.raises(directory_file.FleetError):
        add_user(path, name, keys, groups)
    assert Path(path).read_bytes() == before


def test_no_such_user_to_disable(path: str) -> None:
    write(path, '')
    with pytest.raises(SettingError, match='there is no user ann'):
        disable(path, 'ann')


def test_nowhere_to_write(tmp_path: Path) -> None:
    with pytest.raises(DirectoryUnavailable, match='cannot change'):
        add_user(str(tmp_path / 'missing' / 'users.toml'), 'ann', [], [])


def test_a_link_stays_a_link(path: str, tmp_path: Path) -> None:
    real = tmp_path / 'real.toml'
    real.write_text('# ours\n')
    os.symlink(real, path)
    add_user(path, 'ann', [], [])
    assert os.path.islink(path)
    assert real.read_text().startswith('# ours\n')


def test_no_addition_is_lost(path: str) -> None:
    def add(first: int) -> None:
        for number in range(first, 40, 4):
            add_user(path, f'u{number}', [key(number)], [])

    threads = [threading.Thread(target=add, args=[n]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(FileDirectory(path).users())) == 40
