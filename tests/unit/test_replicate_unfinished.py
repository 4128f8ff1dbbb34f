"""A transaction that is in the ledger, and could not be completed here."""

from __future__ import annotations

import errno
import io
from pathlib import Path
from typing import Any

import pytest
from mercurial import transaction

from hgext3rd.replicate.follow import catch_up
from hgext3rd.replicate.node import Hosted
from hgext3rd.replicate.opening import open_repository
from testlib.hgrepo import commit, create, make_node, picture

# Mercurial complains once more when such a transaction is collected.
pytestmark = pytest.mark.filterwarnings(
    'ignore::pytest.PytestUnraisableExceptionWarning'
)


def full(*_anything: object) -> None:
    raise OSError(errno.ENOSPC, 'No space left on device')


def said(hosted: Hosted) -> io.BytesIO:
    """Return what will hold the warnings of what is opened from now on."""
    found = io.BytesIO()
    hosted.node.ui.ferr = found
    return found


@pytest.mark.parametrize('where', ['_writeundo', '_generatefiles'])
def test_its_author_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    hosted = create(make_node(tmp_path))
    commit(open_repository(hosted), b'1')
    words = said(hosted)
    repo = open_repository(hosted)
    original: Any = getattr(transaction.transaction, where)

    def failing(tr: Any, *args: Any, **options: Any) -> Any:
        # Nothing of this is written before the entry is in the ledger.
        if where == '_writeundo' or options.get('group') == b'postfinalize':
            full()
        return original(tr, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(transaction.transaction, where, failing)
        with pytest.raises(OSError, match='No space'):
            commit(repo, b'2')
    assert b'demo: this change is in the ledger as entry 3' in words.getvalue()
    commit(open_repository(hosted), b'3')
    after = picture(hosted)
    assert (len(after['changesets']), after['seq']) == (3, 4)
    assert not after['journal']


def test_a_copy_of_it_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosted = create(make_node(tmp_path))
    commit(open_repository(hosted), b'1')
    copy = make_node(tmp_path, 'm1', 'mirror').hosted('demo')
    with monkeypatch.context() as patch:
        patch.setattr(transaction.transaction, '_writeundo', full)
        with pytest.raises(Exception, match='No space'):
            catch_up(copy)
    assert catch_up(copy).state.seq == 2
    assert picture(copy) == picture(hosted)
