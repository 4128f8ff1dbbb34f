"""What is remembered of a directory, for when it is away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hgext3rd.fleet.adapters.clock_system import SystemClock
from hgext3rd.fleet.adapters.directory_memory import Memory, Remembering
from hgext3rd.fleet.core.errors import DirectoryUnavailable
from hgext3rd.fleet.ports import User

KEY = (
    'ssh-ed25519 '
    'AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
)
ANN = User('ann', frozenset(), True, (KEY,))


class Directory:
    """One that knows ann, and by which keys; or is away."""

    keys: tuple[str, ...] = (KEY,)
    away = False

    def user(self, name: str) -> User | None:
        if self.away:
            raise DirectoryUnavailable('away')
        known = User('ann', frozenset(), True, self.keys)
        return known if name == 'ann' else None

    def owner(self, key: str) -> User | None:
        user = self.user('ann')
        return user if key in self.keys else None

    def users(self) -> Iterator[User]:
        return iter(())

    def seen(self, name: str) -> None:
        """Nothing is noted."""

    def close(self) -> None:
        """Nothing is open."""


def remembering(folder: Path, inner: Directory) -> Remembering:
    memory = Memory(str(folder / 'proven.db'), 100, SystemClock())
    return Remembering(inner, memory, 3600.0)


def test_who_held_a_key_gets_in(tmp_path: Path) -> None:
    inner = Directory()
    assert remembering(tmp_path, inner).owner(KEY) == ANN
    inner.away = True
    assert remembering(tmp_path, inner).owner(KEY) == ANN


def test_a_key_that_was_taken_away_is_forgotten(tmp_path: Path) -> None:
    inner = Directory()
    assert remembering(tmp_path, inner).owner(KEY) == ANN
    inner.keys = ()
    assert remembering(tmp_path, inner).owner(KEY) is None
    inner.away = True
    with pytest.raises(DirectoryUnavailable):
        remembering(tmp_path, inner).owner(KEY)
    assert remembering(tmp_path, inner).user('ann') == ANN
