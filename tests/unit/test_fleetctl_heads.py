"""Counting heads, and remembering how many there are."""

from __future__ import annotations

from pathlib import Path

from hgext3rd.fleet.core.applied import View
from hgext3rd.fleetctl.heads import Heads
from testlib.mirror import Mirror, two_repositories


def count(mirror: Mirror, memory: Path) -> int | None:
    with Heads(str(memory)) as heads:
        path = str(mirror.root / 'a')
        return heads.count('a', path, View(seq=2, push_id=1))


def test_what_is_counted_is_remembered(tmp_path: Path) -> None:
    mirror, memory = two_repositories(tmp_path / 'node'), tmp_path / 'heads'
    assert count(mirror, memory) == 1
    memory.write_text('{"a": {"2": 7}}')
    assert count(mirror, memory) == 7


def test_it_is_counted_where_nothing_can_be_remembered(tmp_path: Path) -> None:
    mirror = two_repositories(tmp_path / 'node')
    (tmp_path / 'file').touch()
    assert count(mirror, tmp_path / 'file' / 'heads') == 1
    (tmp_path / 'folder').mkdir()
    assert count(mirror, tmp_path / 'folder') == 1
