"""The first entry of a repository that was changed behind the ledger's back."""

from __future__ import annotations

from pathlib import Path

import pytest
from mercurial import error

from hgext3rd.replicate import check
from hgext3rd.replicate.opening import applying, open_repository
from testlib.hgrepo import commit, create, make_node


def test_it_is_refused(tmp_path: Path) -> None:
    """No other node could apply it."""
    hosted = create(make_node(tmp_path))
    with applying(open_repository(hosted)) as unfi:
        unknown = commit(unfi, b'unknown to the ledger\n')
    assert check.compare(hosted).found
    repo = open_repository(hosted).unfiltered()
    with (
        pytest.raises(error.Abort, match="behind the ledger's back"),
        repo.lock(),
        repo.transaction(b'bookmark') as tr,
    ):
        repo._bookmarks.applychanges(repo, tr, [(b'main', unknown)])
    assert hosted.applied().state.seq == 1
