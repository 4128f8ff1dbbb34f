"""What a ledger that forgets may lose, and snapshots that nothing lists."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgext3rd.fleet.core.retention import Keeping, Uncovered, endangered
from hgext3rd.fleetctl import survey
from hgext3rd.replicate import shelf, snapshot
from hgext3rd.replicate.node import Hosted
from hgext3rd.replicate.opening import open_repository
from testlib.hgrepo import commit, create, make_node

DAY = 86400.0


@given(st.lists(st.builds(Uncovered, st.text(), st.integers(), st.floats(0))))
def test_a_ledger_that_keeps_everything_endangers_nothing(
    some: list[Uncovered],
) -> None:
    assert Keeping().forever
    assert endangered(Keeping(), some, 1e9) == []


def test_by_age_it_is_told_in_good_time() -> None:
    keeping = Keeping(10 * DAY)
    assert endangered(keeping, [Uncovered('a', 3, 0.0)], 4.9 * DAY) == []
    (said,) = endangered(keeping, [Uncovered('a', 3, 0.0)], 6 * DAY)
    assert said == (
        'entry 3 of a is in no snapshot, and the ledger deletes it in 4.0 days'
    )


def test_by_size_nobody_can_say_when() -> None:
    keeping = Keeping(math.inf, 1e9)
    (said,) = endangered(keeping, [Uncovered('a', 3, 0.0)], 0.0)
    assert said.endswith('when the ledger has grown enough')


@pytest.fixture
def hosted(tmp_path: Path) -> Hosted:
    hosted = create(make_node(tmp_path, 'p1'))
    commit(open_repository(hosted).unfiltered(), b'1\n')
    return hosted


def look(hosted: Hosted) -> survey.Survey:
    node = hosted.node
    return survey.read(node.ledger, node.settings.partitions)


def test_what_a_snapshot_lacks_is_uncovered(hosted: Hosted) -> None:
    (one,) = look(hosted).uncovered
    assert (one.repo, one.seq) == ('demo', 1)
    snapshot.take(hosted)
    assert look(hosted).uncovered == []
    commit(open_repository(hosted).unfiltered(), b'2\n')
    commit(open_repository(hosted).unfiltered(), b'3\n')
    (one,) = look(hosted).uncovered
    assert (one.repo, one.seq) == ('demo', 3)


def test_only_a_snapshot_that_nothing_lists_is_nobodys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosted = create(make_node(tmp_path, 'p1', inline_limit='1'))
    node = hosted.node
    repo = open_repository(hosted).unfiltered()
    commit(repo, b'1\n')
    listed = snapshot.take(hosted).snapshot.blob
    commit(repo, b'2\n')
    # Killed between storing and listing.
    monkeypatch.setattr(shelf, 'put', lambda *_args: None)
    lost = snapshot.take(hosted).snapshot.blob
    assert lost
    assert listed
    assert lost != listed
    # The payload of a push that was refused may be one of a push under way.
    node.blobs.put([b'HG20\0\0\0\0\0\0\0\0'])
    node.blobs.put([b'nothing that is known'])
    names = list(node.blobs.names())
    assert len(names) == 6
    now = node.clock.wall()
    known = look(hosted)
    assert list(survey.orphans(node, names, known, now)) == []
    later = now + survey.DAY + 1
    assert list(survey.orphans(node, names, known, later)) == [lost]
