"""What is left of a copy that could not be made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleetpash import acts
from fleetpash.asker import Asker
from fleetpash.grammar import Clone
from hgext3rd.fleet.core.access import Rules
from hgext3rd.fleet.core.errors import LedgerError
from hgext3rd.fleet.ports import User
from hgext3rd.replicate import follow
from testlib import hgrepo


@pytest.mark.parametrize('pushed', [False, True])
def test_a_copy_that_fails_takes_no_push_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pushed: bool
) -> None:
    node = hgrepo.make_node(tmp_path)
    hgrepo.commit(hgrepo.open_repository(hgrepo.create(node, 'source')), b'1')
    rules = Rules.parse([('**', '*:admin')])
    asker = Asker(node.ui, User('ann', frozenset(), True, ()), rules)

    def fill(asker: Asker, hosted: Any, *source: str) -> None:
        if pushed:
            hgrepo.commit(hgrepo.open_repository(hosted), b'2')
        raise LedgerError('another push came first')

    monkeypatch.setattr(acts, '_fill', fill)
    with pytest.raises(LedgerError):
        acts.clone(asker, 'ssh://host/', Clone('a/copy', 'source'))
    assert follow.catch_up(node.hosted('a/copy')).state.exists is pushed
