"""The pushlog that the ledger's entries make."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mercurial import ui as uimod

from hgext3rd.fleet import adapters, settings
from hgext3rd.fleet.core import applied
from hgext3rd.fleet.core.applied import Applied
from hgext3rd.fleet.core.entry import FENCE_KEY, Entry, Kind, encode
from hgext3rd.fleet.core.ledger import RepoState
from hgext3rd.pushlog import rebuild
from hgext3rd.pushlog.rebuild import NotRebuilt
from hgext3rd.pushlog.store import Push
from testlib.pushlogged import Repo


def entry(seq: int, kind: Kind = Kind.PUSH, **fields: Any) -> Entry:
    known: dict[str, Any] = {
        'repo': 'demo',
        'prev': seq - 1,
        'node': 'p1',
        'user': 'al',
        'time': seq,
    }
    return Entry(kind, seq=seq, **{**known, **fields})


LIFE = [
    entry(1, Kind.CREATE),
    entry(2, push_id=1, changesets=2),
    entry(3, push_id=1),
    entry(4, Kind.CONFIG, push_id=1, user='root'),
    entry(5, push_id=2, changesets=3, user='bob'),
    entry(6, push_id=3, changesets=1),
]
PUSHES = [
    Push(1, 'al', 2, 0, 2),
    Push(2, 'bob', 5, 2, 3),
    Push(3, 'al', 6, 5, 1),
]
SECOND = [Push(1, 'bob', 9, 0, 4)]
SECOND_LIFE = [
    entry(7, Kind.DELETE, push_id=3),
    entry(8, Kind.CREATE),
    entry(9, push_id=1, changesets=4, user='bob'),
]


class Node:
    """A node with a repository, and a ledger to write into."""

    def __init__(self, folder: Path) -> None:
        self.ui = uimod.ui()
        settings.declare(self.ui)
        values = {
            'node': 'm1',
            'root': folder / 'repos',
            'state': folder / 'state',
            'ledger': f'sqlite://{folder}/ledger.db',
            'blobs': f'file://{folder}/blobs',
        }
        for name, value in values.items():
            self.ui.setconfig(b'fleet', name.encode(), str(value).encode())
        its = settings.read(self.ui)
        self.stream = f'entries-{its.partition("demo")}'
        self.ledger = adapters.open_ledger(its.ledger)
        place = folder / 'repos' / 'demo'
        place.mkdir(parents=True)
        self.repo = Repo(place, self.ui)

    def write(self, *entries: Entry) -> None:
        """Append entries to the ledger."""
        for one in entries:
            self.ledger.append(self.stream, one.key, encode(one))

    def applied(self, seq: int, revisions: int) -> None:
        """Note that the repository has come this far."""
        data = applied.encode(Applied(RepoState(seq=seq)))
        self.repo.file(applied.FILE.encode()).write_bytes(data)
        self.repo.changelog = range(revisions)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    one = Node(tmp_path)
    yield one
    one.ledger.close()


def test_it_has_the_bytes_that_recording_makes(node: Node) -> None:
    node.write(*LIFE)
    node.repo.record(*PUSHES)
    node.applied(6, 6)
    found, *files = rebuild.from_ledger(node.repo)
    assert found == PUSHES
    assert tuple(files) == node.repo.content()


def test_only_valid_entries_count(node: Node) -> None:
    late = entry(2, push_id=1, changesets=7, user='late')
    other = entry(1, Kind.CREATE, repo='other')
    fence = entry(0, Kind.FENCE, text='p2')
    fenced = entry(6, push_id=3, changesets=9, node='p2')
    node.write(*LIFE[:2], late, other, LIFE[2], *LIFE[3:5])
    node.write(fence, fenced, LIFE[5])
    node.applied(6, 6)
    assert fence.key == FENCE_KEY
    assert rebuild.from_ledger(node.repo)[0] == PUSHES


@pytest.mark.parametrize(
    ('seq', 'revisions', 'pushes'),
    [
        (1, 0, []),
        (2, 2, PUSHES[:1]),
        (4, 2, PUSHES[:1]),
        (5, 5, PUSHES[:2]),
        (8, 0, []),
        (9, 4, SECOND),
    ],
)
def test_it_covers_what_the_node_has_applied(
    node: Node, seq: int, revisions: int, pushes: list[Push]
) -> None:
    node.write(*LIFE, *SECOND_LIFE)
    node.applied(seq, revisions)
    assert rebuild.from_ledger(node.repo)[0] == pushes


def test_a_repository_with_other_changesets_is_left_alone(node: Node) -> None:
    node.write(*LIFE)
    node.applied(6, 7)
    with pytest.raises(NotRebuilt, match=r'bring 6 changesets.* has 7'):
        rebuild.from_ledger(node.repo)


def test_a_ledger_that_ends_too_soon_is_told(node: Node) -> None:
    node.write(*LIFE[:3])
    node.applied(6, 6)
    with pytest.raises(NotRebuilt, match=r'applied entry 6.* up to 3'):
        rebuild.from_ledger(node.repo)


def test_a_ledger_whose_start_is_gone_is_told(node: Node) -> None:
    node.write(*LIFE[2:])
    node.applied(6, 6)
    with pytest.raises(NotRebuilt, match='up to 0'):
        rebuild.from_ledger(node.repo)


def test_an_entry_that_cannot_be_read_is_told(node: Node) -> None:
    node.write(*LIFE[:3])
    node.ledger.append(node.stream, 'demo', b'not an entry')
    node.write(*LIFE[3:])
    node.applied(6, 6)
    with pytest.raises(
        NotRebuilt, match=r'up to 3 can be read: .*not an entry'
    ):
        rebuild.from_ledger(node.repo)


def test_one_after_what_was_applied_does_not_matter(node: Node) -> None:
    node.write(*LIFE)
    node.ledger.append(node.stream, 'demo', b'not an entry')
    node.applied(6, 6)
    assert rebuild.from_ledger(node.repo)[0] == PUSHES


def test_pushes_that_cannot_be_are_told(node: Node) -> None:
    node.write(*LIFE[:5], entry(6, push_id=5, changesets=1))
    node.applied(6, 6)
    with pytest.raises(NotRebuilt, match=r'push 5, but .* id 3'):
        rebuild.from_ledger(node.repo)


def test_a_repository_outside_is_told(node: Node, tmp_path: Path) -> None:
    with pytest.raises(NotRebuilt, match='not a repository of the fleet'):
        rebuild.from_ledger(Repo(tmp_path, node.ui))
    with pytest.raises(NotRebuilt, match='does not follow'):
        rebuild.from_ledger(node.repo)


def test_a_crash_leaves_no_mixture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = Repo(tmp_path)
    repo.record(*PUSHES)
    old = repo.content()
    new = rebuild.files('demo', SECOND)
    states = []

    def stepwise(*args: Any) -> None:
        states.append(repo.content())
        write(*args)
        states.append(repo.content())

    write = rebuild._write
    monkeypatch.setattr(rebuild, '_write', stepwise)
    rebuild.replace(repo, *new)
    assert states[-1] == repo.content() == new
    for log, users in states:
        assert (log, users) in (old, new) or not log
    states.clear()
    rebuild.replace(repo, b'', new[1])
    assert states == [new, (b'', new[1])]
