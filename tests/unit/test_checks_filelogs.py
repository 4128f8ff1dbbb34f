"""Files are read from the store as Mercurial would read them."""

from __future__ import annotations

import os
import random
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Before Mercurial looks for it, which it does once.
os.environ['HGRCPATH'] = ''

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mercurial import context, error, mdiff
from mercurial.node import bin, nullid, nullrev

from hgext3rd.checks import filelogs, hunks
from hgext3rd.fleet import compat
from testlib import incoming

READERS = ('quickly', 'by Mercurial')


@pytest.fixture
def repo(tmp_path: Path) -> Iterator[Any]:
    with incoming.opened(tmp_path) as repo:
        yield repo


@pytest.fixture(params=READERS)
def reader(request: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param != READERS[0]:
        monkeypatch.setattr(compat, 'unpacker', lambda log: None)
    return str(request.param)


def commit(
    repo: Any, data: bytes, path: bytes = b'a', source: Any = None
) -> None:
    """Commit one file, which may be a copy."""

    def made(repo: Any, ctx: Any, name: bytes) -> Any:
        return context.memfilectx(repo, ctx, name, data, copysource=source)

    parents = (repo[b'tip'].node(), nullid)
    context.memctx(
        repo, parents, b'text', [path], made, user=b'ann', date=(0, 0)
    ).commit()


def knows(repo: Any) -> bool:
    """Tell whether it is known how this Mercurial stores revisions."""
    return compat.unpacker(repo.changelog) is not None


def compare(repo: Any) -> int:
    """Compare all files with what Mercurial tells; return their number."""
    push = incoming.push_of(repo)
    count = 0
    for change in push.changes:
        for file in change.files:
            log = repo.file(file.path.encode())
            node = repo[bin(change.node)][file.path.encode()].filenode()
            before = log.parents(node)[0]
            assert file.data == log.read(node)
            assert file.size == log.size(log.rev(node))
            assert file.added == (
                log.read(node)
                if before == nullid
                else hunks.between(log.revision(before), log.revision(node))[1]
            )
            count += 1
    return count


@pytest.mark.parametrize(
    ('start', 'end', 'data'),
    [
        (6, 7, b'secret'),  # a part of a line
        (0, 14, b'first\nsecret\nlast\n'),  # more than what changed
        (50, 60, b'secret'),  # not in the text
        (3, 1, b'secret'),
    ],
)
def test_a_delta_of_any_kind_hides_nothing(
    repo: Any,
    monkeypatch: pytest.MonkeyPatch,
    start: int,
    end: int,
    data: bytes,
) -> None:
    commit(repo, b'first\n-\nlast\n' + b'more\n' * 9)
    commit(repo, b'first\nsecret\nlast\n' + b'more\n' * 9)
    forged = struct.pack('>lll', start, end, len(data)) + data
    sound = filelogs.FileLogs._unpacked
    monkeypatch.setattr(
        filelogs.FileLogs,
        '_unpacked',
        lambda logs, one: sound(logs, one) if one.is_whole else forged,
    )
    push = incoming.push_of(repo)
    _first, second = push.changes
    assert b'secret\n' in second.files[0].added


TEXT = st.text('ab\n', max_size=8).map(str.encode)


@given(
    old=TEXT,
    places=st.lists(st.integers(0, 8), max_size=6).map(sorted),
    parts=st.lists(TEXT, min_size=3, max_size=3),
)
def test_lines_that_come_are_never_hidden(
    old: bytes, places: list[int], parts: list[bytes]
) -> None:
    delta, new, done = b'', b'', 0
    for start, end, data in zip(places[::2], places[1::2], parts, strict=False):
        delta += struct.pack('>lll', start, end, len(data)) + data
        new += old[done:start] + data
        done = end
    new += old[done:]
    came = hunks.lines(old, delta)
    if came is None:
        return
    assert not places[1::2] or places[-1 - len(places) % 2] <= len(old)
    missing = Counter(new.splitlines(True)) - Counter(old.splitlines(True))
    assert not missing - Counter(came.splitlines(True))


@pytest.mark.parametrize('old', [b'', b'a', b'a\n', b'a\nb', b'b\na\n'])
@pytest.mark.parametrize('new', [b'', b'a', b'a\n', b'a\nb', b'a\nc\nb\n'])
def test_deltas_of_mercurial_are_of_lines(old: bytes, new: bytes) -> None:
    delta = mdiff.textdiff(old, new)
    assert hunks.lines(old, delta) == hunks.between(old, new)[1]


@pytest.mark.parametrize('cut', [1, 11])
def test_half_a_delta_is_none(cut: int) -> None:
    assert hunks.lines(b'a\n', struct.pack('>lll', 0, 0, 0)[:cut]) is None


def test_revisions_are_read_in_any_order(repo: Any) -> None:
    texts = [b'line\n' * 50 + b'%d\n' % n + b'more\n' * 50 for n in range(12)]
    for text in texts:
        commit(repo, text)
    log = repo.file(b'a')
    if not knows(repo):
        return
    chance = random.Random(5)
    logs = filelogs.FileLogs(repo)
    deltas = 0
    for _time in range(50):
        rev = chance.randrange(1, len(texts))
        stored = logs.stored(b'a', log.node(rev))
        if stored is not None:
            assert logs.came(b'a', stored) == b'%d\n' % rev
            deltas += 1
    assert deltas > 10


# Mercurial leaves open what it splits.
@pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')
def test_a_file_that_grows_out_of_its_index(repo: Any, reader: str) -> None:
    chance = random.Random(1)
    text = b''
    for _time in range(12):
        text += b'%x\n' % chance.getrandbits(8 * 16_000)
        commit(repo, text)
    assert not repo.file(b'a')._revlog._inline
    assert compare(repo) == 12


def test_content_of_many_kinds(repo: Any, reader: str) -> None:
    texts = (b'', b'a', b'a\n' * 9999, b'\0', b'u', b'\1\nx\n\1\n', b'', b'a')
    for text in texts:
        commit(repo, text)
        commit(repo, text, b'other')
    assert compare(repo) > len(texts)


def test_copies_have_no_metadata(repo: Any, reader: str) -> None:
    commit(repo, b'line\n' * 3)
    commit(repo, b'line\n' * 3, b'b', b'a')
    commit(repo, b'line\n' * 4, b'b')
    assert compare(repo) == 3


def test_what_is_damaged_is_not_read(repo: Any, reader: str) -> None:
    commit(repo, b'one line\n')
    path = repo.svfs.join(b'data/a.i')
    stored = Path(os.fsdecode(path)).read_bytes()
    Path(os.fsdecode(path)).write_bytes(stored.replace(b'line', b'LINE'))
    push = incoming.push_of(repo)
    file = next(iter(push.changes)).files[0]
    for what in ('data', 'added', 'size'):
        with pytest.raises(error.StorageError):
            getattr(file, what)


def test_damaged_changesets_are_not_read(repo: Any) -> None:
    commit(repo, b'one')
    log = repo.changelog
    if not knows(repo):
        return
    chunk = log._inner._chunk
    log._inner._chunk = lambda rev: bytes(chunk(rev)).replace(b'ann', b'bob')
    push = incoming.push_of(repo)
    log._inner._revision_cache = None
    with pytest.raises(error.StorageError):
        next(iter(push.changes))


def test_most_files_are_read_quickly(repo: Any) -> None:
    commit(repo, b'a\n' * 9)
    commit(repo, b'a\n' * 10)
    logs = filelogs.FileLogs(repo)
    log = repo.file(b'a')
    if not knows(repo):
        assert logs.stored(b'a', log.node(0)) is None
        return
    whole, delta = (logs.stored(b'a', log.node(rev)) for rev in range(2))
    assert whole
    assert delta
    assert (whole.is_whole, delta.is_whole) == (True, False)
    assert delta.size == 20
    assert logs.came(b'a', delta) == b'a\n'
    assert log.linkrev(0) != nullrev
    assert logs.stored(b'a', b'\1' * 20) is None
    assert logs.stored(b'none', log.node(0)) is None


# Mercurial leaves open what it splits.
@pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')
def test_what_is_large_is_not_kept(repo: Any) -> None:
    commit(repo, random.Random(1).randbytes(1 << 18))
    logs = filelogs.FileLogs(repo)
    node = repo.file(b'a').node(0)
    assert len(repo.svfs.read(b'data/a.i')) > 1 << 18
    assert logs.stored(b'a', node) is None
    assert compare(repo) == 1


def test_other_revlogs_are_left_to_mercurial(repo: Any) -> None:
    commit(repo, b'a')
    data = repo.svfs.read(b'data/a.i')
    assert (compat.inline_index(data) is not None) == knows(repo)
    for other in (b'', data[:3], b'\0\0\0\1' + data[4:], data[:60]):
        assert compat.inline_index(other) is None
