"""A push by a client that saw what is not there any more."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from mercurial import bundle2, error, exchange, phases

from hgext3rd.fleet import compat
from hgext3rd.replicate.opening import open_repository
from testlib.hgrepo import commit, create, make_node, picture

GONE = b'\xeb' * 20


def push(repo: Any, seen: bytes) -> Any:
    """Push nothing, but state in which phase a changeset was seen."""
    bundle = bundle2.bundle20(repo.ui)
    bundle.newpart(b'check:phases', data=phases.binaryencode({0: [seen]}))
    sent = io.BytesIO(b''.join(bundle.getchunks()))
    unbundler = exchange.readbundle(repo.ui, sent, None)
    url = b'remote:ssh:127.0.0.1'
    return exchange.unbundle(repo, unbundler, [b'force'], b'serve', url)


def test_it_is_told_to_pull(tmp_path: Path) -> None:
    hosted = create(make_node(tmp_path))
    commit(open_repository(hosted), b'1')
    before = picture(hosted)
    with pytest.raises(error.PushRaced, match='pull and try again') as caught:
        push(open_repository(hosted), GONE)
    assert caught.value.duringunbundle2
    assert picture(hosted) == before


def test_what_is_only_remembered_does_not_count(tmp_path: Path) -> None:
    hosted = create(make_node(tmp_path))
    repo = open_repository(hosted)
    node = commit(repo, b'1')
    # As if it had been read at a moment that a crash has undone since.
    repo._bookmarks._refmap[b'gone'] = node
    commit(repo, b'2')
    assert picture(hosted)['bookmarks'] == {}
    assert len(picture(hosted)['changesets']) == 2


def test_a_reader_may_come_while_a_bookmark_moves(tmp_path: Path) -> None:
    hosted = create(make_node(tmp_path))
    repo = open_repository(hosted)
    old = commit(repo, b'1')
    obsoleted = commit(repo, b'2')
    with repo.lock(), repo.transaction(b'mark') as tr:
        repo.obsstore.create(tr, obsoleted, (), metadata={})
    reader = open_repository(hosted)
    assert len(reader.unfiltered().changelog) == 2
    writer = open_repository(hosted)

    def mark(tr: Any) -> None:
        change = [(b'here', writer[len(writer) - 1].node())]
        writer._bookmarks.applychanges(writer, tr, change)

    new = commit(writer, b'3', mark, parent=0)
    assert reader.filtered(b'visible').heads() in ([old], [new])
    assert open_repository(hosted).filtered(b'visible').heads() == [new]


def test_other_repositories_are_left_alone(tmp_path: Path) -> None:
    node = make_node(tmp_path)
    other = compat.repository(node.ui, bytes(tmp_path / 'else'), create=True)
    with pytest.raises(error.LookupError):
        push(other, GONE)
