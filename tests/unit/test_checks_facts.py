"""What policies see of a push is what Mercurial would tell, in full."""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Before Mercurial looks for it, which it does once.
os.environ['HGRCPATH'] = ''

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mercurial import context, mdiff, phases
from mercurial.node import hex, nullid

from hgext3rd.checks import facts, hunks, manifests
from hgext3rd.checks.facts import ChangeFacts
from hgext3rd.checks.filelogs import FileLogs
from testlib import incoming, judged

FLAGS = ('', '', '', 'x', 'l')


def commit(
    repo: Any,
    parents: tuple[bytes, ...],
    files: dict[str, tuple[bytes, str] | None],
    **more: Any,
) -> bytes:
    """Commit, with the content and flags of files, or None for removed."""

    def made(repo: Any, ctx: Any, path: bytes) -> Any:
        found = files[path.decode()]
        if found is None:
            return None
        data, flags = found
        return context.memfilectx(
            repo, ctx, path, data, b'l' in flags.encode(), 'x' in flags
        )

    both = (*parents, nullid, nullid)[:2]
    names = [path.encode() for path in files]
    ctx = context.memctx(
        repo, both, b'text', names, made, user=b'ann', date=(0, 0), **more
    )
    node: bytes = repo.commitctx(ctx)
    return node


def grow(repo: Any, seed: int, count: int = 40) -> None:
    """Make a history of branches and merges, at random."""
    chance = random.Random(seed)
    nodes: list[bytes] = []
    for number in range(count):
        heads = [ctx.node() for ctx in (repo[n] for n in repo.heads())]
        several = len(nodes) > 1 and chance.random() < 0.2
        if several and len(heads) > 1:
            parents = tuple(chance.sample(heads, 2))
        else:
            parents = tuple(chance.sample(nodes[-4:], min(1, len(nodes))))
        files: dict[str, tuple[bytes, str] | None] = {}
        for _file in range(chance.randrange(1, 4)):
            path = f'd{chance.randrange(3)}/f{chance.randrange(8)}'
            there = any(path.encode() in repo[one] for one in parents)
            if there and chance.random() < 0.2:
                files[path] = None
            else:
                lines = b'line %d\n' * 3 % ((number,) * 3)
                files[path] = (lines, chance.choice(FLAGS))
        nodes.append(commit(repo, parents, files))


@pytest.fixture
def repo(tmp_path: Path) -> Iterator[Any]:
    with incoming.opened(tmp_path) as repo:
        yield repo


@pytest.mark.parametrize('seed', range(5))
def test_files_are_those_that_mercurial_finds(repo: Any, seed: int) -> None:
    grow(repo, seed)
    push = incoming.push_of(repo)
    changes = list(push.changes)
    assert len(changes) == 40
    for change in changes:
        _compare(repo, change)


def _compare(repo: Any, change: ChangeFacts) -> None:
    ctx = repo[change.rev]
    first = ctx.p1().manifest()
    whole = ctx.manifest()
    found = {file.path.encode() for file in change.files if not file.reverted}
    wanted = set(first.diff(whole))
    if len(ctx.parents()) > 1:
        wanted &= set(ctx.p2().manifest().diff(whole))
    assert found == wanted
    for file in change.files:
        path = file.path.encode()
        was = first.get(path) and first.flags(path).decode()
        assert file.before == was
        assert file.gone == (path not in whole)
        if not file.gone:
            assert file.flags == whole.flags(path).decode()
            assert file.data == ctx[path].data()
            assert file.size == ctx[path].size()
            assert file.added == _added(repo, ctx, path)
    assert change.is_sound
    assert not change.faults
    assert change.node.encode() == ctx.hex()


def _added(repo: Any, ctx: Any, path: bytes) -> bytes:
    """Return the lines that Mercurial would show as added to a file."""
    log = repo.file(path)
    before = log.parents(ctx[path].filenode())[0]
    if before == nullid:
        data: bytes = ctx[path].data()
        return data
    old, new = log.revision(before), log.revision(ctx[path].filenode())
    return hunks.between(old, new)[1]


def test_a_delta_of_parts_of_lines_hides_nothing(
    repo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = commit(repo, (), {'a': (b'0', ''), 'b': (b'0', ''), 'c': (b'0', '')})
    two = commit(repo, (one,), {'b': (b'1', 'x'), 'bb': (b'', '')})
    old, new = (repo[node].manifestnode() for node in (one, two))
    before, after = (repo[node].manifest().text() for node in (one, two))
    wanted = manifests.Manifests(repo).between(old, new)
    assert sorted(wanted) == [b'b', b'bb']
    # From within the name of the first file to before the end of a line.
    start, end = 1, 1
    assert (before[:start], before[-end:]) == (after[:start], after[-end:])
    sent = after[start : len(after) - end]
    header = struct.pack('>lll', start, len(before) - end, len(sent))
    found = manifests.Manifests(repo)
    monkeypatch.setattr(
        found._store, 'revdiff', lambda one, other: header + sent
    )
    assert found.between(old, new) == wanted
    assert found.is_sound(new)


@pytest.mark.parametrize(
    ('start', 'end', 'data', 'whole'),
    [
        (0, 2, b'x\n', True),
        (2, 2, b'x\ny\n', True),
        (2, 4, b'', True),
        (0, 6, b'', True),
        (6, 6, b'x\n', True),
        (1, 2, b'x\n', False),
        (0, 1, b'x', False),
        (0, 1, b'x\n', False),
        (0, 2, b'x', False),
        (1, 3, b'', False),
        (3, 3, b'\nx', False),
    ],
)
def test_only_whole_lines_are_lines(
    start: int, end: int, data: bytes, whole: bool
) -> None:
    delta = struct.pack('>lll', start, end, len(data)) + data
    text = bytearray(b'a\nb\nc\n')
    old = bytes(text)
    found = hunks.apply(text, delta)
    assert bytes(text) == old[:start] + data + old[end:]
    assert found == ((old[start:end], data) if whole else None)


def test_manifests_are_read_in_any_order(repo: Any) -> None:
    grow(repo, 7)
    nodes = [repo[rev].manifestnode() for rev in repo] + [nullid]
    chance = random.Random(7)
    fast = manifests.Manifests(repo)
    slow = manifests.Manifests(repo)
    slow._flat = False
    for _time in range(200):
        old, new = chance.choice(nodes), chance.choice(nodes)
        assert fast.between(old, new) == slow.between(old, new)
        if new != nullid:
            assert fast.is_sound(new)
            assert sorted(fast.paths(new)) == sorted(slow.paths(new))


def test_a_damaged_manifest_is_noticed(repo: Any) -> None:
    grow(repo, 3, 5)
    found = manifests.Manifests(repo)
    node = repo[4].manifestnode()
    rev = found._store.rev(node)
    text = found._text(rev)
    text[0:1] = b'X'
    found._keep(rev, text)
    assert not found.is_sound(node)


SORTED = [b'a', b'b', b'd', b'e', b'f']


@pytest.mark.parametrize(
    ('old', 'new', 'ordered'),
    [
        ([], SORTED, True),
        ([], SORTED[::-1], False),
        (SORTED, [b'a', b'b', b'c', b'd', b'e', b'f'], True),
        (SORTED, [b'a', b'b', b'd', b'f'], True),
        (SORTED, [b'f'], True),
        (SORTED, [], True),
        (SORTED, [b'a', b'b', b'b', b'd', b'e', b'f'], False),
        (SORTED, [b'a', b'a', b'b', b'd', b'e', b'f'], False),
        (SORTED, [*SORTED, b'f'], False),
        (SORTED, [*SORTED, b'c'], False),
        (SORTED, [b'b', *SORTED], False),
        (SORTED, [b'a', b'', b'b', b'd', b'e', b'f'], False),
        (SORTED, [b'a', b'x', b'd', b'e', b'f'], False),
        (SORTED, [b'a', b'dd', b'd', b'e', b'f'], False),
    ],
)
def test_names_in_a_manifest_must_be_in_order(
    repo: Any,
    monkeypatch: pytest.MonkeyPatch,
    old: list[bytes],
    new: list[bytes],
    ordered: bool,
) -> None:
    before, after = (
        b''.join(b'%s\0%s\n' % (name, b'1' * 40) for name in each)
        for each in (old, new)
    )
    deltas = [mdiff.textdiff(before, after)]
    if before[:1] == after[:1]:  # from the middle of a line on
        header = struct.pack('>lll', 1, len(before), len(after) - 1)
        deltas.append(header + after[1:])
    commit(repo, (), {'a': (b'', '')})
    for delta in deltas:
        push = incoming.push_of(repo)
        found = push.manifests
        found._texts[-1] = bytearray(before)
        monkeypatch.setattr(found, '_look', lambda rev: before)
        monkeypatch.setattr(
            found._store, 'revdiff', lambda one, other, delta=delta: delta
        )
        (change,) = push.changes
        faults = (
            [] if ordered else ['the names in its manifest are not in order']
        )
        assert change.faults == faults
        assert bytes(found._texts[0]) == after


def test_only_added_lines_are_added(repo: Any) -> None:
    lines = [b'%d\n' % number for number in range(50)]
    one = commit(repo, (), {'a': (b''.join(lines), '')})
    lines[20] = b'changed\n'
    lines.append(b'more\n')
    commit(repo, (one,), {'a': (b''.join(lines), ''), 'b': (b'all\n', '')})
    change = next(iter(incoming.push_of(repo, 1).changes))
    added = {file.path: file.added for file in change.files}
    assert added == {'a': b'changed\nmore\n', 'b': b'all\n'}


@pytest.mark.parametrize('size', [0, 1 << 15])
def test_lines_of_a_revision_that_no_changeset_has(
    repo: Any, size: int
) -> None:
    tr = repo.currenttransaction()
    log = repo.file(b'a', writable=True)
    start = b''.join(b'%d\n' % one for one in range(size)) + b'start\n'
    old = log.add(start, {}, tr, 0, nullid, nullid)
    between = log.add(start + b'secret\n', {}, tr, 0, old, nullid)
    new = log.add(start + b'secret\nmore\n', {}, tr, 0, between, nullid)

    def added(*olds: bytes) -> bytes:
        was = [hex(one) for one in olds]
        return facts.FileFacts(
            FileLogs(repo),
            *(b'a', was[0] if was else None, hex(new)),
            other=was[1] if len(was) > 1 else None,
        ).added

    assert added(between) == b'more\n'
    assert added(old) == b'secret\nmore\n'
    assert added(old, between) == b'more\n'
    assert added() == start + b'secret\nmore\n'


def test_names_that_differ_only_by_case(repo: Any) -> None:
    names = ('a', 'A', 'b/x', 'B/X', 'b/y', 'ab')
    commit(repo, (), {name: (b'', '') for name in names})
    change = next(iter(incoming.push_of(repo).changes))
    slow = manifests.Manifests(repo)
    slow._flat = False
    for name, others in (
        *(('a', ['A']), ('A', ['a']), ('b/x', ['B/X']), ('b/y', [])),
        *(('AB', ['ab']), ('c', []), ('B', [])),
    ):
        assert change.alike(name) == others
        node = repo[0].manifestnode()
        found = slow.alike(node, name.encode())
        assert [one.decode() for one in found] == others


def test_a_file_where_another_needs_a_folder(repo: Any) -> None:
    names = ('a', 'a-b', 'a.d/x', 'b/c/d', 'b/c-d', 'b/c.d', 'z')
    commit(repo, (), {name: (b'', '') for name in names})
    (change,) = incoming.push_of(repo).changes
    for name, other in (
        *((one, None) for one in names),
        *(('a/b', 'a'), ('a/b/c', 'a'), ('b', 'b/c-d'), ('b/c', 'b/c/d')),
        *(('b/c/d/e/f', 'b/c/d'), ('b/c/e', None), ('A/b', None), ('', None)),
        *(('a.d', 'a.d/x'), ('z/z', 'z'), ('zz/z', None), ('a0/b', None)),
    ):
        assert change.in_the_way(name) == other


def test_a_merge_that_throws_work_away_changes_its_files(repo: Any) -> None:
    start = commit(repo, (), {'vendor': (b'old', ''), 'a': (b'0', '')})
    ours = commit(repo, (start,), {'vendor': (b'new', '')})
    theirs = commit(repo, (start,), {'a': (b'1', '')})
    commit(repo, (theirs, ours), {'a': (b'1', '')})
    change = next(iter(incoming.push_of(repo, 3).changes))
    assert [(f.path, f.reverted) for f in change.files] == [('vendor', True)]


def test_an_ordinary_merge_changes_nothing(repo: Any) -> None:
    start = commit(repo, (), {'b': (b'old', ''), 'a': (b'0', '')})
    ours = commit(repo, (start,), {'b': (b'new', ''), 'c': (b'', '')})
    theirs = commit(repo, (start,), {'a': (b'1', '')})
    commit(repo, (ours, theirs), {'a': (b'1', '')})
    assert next(iter(incoming.push_of(repo, 3).changes)).files == []


def test_heads_are_counted_before_and_after(repo: Any) -> None:
    start = commit(repo, (), {'a': (b'0', '')})
    one = commit(repo, (start,), {'a': (b'1', '')})
    commit(repo, (start,), {'a': (b'2', '')})
    push = incoming.push_of(repo, 2)
    assert len(push.heads('default')) == 2
    assert hex(one).decode() in push.heads('default')
    assert push.heads_before('default') == 1
    assert push.heads('none') == []


def test_a_hidden_head_that_becomes_public_counts(repo: Any) -> None:
    repo.ui.setconfig(b'experimental', b'evolution', b'all')
    tr = repo.currenttransaction()
    start = commit(repo, (), {'a': (b'0', '')})
    commit(repo, (start,), {'a': (b'1', '')})
    hidden = commit(repo, (start,), {'a': (b'2', '')})
    repo.obsstore.create(tr, hidden, ui=repo.ui)
    push = incoming.push_of(repo, 3)
    assert len(push.heads('default')) == push.heads_before('default') == 1
    assert not push.shown_again
    phases.advanceboundary(repo, tr, phases.public, [hidden])
    moved = incoming.Transaction(3)
    moved.changes[b'phases'] = [(range(2, 3), (phases.draft, phases.public))]
    push = facts.PushFacts(repo, moved, 'demo', 'ann', judged.World(), 0.0)
    assert push.shown_again == {'default'}
    assert len(push.heads('default')) == 2
    assert push.heads_before('default') == 1


def test_what_a_changeset_says_of_itself(repo: Any) -> None:
    extra = {b'branch': 'grün'.encode(), b'close': b'1', b'k': b'\xff'}
    commit(repo, (), {'a': (b'0', '')}, extra=extra)
    change = next(iter(incoming.push_of(repo).changes))
    assert change.branch == 'grün'
    assert change.closes
    assert change.extra['k'] == '\udcff'
    assert (change.author, change.description) == ('ann', 'text')
    assert change.parents == ()
    assert change.listed == {'a'}


def test_bookmarks_are_moves(repo: Any) -> None:
    moved = {b'new': (None, b'\1' * 20), b'gone': (b'\2' * 20, None)}
    transaction = incoming.Transaction(0, moved)
    world = judged.World()
    push = facts.PushFacts(repo, transaction, 'demo', 'ann', world, 0.0)
    assert [(b.name, b.old, b.new) for b in push.bookmarks] == [
        ('gone', '02' * 20, ''),
        ('new', '', '01' * 20),
    ]


@given(
    st.lists(st.sampled_from([b'a\n', b'b\n', b'c\n', b'dd\n'])),
    st.lists(st.sampled_from([b'a\n', b'b\n', b'c\n', b'dd\n'])),
)
def test_hunks_are_applied(old: list[bytes], new: list[bytes]) -> None:
    before, after = b''.join(old), b''.join(new)
    text = bytearray(before)
    found = hunks.apply(text, mdiff.textdiff(before, after))
    assert found == hunks.between(before, after)
    went, came = found
    assert bytes(text) == after
    assert len(before) - len(went) == len(after) - len(came)
