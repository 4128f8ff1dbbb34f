"""The pushlog's files: what is recorded is found, and nothing else is."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgext3rd.fleet.core.applied import View
from hgext3rd.pushlog import store
from hgext3rd.pushlog.store import Push, Pushlog, PushlogDamaged, PushRefused
from testlib.pushlogged import Repo


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path)


names = st.text(
    st.characters(exclude_categories=['Cs'], exclude_characters='\n'),
    min_size=1,
    max_size=8,
)


@st.composite
def histories(draw: st.DrawFn, most: int = 12) -> list[Push]:
    users = draw(st.lists(names, min_size=1, max_size=3))
    found: list[Push] = []
    first, time = 0, draw(st.integers(-(10**6), 10**13))
    for id in range(1, draw(st.integers(0, most)) + 1):
        time += draw(st.integers(0, 2500))
        count = draw(st.integers(1, 4))
        user = draw(st.sampled_from(users))
        found.append(Push(id, user, time, first, count))
        first += count
    return found


@contextlib.contextmanager
def recorded(pushes: list[Push]) -> Iterator[Repo]:
    with tempfile.TemporaryDirectory() as folder:
        repo = Repo(Path(folder))
        repo.record(*pushes)
        yield repo


@given(pushes=histories())
def test_what_is_recorded_is_found(pushes: list[Push]) -> None:
    with recorded(pushes) as repo, store.read(repo) as log:
        assert list(log) == pushes
        assert len(log) == len(pushes)
        assert log.last() == (pushes[-1] if pushes else None)
        for id in range(-1, len(pushes) + 2):
            one = [push for push in pushes if push.id == id]
            assert log.by_id(id) == (one[0] if one else None)
        end = pushes[-1].end if pushes else 0
        for rev in range(-2, end + 2):
            one = [push for push in pushes if rev in push.revisions]
            assert log.of_revision(rev) == (one[0] if one else None)
        assert list(log.tips()) == [push.end - 1 for push in pushes]
        assert log.users() == list(dict.fromkeys(p.user for p in pushes))


@given(
    pushes=histories(),
    after=st.integers(-2, 14),
    upto=st.integers(-2, 14),
    block=st.integers(1, 5),
)
def test_what_is_between_is_found(
    pushes: list[Push], after: int, upto: int, block: int
) -> None:
    between = [push for push in pushes if after < push.id <= upto]
    with (
        pytest.MonkeyPatch.context() as patch,
        recorded(pushes) as repo,
        store.read(repo) as log,
    ):
        patch.setattr(store, '_BLOCK', block)
        assert list(log.between(after, upto)) == between
        for user in log.users():
            mine = [push for push in between if push.user == user]
            assert list(log.by_user(user.__eq__, after, upto)) == mine
        assert list(log.by_user(lambda _user: True)) == pushes
        assert list(log.by_user(lambda _user: False)) == []
        assert list(log.tips()) == [push.end - 1 for push in pushes]


@given(pushes=histories(), date=st.integers(-2000, 10**10))
def test_dates_are_found_in_whole_seconds(
    pushes: list[Push], date: int
) -> None:
    with recorded(pushes) as repo, store.read(repo) as log:
        for limit in [date, *(push.date for push in pushes)]:
            early = [push for push in pushes if push.date <= limit]
            assert log.until(lambda one, by=limit: one <= by) == len(early)


def after(pushes: list[Push], more: list[Push]) -> list[Push]:
    """Return ``more``, changed to follow ``pushes``."""
    last = pushes[-1] if pushes else Push(0, '', -(10**9), 0, 0)
    return [
        Push(
            last.id + push.id,
            push.user,
            max(last.time, push.time),
            last.end + push.first,
            push.count,
        )
        for push in more
    ]


@given(pushes=histories(), more=histories(), cut=st.integers(0, 400))
def test_an_open_transaction_is_not_seen_and_leaves_nothing(
    pushes: list[Push], more: list[Push], cut: int
) -> None:
    with recorded(pushes) as repo:
        before = repo.content()
        changelog = repo.changelog
        tr = repo.record(*after(pushes, more))
        repo.changelog = changelog
        whole = repo.content()[0]
        written = len(whole) - cut % (len(whole) - len(before[0]) + 1)
        repo.file().write_bytes(whole[:written])
        with store.read(repo) as log:
            assert list(log) == pushes
        repo.file().write_bytes(whole)
        tr.abort()
        assert repo.content() == before


@pytest.mark.parametrize(
    ('push', 'reason'),
    [
        (Push(2, 'bob', 5, 3, 1), 'id 3'),
        (Push(4, 'bob', 5, 3, 1), 'id 3'),
        (Push(3, 'bob', 5, 2, 1), 'start at revision 3'),
        (Push(3, 'bob', 5, 4, 1), 'start at revision 3'),
        (Push(3, 'bob', 5, 3, 0), 'cannot have 0'),
        (Push(3, 'bob', 5, 3, -1), 'cannot have -1'),
        (Push(3, 'bob', 5, 3, 2**32), 'cannot have 4294967296'),
        (Push(3, 'bob', 4, 3, 1), 'before that of the last'),
        (Push(3, 'bob', 2**63, 3, 1), 'no time'),
        (Push(3, '', 5, 3, 1), 'no proper user'),
        (Push(3, 'b\nob', 5, 3, 1), 'no proper user'),
        (Push(3, '\udcff', 5, 3, 1), 'no proper user'),
    ],
)
def test_what_does_not_follow_is_refused(
    repo: Repo, push: Push, reason: str
) -> None:
    repo.record(Push(1, 'al', 4, 0, 1), Push(2, 'bob', 5, 1, 2))
    before = repo.content()
    with pytest.raises(PushRefused, match=reason):
        repo.record(push)
    assert repo.content() == before


def test_the_first_push_is_push_1_at_revision_0(repo: Repo) -> None:
    for push in (Push(2, 'al', 0, 0, 1), Push(1, 'al', 0, 1, 1)):
        with pytest.raises(PushRefused):
            repo.record(push)
    repo.record(Push(1, 'al', -5, 0, 1))


def test_nothing_is_recorded_onto_half_a_record(repo: Repo) -> None:
    repo.record(Push(1, 'al', 0, 0, 1))
    with repo.file().open('ab') as file:
        file.write(b'x')
    with pytest.raises(PushlogDamaged):
        repo.record(Push(2, 'al', 0, 1, 1))


def test_no_more_is_read_than_the_node_shows(repo: Repo) -> None:
    pushes = [Push(id, f'u{id}', id, id - 1, 1) for id in range(1, 6)]
    repo.record(*pushes)
    for shown, revisions in ((0, 0), (3, 3), (5, None), (9, None)):
        view = View(seq=shown, push_id=shown, revisions=revisions)
        repo._fleetview = view  # type: ignore[attr-defined]
        assert store.limit(repo) == shown
        with store.read(repo) as log:
            assert list(log) == pushes[:shown]
            assert log.by_id(shown + 1) is None
            assert log.of_revision(shown) is None
            assert list(log.by_user(lambda _user: True)) == pushes[:shown]
            assert list(log.tips()) == [p.first for p in pushes[:shown]]


def test_a_reader_keeps_what_it_has_opened(repo: Repo) -> None:
    repo.record(Push(1, 'al', 0, 0, 1))
    with store.read(repo) as log:
        repo.record(Push(2, 'bob', 1, 1, 1))
        assert len(log) == 1
        assert log.of_revision(1) is None
        repo.file().unlink()
        assert [push.user for push in log] == ['al']


def test_records_that_cannot_be_right_are_an_error(repo: Repo) -> None:
    repo.record(*(Push(id, 'al', 0, id - 1, 1) for id in (1, 2, 3)))
    data = bytearray(repo.file().read_bytes())
    data[store.RECORD.size + 15] = 7  # the user of push 2
    repo.file().write_bytes(data)
    with store.read(repo) as log:
        assert log.by_id(1) is not None
        with pytest.raises(PushlogDamaged, match='push 2'):
            log.by_id(2)
        with pytest.raises(PushlogDamaged, match='push 2'):
            list(log)


def test_a_file_that_is_cut_while_it_is_read_is_an_error(repo: Repo) -> None:
    repo.record(*(Push(id, 'al', 0, id - 1, 1) for id in (1, 2, 3)))
    with store.read(repo) as log:
        os.truncate(repo.file(), store.RECORD.size)
        assert log.by_id(1) is not None
        with pytest.raises(PushlogDamaged, match='ended before push 3'):
            log.by_id(3)


def test_closing_twice_is_harmless(repo: Repo) -> None:
    log = Pushlog(repo.svfs)
    log.close()
    log.close()
    assert list(log) == []


def test_a_look_up_reads_a_few_records_of_many(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = (
        store.pack(Push(id, 'al', id, id - 1, 1), 0) for id in range(1, 4097)
    )
    repo.file().write_bytes(b''.join(records))
    repo.file(store.USERS).write_bytes(store.line('al'))
    repo.changelog = range(4096)
    reads: list[int] = []
    pread = store.os.pread

    def counted(fd: int, size: int, offset: int) -> bytes:
        reads.append(size)
        return pread(fd, size, offset)

    monkeypatch.setattr(store, 'os', SimpleNamespace(**vars(store.os)))
    monkeypatch.setattr(store.os, 'pread', counted)
    with store.read(repo) as log:
        assert len(reads) == 1
        assert log.by_id(77) is not None
        assert len(reads) == 2
        assert log.of_revision(3000) is not None
        assert len(reads) <= 2 + 13 + 1
    assert set(reads) == {store.RECORD.size}
