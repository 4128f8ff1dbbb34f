"""Mercurial's own web interface, over repositories that stand still.

A :class:`Site` is one hgweb over one pinned repository (``webview.py``); it
serves one request at a time.  A :class:`Pool` keeps sites from request to
request: for each repository as many as were needed at once, of its current
sight only, and of all repositories together at most a given number, letting
go of those that have been idle longest.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from mercurial import error, wireprotov1server
from mercurial.hgweb import common, hgweb_mod
from mercurial.utils import stringutil

from . import compat, meta, webview
from .webgate import Gate, Sight
from .webreply import Whole

READ_ONLY = 'this is a read-only mirror'


class Site(hgweb_mod.hgweb):
    """One repository's pages and wire protocol, as of one sight."""

    def __init__(self, name: str, sight: Sight, loaded: webview.Loaded) -> None:
        super().__init__(loaded.repo)
        self.name = name
        self.sight = sight
        self.unshown = loaded.unshown
        # Answers to those who say hello, by what they say of themselves.
        self.greeted: dict[tuple[object, ...], Whole] = {}
        # The one that hgweb would refresh is not wanted.
        del self._repos, self._lastrepo
        self._served = hgweb_mod.getwebview(loaded.repo)
        # hgweb makes ETags of this number; those of all mirrors agree.
        said = f'{meta.VERSION} {name} {sight.view.seq}'
        summed = hashlib.sha256(said.encode()).digest()
        self.mtime = int.from_bytes(summed[:6], 'big')

    @contextlib.contextmanager
    def _obtainrepo(self) -> Iterator[Any]:
        yield self._served

    def check_perm(self, rctx: Any, req: Any, op: bytes | None) -> None:
        """Refuse what is not reading, wherever it hides in a request."""
        if op not in (None, b'pull'):
            raise common.ErrorResponse(
                common.HTTP_FORBIDDEN, READ_ONLY.encode()
            )
        super().check_perm(rctx, req, op)


class _Static:
    """What hgweb puts a static file into."""

    def __init__(self) -> None:
        self.headers: dict[bytes, bytes] = {}
        self.body: bytes | None = None

    def setbodybytes(self, data: bytes) -> None:
        self.body = data


def static(ui: Any, name: str) -> tuple[str, bytes] | None:
    """Return the type and content of one of the templates' files."""
    found = _Static()
    places = (ui.config(b'web', b'templates'), ui.config(b'web', b'static'))
    with contextlib.suppress(common.ErrorResponse, ValueError):
        common.staticfile(*places, name.encode('latin-1'), found)
    if found.body is None:
        return None
    return found.headers[b'Content-Type'].decode(), found.body


def message(problem: Exception) -> bytes | None:
    """Return what to tell a client whose request cannot be met.

    None when the fault is not the client's.
    """
    damage = error.StorageError
    if isinstance(problem, damage) and not isinstance(
        problem, error.LookupError
    ):
        return None
    if isinstance(problem, error.Error):
        return stringutil.forcebytestr(problem)
    return None


def writes(command: str) -> bool:
    """Tell whether a wire protocol command would change the repository."""
    entry = wireprotov1server.commands.get(command.encode())
    return entry is not None and entry.permission != b'pull'


def speaks(command: str) -> bool:
    """Tell whether this is a command of the wire protocol."""
    return command.encode() in wireprotov1server.commands


@dataclass
class _Shelf:
    """The idle sites of one repository, and what was last asked for."""

    sight: Sight
    sites: list[Site] = field(default_factory=list)


class Pool:
    """Sites that are ready for the next request."""

    def __init__(
        self, open_site: Callable[[str, Sight], Site | None], limit: int
    ) -> None:
        self._open = open_site
        self._limit = limit
        self._lock = threading.Lock()
        # By repository; the one used last is at the end.
        self._shelves: OrderedDict[str, _Shelf] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def take(self, name: str, sight: Sight) -> Site | None:
        """Return a site of this sight for the caller alone.

        None when the repository has changed since ``sight``.
        """
        with self._lock:
            shelf = self._shelves.setdefault(name, _Shelf(sight))
            self._shelves.move_to_end(name)
            if shelf.sight != sight:
                self._count -= len(shelf.sites)
                shelf.sites.clear()
                shelf.sight = sight
            elif shelf.sites:
                self._count -= 1
                return shelf.sites.pop()
        return self._open(name, sight)

    def give(self, site: Site) -> None:
        """Take back a site that nothing went wrong with."""
        with self._lock:
            shelf = self._shelves.get(site.name)
            if shelf is None or shelf.sight != site.sight:
                return
            shelf.sites.append(site)
            self._count += 1
            while self._count > self._limit:
                self._drop_oldest()

    def _drop_oldest(self) -> None:
        name, shelf = next(iter(self._shelves.items()))
        if shelf.sites:
            shelf.sites.pop(0)
            self._count -= 1
        if not shelf.sites:
            del self._shelves[name]


def opener(ui: Any, gate: Gate) -> Callable[[str, Sight], Site | None]:
    """Return the function by which a pool opens sites."""
    compat.read_queries()

    def open_site(name: str, sight: Sight) -> Site | None:
        loaded = webview.load(
            ui,
            gate.path(name),
            sight.view,
            lambda: gate.stamp(name) == sight.stamp,
        )
        return Site(name, sight, loaded) if loaded else None

    return open_site
