"""Readers see the repository before or after a transaction, never a mix."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mercurial import util, vfs
from mercurial.node import hex

from hgext3rd.fleet import web, webview
from hgext3rd.fleet.webgate import Gate
from testlib.mirror import Changes, Mirror, serve
from testlib.wsgi import ask

pytestmark = [
    pytest.mark.filterwarnings('ignore'),
    pytest.mark.filterwarnings(
        'error::pytest.PytestUnhandledThreadExceptionWarning'
    ),
]

NAME = 'r'


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    mirror = Mirror(tmp_path / 'node')
    path = mirror.create(NAME)
    (path / '.hg' / 'hgrc').write_text('[phases]\npublish = no\n')
    for number in range(3):
        with mirror.entry(NAME) as changes:
            change(changes, number)
    return mirror


def change(changes: Changes, number: int) -> None:
    """Change everything that can change, in a way that belongs together."""
    node = changes.commit({'f': f'{number}\n'})
    changes.bookmark('tip-mark', node)
    changes.obsolete(bytes([number % 256]) * 20, node)
    if number > 1:
        changes.publish(changes.repo.changelog.node(number - 2))


def only_commit(changes: Changes, number: int) -> None:
    changes.commit({'f': f'{number}\n'})


def only_bookmark(changes: Changes, _number: int) -> None:
    changes.bookmark('tip-mark', changes.repo.changelog.node(0))


def only_phase(changes: Changes, _number: int) -> None:
    changes.publish(changes.repo.changelog.node(2))


def only_marker(changes: Changes, _number: int) -> None:
    changes.obsolete(b'x' * 20)


def dump(app: web.Application) -> tuple[bytes, ...] | None:
    """Return the state as clients see it; None when it is not settled."""
    asked = [
        'heads',
        'listkeys&namespace=bookmarks',
        'listkeys&namespace=phases',
        'listkeys&namespace=obsolete',
    ]
    answers = [ask(app, f'/{NAME}', f'cmd={one}') for one in asked]
    if any(answer.code == 503 for answer in answers):
        return None
    assert {answer.code for answer in answers} == {200}
    pages = [ask(app, f'/{NAME}{p}').body for p in ('/json-log', '/file/tip/f')]
    return (*(answer.body for answer in answers), *pages)


class Spy:
    """Looks at the repository before and after each change of a file."""

    def __init__(self, mirror: Mirror) -> None:
        self.mirror = mirror
        self.seen: list[tuple[bytes, ...] | None] = []
        self.inside = False

    def look(self) -> None:
        if self.inside:
            return
        self.inside = True
        try:
            self.mirror.show(1 << 40)
            # A new process every time: nothing is remembered.
            self.seen.append(dump(serve(self.mirror)))
        finally:
            self.inside = False

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        opened, renamed, removed = vfs.vfs.__call__, util.rename, util.unlink

        def open_(
            this: Any, path: bytes, mode: bytes = b'r', *a: Any, **k: Any
        ):
            if mode in (b'r', b'rb'):
                return opened(this, path, mode, *a, **k)
            self.look()
            made = opened(this, path, mode, *a, **k)
            self.look()
            return made

        def spied(action: Any) -> Any:
            def act(*args: Any) -> None:
                self.look()
                action(*args)
                self.look()

            return act

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(vfs.vfs, '__call__', open_)
            patch.setattr(util, 'rename', spied(renamed))
            patch.setattr(util, 'unlink', spied(removed))
            yield


@pytest.mark.parametrize(
    'action', [change, only_commit, only_bookmark, only_phase, only_marker]
)
def test_old_or_new_at_every_step_of_a_transaction(
    mirror: Mirror,
    monkeypatch: pytest.MonkeyPatch,
    action: Callable[[Changes, int], None],
) -> None:
    monkeypatch.setattr(webview, 'PATIENCE', 0.0)
    spy = Spy(mirror)
    spy.look()
    old = spy.seen[-1]
    with spy.watching(), mirror.entry(NAME) as changes:
        action(changes, 3)
    spy.look()
    new = spy.seen[-1]
    assert old != new
    assert None not in (old, new)
    assert len(spy.seen) > 20
    assert set(spy.seen) <= {old, new, None}
    # There is no answer only while files are being replaced.
    starts = [spy.seen.index(each) for each in (old, None, new)]
    assert starts == sorted(starts)
    assert spy.seen[starts[1] : starts[2]].count(None) == spy.seen.count(None)
    assert old not in spy.seen[starts[2] :]


def test_old_while_a_long_transaction_is_open(mirror: Mirror) -> None:
    app = serve(mirror)
    mirror.show()
    old = dump(app)
    with mirror.entry(NAME) as changes:
        change(changes, 3)
        mirror.show(1 << 40)
        # Both the repository at hand and one opened now.
        assert dump(app) == old
        assert dump(serve(mirror)) == old
    assert dump(app) != old


def test_old_after_an_aborted_transaction(mirror: Mirror) -> None:
    mirror.show()
    old = dump(serve(mirror))
    with contextlib.suppress(ZeroDivisionError), mirror.entry(NAME) as changes:
        change(changes, 3)
        raise ZeroDivisionError
    mirror.show()
    assert dump(serve(mirror)) == old


def test_no_answer_from_a_record_that_was_replaced(mirror: Mirror) -> None:
    """Whatever the files look like, the record is read again at the end."""
    mirror.show()
    gate = Gate(mirror.settings(), mirror.clock)
    shown = gate.shown()
    assert shown is not None
    sight = gate.sight(NAME, shown)
    assert sight is not None
    for turns in (iter([False]), iter([True, False])):
        path, unchanged = gate.path(NAME), turns.__next__
        assert webview.load(mirror.ui(), path, sight.view, unchanged) is None


def test_what_is_rolled_back_meanwhile_is_not_served(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror.show()
    old = dump(serve(mirror))
    file = mirror.root / NAME / '.hg' / 'store' / 'bookmarks'
    right, read = file.read_bytes(), webview._read
    file.write_bytes(right.replace(b'tip-mark', b'aborted'))

    def rolled_back(*args: Any) -> Any:
        unshown = read(*args)
        file.write_bytes(right)
        return unshown

    monkeypatch.setattr(webview, '_read', rolled_back)
    assert dump(serve(mirror)) == old


def test_an_unrepaired_repository_is_not_served(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webview, 'PATIENCE', 0.05)
    mirror.show()
    app = serve(mirror)
    store = mirror.root / NAME / '.hg' / 'store'
    (store / 'journal').write_bytes(b'')
    (store / 'journal.backupfiles').write_bytes(b'\0bookmarks\0x\x000\n')
    answer = ask(app, f'/{NAME}', 'cmd=heads')
    assert answer.code == 503
    assert 'repair' in answer.text
    (store / 'journal.backupfiles').unlink()
    (store / 'journal').unlink()
    assert ask(app, f'/{NAME}', 'cmd=heads').code == 200


def test_readers_beside_a_writer(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What belongs together is seen together, whatever the moment."""
    # The writer may lose its turn while it replaces files.
    monkeypatch.setattr(webview, 'PATIENCE', 60.0)
    mirror.show()
    app = serve(mirror)
    end = threading.Event()
    wrong: list[object] = []
    seen: set[str] = set()

    def read() -> None:
        while not end.is_set():
            answer = ask(app, f'/{NAME}/json-log')
            if answer.code == 200:
                first = json.loads(answer.body)['changesets'][0]
                seen.add(first['node'])
            if answer.code != 200 or first['bookmarks'] != ['tip-mark']:
                wrong.append(answer)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(3, 40):
        with mirror.entry(NAME) as changes:
            change(changes, number)
        mirror.show()
    end.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(seen) > 3
    assert (
        f'tip-mark\t{_tip(mirror)}'.encode()
        in ask(app, f'/{NAME}', 'cmd=listkeys&namespace=bookmarks').body
    )


def _tip(mirror: Mirror) -> str:
    changelog = mirror.open(NAME).changelog
    return hex(changelog.node(len(changelog) - 1)).decode()
