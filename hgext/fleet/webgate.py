"""What this node may show at this moment, and of which repository.

Everything is read afresh for every request, from small files that are
replaced whole, and judged by their content:

``<state>/shown.json``
    up to which position each partition may be shown, and until when this
    node may answer at all (``core/shown.py``)
``<root>/<name>/.hg/store/fleet-applied``
    what has been applied to a repository, and how to look back
    (``core/applied.py``)
``<state>/quarantine/<name>.json``
    why this node cannot follow the ledger for one repository

Decoding is saved when the bytes are those of the last time.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass

from .core import applied as records
from .core import names
from .core import shown as showing
from .core.applied import View
from .core.errors import NameRefused
from .core.shown import Shown
from .ports import Clock
from .settings import Settings

# Answered by the mirror itself, so no repository can have these names.
RESERVED = frozenset({'healthz', 'readyz', 'index.json', 'static'})

_APPLIED = os.path.join('.hg', 'store', records.FILE)


@dataclass(frozen=True)
class Stamp:
    """One state of a repository's ``fleet-applied``.

    The file's identity is part of it: a repository that was built anew may
    well have the same content, but its changesets lie elsewhere.
    """

    data: bytes
    inode: int
    written: int


@dataclass(frozen=True)
class Sight:
    """How a repository is to be seen now."""

    stamp: Stamp
    view: View


class Gate:
    """Decides what may be seen; one for all threads of a process."""

    def __init__(self, its: Settings, clock: Clock) -> None:
        self._its = its
        self._clock = clock
        self._boot = clock.boot_id()
        self._shown: tuple[bytes, Shown | None] = (b'', None)
        self._views: dict[str, tuple[bytes, int, View]] = {}
        self.node = its.node
        self.partition = functools.lru_cache(4096)(its.partition)

    def shown(self) -> Shown | None:
        """Return what the daemon allows, or None when it says nothing."""
        data = _read(os.path.join(self._its.state, showing.FILE))
        if data is None:
            return None
        known, decoded = self._shown
        if data != known:
            decoded = showing.decode(data)
            self._shown = (data, decoded)
        return decoded

    def refusal(self, shown: Shown | None) -> str:
        """Return why this node must not answer now, or ''."""
        return showing.refusal(shown, self._boot, self._clock.boot())

    def remaining(self, shown: Shown | None) -> float:
        """Return the seconds that are left of the lease, at least 0."""
        if shown is None or shown.boot != self._boot:
            return 0.0
        return max(0.0, shown.until - self._clock.boot())

    def path(self, name: str) -> str:
        """Return where a repository is."""
        return os.path.join(self._its.root, name)

    def stamp(self, name: str) -> Stamp | None:
        """Return the state of the record of what was applied, if any."""
        try:
            handle = os.open(
                os.path.join(self._its.root, name, _APPLIED),
                os.O_RDONLY | os.O_CLOEXEC,
            )
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            stat = os.fstat(handle)
            data = os.read(handle, stat.st_size)
        finally:
            os.close(handle)
        return Stamp(data, stat.st_ino, stat.st_mtime_ns)

    def sight(self, name: str, shown: Shown) -> Sight | None:
        """Return how to see a repository; None when there is none to see.

        Raises EntryUnreadable when the record cannot be read.
        """
        stamp = self.stamp(name)
        if stamp is None:
            return None
        position = shown.positions.get(self.partition(name), 0)
        data, at, view = self._views.get(name, (b'', -1, None))
        if view is None or data != stamp.data or at != position:
            view = records.view(records.decode(stamp.data), position)
            self._views[name] = (stamp.data, position, view)
        return Sight(stamp, view) if view.exists else None

    def quarantine(self, name: str) -> str:
        """Return why a repository is quarantined on this node, or ''."""
        folder = os.path.join(self._its.state, 'quarantine')
        data = _read(os.path.join(folder, name.replace('/', '%2F') + '.json'))
        if data is None:
            return ''
        try:
            reason = json.loads(data)['reason']
        except (ValueError, KeyError, TypeError):
            reason = ''
        return str(reason) or f'{name} is quarantined on this mirror'

    def route(self, path: str) -> str | None:
        """Return the longest start of ``path`` that is a repository here.

        ``path`` is that of a URL, decoded, and starts with a slash.
        """
        found = None
        root, *parts = path.split('/')
        if root or '..' in parts or parts[0] in RESERVED:
            return None
        for stop in range(1, len(parts) + 1):
            name = '/'.join(parts[:stop])
            try:
                names.repository(name)
            except NameRefused:
                break
            place = os.path.join(self._its.root, name)
            if os.path.exists(os.path.join(place, _APPLIED)):
                found = name
            elif not os.path.isdir(place):
                break
        return found

    def scan(self) -> Iterator[str]:
        """Yield the name of every repository on this node's disk, sorted."""
        folders = ['']
        while folders:
            folder = folders.pop()
            for name in reversed(self._inside(folder)):
                folders.append(name)
            if folder and os.path.exists(
                os.path.join(self._its.root, folder, _APPLIED)
            ):
                yield folder

    def _inside(self, folder: str) -> list[str]:
        """Return the names in ``folder`` that may be or have repositories."""
        try:
            with os.scandir(os.path.join(self._its.root, folder)) as entries:
                found = [
                    f'{folder}/{entry.name}' if folder else entry.name
                    for entry in entries
                    if entry.is_dir(follow_symlinks=False)
                ]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(name for name in found if _is_name(name))


def _is_name(name: str) -> bool:
    try:
        names.repository(name)
    except NameRefused:
        return False
    return name not in RESERVED


def _read(path: str) -> bytes | None:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return os.read(handle, os.fstat(handle).st_size)
    finally:
        os.close(handle)
