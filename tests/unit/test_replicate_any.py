"""Any transaction, of whatever content, arrives as it was on other nodes."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mercurial import phases

from hgext3rd.replicate.follow import catch_up
from hgext3rd.replicate.opening import open_repository
from testlib.changes import Change
from testlib.hgrepo import create, make_node, picture

SEEDS = 150 if os.environ.get('HGFLEET_THOROUGH') else 6
STEPS = 8


@pytest.mark.parametrize('seed', range(SEEDS))
def test_any_transaction_arrives(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    primaries = [
        make_node(tmp_path, name, inline_limit='400 b') for name in ('p1', 'p2')
    ]
    create(primaries[0])
    mirrors = [make_node(tmp_path, name, 'mirror') for name in ('m1', 'm2')]
    for step in range(STEPS):
        hosted = chance.choice(primaries).hosted('demo')
        catch_up(hosted)
        Change(open_repository(hosted), chance).make()
        expected = picture(hosted)
        nodes = [
            *primaries,
            mirrors[0],
            *(mirrors if step == STEPS - 1 else []),
        ]
        for node in nodes:
            copy = node.hosted('demo')
            catch_up(copy)
            assert picture(copy) == expected


def test_a_changeset_that_is_committed_once_more(tmp_path: Path) -> None:
    def secret(change: Change, tr: Any) -> None:
        change.again(tr)
        change.move(tr, phases.secret)

    _two_steps(tmp_path, secret)


def test_a_phase_that_is_moved_to_and_fro(tmp_path: Path) -> None:
    def to_and_fro(change: Change, tr: Any) -> None:
        for phase in (phases.secret, phases.public, phases.draft):
            change.move(tr, phase)

    _two_steps(tmp_path, to_and_fro)
    _two_steps(tmp_path / 'secret', to_and_fro, phases.secret)


def _two_steps(
    folder: Path,
    second: Callable[[Change, Any], None],
    first: int = phases.draft,
) -> None:
    """Commit one changeset, of that phase; then do something to it."""
    primary, mirror = make_node(folder), make_node(folder, 'm1', 'mirror')
    create(primary)
    hosted, copy = primary.hosted('demo'), mirror.hosted('demo')

    def begin(change: Change, tr: Any) -> None:
        change.commit(tr, 1)
        change.move(tr, first)

    for step in (begin, second):
        repo = open_repository(hosted)
        change = Change(repo, Last(0))
        with change.repo.lock(), change.repo.transaction(b'test') as tr:
            step(change, tr)
        catch_up(copy)
        assert picture(copy) == picture(hosted)


class Last(random.Random):
    """Chooses the last of everything."""

    def randrange(self, start: int, stop: int | None = None) -> int:  # type: ignore[override]
        return (start if stop is None else stop) - 1
