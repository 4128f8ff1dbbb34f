"""One node for all tests of a process; each has a repository of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from testlib.doors import SETTINGS, Doors
from testlib.warmnode import WarmNode


@pytest.fixture(scope='session')
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    """The node, whose warm server runs."""
    folder = tmp_path_factory.mktemp('advisories')
    with WarmNode(folder / 'fleet', suite=True, settings=SETTINGS) as node:
        (folder / 'work').mkdir()
        yield Doors(node, folder / 'work' / 'trap')


@pytest.fixture(autouse=True)
def nothing_ran(doors: Doors) -> Iterator[None]:
    """After each test, nothing that a client has smuggled in was run."""
    yield
    assert not os.path.lexists(doors.trap)
