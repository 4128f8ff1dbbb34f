"""Any transaction, of whatever content, arrives as it was on other nodes."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

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
