"""A mirror made by hand: repositories, and the files the web tier reads.

No ledger and no daemon is behind it.  :meth:`Mirror.entry` changes a
repository as one entry would, and writes what the daemon would write: one
step of the tail of ``fleet-applied``, taken from comparing before and after.
:meth:`Mirror.show` says up to where partition 0, the only one, may be shown.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mercurial import context, phases
from mercurial import ui as uimod
from mercurial.node import hex, nullid

from hgext3rd.fleet import compat, files, settings, web, website
from hgext3rd.fleet.core import applied as records
from hgext3rd.fleet.core import shown as showing
from hgext3rd.fleet.core.applied import Applied, Step
from hgext3rd.fleet.core.ledger import RepoState
from hgext3rd.fleet.core.shown import Shown
from hgext3rd.fleet.webgate import Gate

BOOT = 'this-boot'
DATE = (0, 0)

_CONFIG = {
    b'ui': {b'username': b'ann', b'quiet': b'yes'},
    b'experimental': {b'evolution': b'all'},
    b'format': {b'bookmarks-in-store': b'yes'},
    b'server': {b'uncompressed': b'no'},
}


class StillClock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def wall(self) -> float:
        return self.now

    def boot(self) -> float:
        return self.now

    def boot_id(self) -> str:
        return BOOT


@dataclass(frozen=True)
class _State:
    """What of a repository an entry can change."""

    revisions: int
    markers: int
    bookmarks: Mapping[str, str]
    phases: tuple[int, ...]


class Mirror:
    """A node's folder: ``repos`` and ``state`` below ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / 'repos'
        self.state = folder / 'state'
        self.root.mkdir(parents=True)
        self.state.mkdir()
        self.clock = StillClock()
        self.positions = {0: 0}
        self.end = 0

    def ui(self) -> Any:
        """Return a ui that is configured as this node, and by nothing else."""
        ui = uimod.ui()
        settings.declare(ui)
        for section, items in _CONFIG.items():
            for item, value in items.items():
                ui.setconfig(section, item, value)
        for item, value in (
            (b'node', b'web1'),
            (b'role', b'mirror'),
            (b'root', os.fsencode(self.root)),
            (b'state', os.fsencode(self.state)),
            (b'ledger', b'sqlite:///nowhere'),
            (b'blobs', b'file:///nowhere'),
        ):
            ui.setconfig(b'fleet', item, value)
        ui.setconfig(b'replicate', b'partitions', b'1')
        return ui

    def settings(self) -> settings.Settings:
        """Return the node's settings."""
        return settings.read(self.ui())

    def show(
        self, position: int | None = None, until: float = 1e9, **more: Any
    ) -> None:
        """Allow up to ``position``; by default everything there is."""
        self.positions = {0: self.end if position is None else position}
        shown = Shown('web1', BOOT, until, self.positions, joining=False)
        files.replace(
            str(self.state / showing.FILE),
            showing.encode(replace(shown, **more)),
        )

    def create(self, name: str) -> Path:
        """Make a repository, by one entry."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        compat.repository(self.ui(), os.fsencode(path), create=True)
        self.end += 1
        state = RepoState(seq=1, exists=True, position=self.end)
        self.write(name, Applied(state))
        return path

    def open(self, name: str) -> Any:
        """Return the unfiltered repository."""
        path = os.fsencode(self.root / name)
        return compat.repository(self.ui(), path).unfiltered()

    def applied(self, name: str) -> Applied:
        """Return the content of the repository's fleet-applied."""
        path = self.root / name / '.hg' / 'store' / records.FILE
        return records.decode(path.read_bytes())

    def write(self, name: str, applied: Applied) -> None:
        """Replace the content of the repository's fleet-applied."""
        path = self.root / name / '.hg' / 'store' / records.FILE
        files.replace(str(path), records.encode(applied))

    @contextlib.contextmanager
    def entry(self, name: str) -> Iterator[Any]:
        """Yield the repository in the transaction that an entry makes."""
        repo = self.open(name)
        before = _state(repo)
        applied = self.applied(name)
        with repo.lock(), repo.transaction(b'test') as tr:
            yield Changes(repo, tr)
            self.end += 1
            after = applied.after(
                replace(
                    applied.state,
                    seq=applied.state.seq + 1,
                    push_id=applied.state.push_id + 1,
                    position=self.end,
                ),
                None,
                0,
            )

            def generate(file: Any) -> None:
                step = _step(before, _state(repo), applied, self.end - 1)
                tail = (*after.tail, step)
                file.write(records.encode(replace(after, tail=tail)))

            tr.addfilegenerator(
                b'fleet-applied',
                (records.FILE.encode(),),
                generate,
                post_finalize=True,
            )


def two_repositories(folder: Path) -> Mirror:
    """Return a mirror with ``a`` and ``users/ann/thing``, one push each."""
    mirror = Mirror(folder)
    for name in ('a', 'users/ann/thing'):
        mirror.create(name)
        push(mirror, name)
    mirror.show()
    return mirror


def push(mirror: Mirror, name: str = 'a') -> str:
    """Add a changeset; return its hash."""
    with mirror.entry(name) as changes:
        node = changes.commit({'f': f'{mirror.end}\n'})
    return hex(node).decode()


class Changes:
    """What an entry can do to a repository, within its transaction."""

    def __init__(self, repo: Any, tr: Any) -> None:
        self.repo = repo
        self.tr = tr

    def commit(
        self,
        content: Mapping[str, str],
        text: str = 'change',
        parents: tuple[bytes, ...] | None = None,
        branch: str = 'default',
    ) -> bytes:
        """Add a changeset on top of the last one; return its node."""
        cl = self.repo.changelog
        if parents is None:
            parents = (cl.node(len(cl) - 1),) if len(cl) else ()
        both = (*parents, nullid, nullid)[:2]

        def file(repo: Any, ctx: Any, path: bytes) -> Any:
            data = content[path.decode()].encode()
            return context.memfilectx(repo, ctx, path, data)

        made = context.memctx(
            self.repo,
            both,
            text.encode(),
            [path.encode() for path in content],
            file,
            user=b'ann',
            date=DATE,
            extra={b'branch': branch.encode()},
        )
        node: bytes = self.repo.commitctx(made)
        return node

    def bookmark(self, name: str, node: bytes | None) -> None:
        """Move, make or remove a bookmark."""
        self.repo._bookmarks.applychanges(
            self.repo, self.tr, [(name.encode(), node)]
        )

    def publish(self, node: bytes) -> None:
        """Make a changeset and its ancestors public."""
        phases.advanceboundary(self.repo, self.tr, phases.public, [node])

    def retract(self, phase: int, node: bytes) -> None:
        """Move a changeset and its descendants to a higher phase."""
        phases.retractboundary(self.repo, self.tr, phase, [node])

    def obsolete(self, old: bytes, *new: bytes) -> None:
        """Add an obsolescence marker."""
        self.repo.obsstore.create(self.tr, old, new, date=DATE)


def _state(repo: Any) -> _State:
    try:
        markers = repo.svfs.stat(b'obsstore').st_size
    except FileNotFoundError:
        markers = 0
    count = len(repo.changelog)
    return _State(
        revisions=count,
        markers=markers,
        bookmarks={
            name.decode(): hex(node).decode()
            for name, node in repo._bookmarks.items()
        },
        phases=tuple(repo._phasecache.phase(repo, rev) for rev in range(count)),
    )


def _step(before: _State, after: _State, applied: Applied, offset: int) -> Step:
    names = before.bookmarks.keys() | after.bookmarks.keys()
    return Step(
        offset=offset,
        seq=applied.state.seq,
        push_id=applied.state.push_id,
        revisions=before.revisions,
        markers=before.markers,
        bookmarks={
            name: before.bookmarks.get(name)
            for name in sorted(names)
            if before.bookmarks.get(name) != after.bookmarks.get(name)
        },
        phases=tuple(
            (rev, rev + 1, phase)
            for rev, phase in enumerate(before.phases)
            if after.phases[rev] != phase
        ),
    )


def serve(
    mirror: Mirror,
    limit: int = 10,
    public: Callable[[str], bool] = lambda _name: True,
) -> web.Application:
    """Return the web tier of a mirror."""
    ui = mirror.ui()
    gate = Gate(mirror.settings(), mirror.clock)
    pool = website.Pool(website.opener(ui, gate), limit)
    return web.Application(ui, gate, pool, public, 'ssh://hg.example.org/')


def until(
    condition: Callable[[], object],
    seconds: float = 120.0,
    pause: float = 0.002,
) -> None:
    """Wait for something to become true, or fail."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, 'it did not happen in time'
        time.sleep(pause)
