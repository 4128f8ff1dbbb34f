"""Repositories that give way to others of the same name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from hgext3rd.replicate import changes, lifecycle
from hgext3rd.replicate.follow import catch_up
from hgext3rd.replicate.opening import open_repository
from testlib.hgrepo import create, make_node


def test_who_deletes_leaves_the_lock_of_the_next_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process has made it, and works in it, meanwhile."""
    node = make_node(tmp_path)
    hosted = create(node)
    next_ones: list[Any] = []
    rename = os.rename

    def slow(source: str, target: str) -> None:
        rename(source, target)
        if source == os.path.join(hosted.path, '.hg'):
            monkeypatch.setattr(lifecycle.os, 'rename', rename)
            other = open_repository(create(make_node(tmp_path)))
            next_ones.extend((other, other.lock()))

    monkeypatch.setattr(lifecycle.os, 'rename', slow)
    changes.delete(node.ui, hosted)
    _other, lock = next_ones
    there = os.path.lexists(os.path.join(hosted.path, '.hg/store/lock'))
    lock.release()
    assert there


def test_a_push_that_finds_another_repository_leaves_its_lock(
    tmp_path: Path,
) -> None:
    """It has the lock of the one that was deleted until it ends."""
    hosted = create(make_node(tmp_path))
    old = open_repository(hosted)
    elsewhere = make_node(tmp_path, 'p2')
    with old.lock():
        changes.delete(elsewhere.ui, elsewhere.hosted('demo'))
        create(elsewhere)
        catch_up(hosted, old)
        new = open_repository(hosted)
        lock = new.lock()
    there = os.path.lexists(os.path.join(hosted.path, '.hg/store/lock'))
    lock.release()
    assert there
