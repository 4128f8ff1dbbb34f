"""What the servers of a user share: one folder, next to their sockets.

For sockets ``server-KEY``, and the link ``server`` to the one that was used
last, that is the folder ``server.d``.  There is no process that leads the
others: whoever has something to decide does so here, under a lock.

``KEY.server``
  says what the server KEY is doing; it holds a lock on it while it lives.
``HASH.reads``
  names the configuration that extensions read while they were loaded, for
  all servers with that hash of configuration and environment.
``N.lock``
  is held by who is about to start a server.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass

_POLL = 0.005


@dataclass(frozen=True)
class Described:
    """What a server says of itself."""

    pid: int
    key: str
    confighash: str
    since: float
    requests: int = 0
    workers: int = 0
    idle: int = 0


Pairs = list[tuple[bytes, bytes]]
"""Sections and names of configuration; no name means the whole section."""


class Folder:
    """The folder that belongs to an address ``/.../server``."""

    def __init__(self, base: bytes) -> None:
        self.base = base
        self._path = os.fsdecode(base) + '.d'

    @classmethod
    def of(cls, address: bytes) -> Folder:
        """Return the folder for the address that chg gives to a server."""
        folder, name = os.path.split(os.path.abspath(address))
        first, dot, last = name.rpartition(b'.')
        whole = first if dot and last.isdigit() else name
        return cls(os.path.join(folder, whole))

    def address(self, key: str) -> bytes:
        """Return where the server with this key listens."""
        folder, name = os.path.split(self.base)
        start = name.split(b'.', 1)[0]
        return os.path.join(folder, b'%s-%s' % (start, key.encode()))

    @property
    def rehearsals(self) -> str:
        """The repository that workers rehearse in."""
        return self._file('rehearsal')

    def _file(self, name: str) -> str:
        return os.path.join(self._path, name)

    def make(self) -> None:
        """Make it, if that is possible."""
        with suppress(OSError):
            os.mkdir(self._path, 0o700)

    # -- locks ---------------------------------------------------------------

    def lock(
        self, confighash: str, patience: float, wanted: Callable[[], bool]
    ) -> int | None:
        """Return a descriptor that holds the right to start a server.

        None when there is no such folder, when the time is up, or when it is
        no longer ``wanted``; who has waited for so long goes on without.
        """
        self.make()
        deadline = time.monotonic() + patience
        try:
            held = os.open(
                self._file(f'{confighash[0]}.lock'),
                os.O_RDWR | os.O_CREAT,
                0o600,
            )
        except OSError:
            return None
        while True:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline or not wanted():
                    os.close(held)
                    return None
                time.sleep(_POLL)
            else:
                return held

    # -- servers -------------------------------------------------------------

    def alive(self, key: str) -> bool:
        """Tell whether clients can reach a server with this key."""
        return self.process(key) is not None

    def process(self, key: str) -> int | None:
        """Return the process of the server that is there, if any."""
        if not os.path.exists(self.address(key)):
            return None
        found = self._living(f'{key}.server')
        return found.pid if found else None

    def _living(self, name: str) -> Described | None:
        """Return what a server says of itself, if it lives."""
        try:
            descriptor = os.open(self._file(name), os.O_RDWR)
        except OSError:
            return None
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with suppress(ValueError, TypeError):
                return Described(**json.loads(os.pread(descriptor, 4096, 0)))
            return None
        except OSError:
            return None
        finally:
            os.close(descriptor)
        return None

    def servers(self) -> Iterator[tuple[float, Described]]:
        """Yield what lives, with the time at which each was last used.

        No server may ask this: it would let go of its own lock.
        """
        for name in self._names():
            found = self._living(name)
            if found:
                with suppress(OSError):
                    yield os.stat(self._file(name)).st_mtime, found

    def _names(self) -> list[str]:
        try:
            return sorted(
                name
                for name in os.listdir(self._path)
                if name.endswith('.server')
            )
        except OSError:
            return []

    def crowd_out(self, key: str, most: int) -> None:
        """End those that were not used for longest, for ``key`` to be there.

        A server whose socket is gone ends by itself.
        """
        others = []
        for name in self._names():
            if name == f'{key}.server':
                continue
            found = self._living(name)
            with suppress(OSError):
                if found:
                    used = os.stat(self._file(name)).st_mtime_ns
                    others.append((used, found.key))
                else:
                    os.unlink(self._file(name))
        others.sort()
        for _used, other in others[: max(0, len(others) + 1 - most)]:
            with suppress(FileNotFoundError):
                os.unlink(self.address(other))

    def point(self, link: bytes, key: str) -> None:
        """Let ``link`` lead to the server with this key, at once."""
        draft = b'%s.%d.tmp' % (link, os.getpid())
        with suppress(OSError):
            os.symlink(os.path.basename(self.address(key)), draft)
            os.rename(draft, link)

    # -- what extensions have read -------------------------------------------

    def reads(self, confighash: str) -> Pairs:
        """Return what is known to be read by servers with this hash."""
        try:
            with open(self._file(f'{confighash}.reads'), 'rb') as file:
                pairs = json.load(file)
        except (OSError, ValueError):
            return []
        return [
            (one.encode('latin-1'), two.encode('latin-1')) for one, two in pairs
        ]

    def note_reads(self, confighash: str, pairs: Pairs) -> None:
        """Tell the others."""
        text = [
            (one.decode('latin-1'), two.decode('latin-1')) for one, two in pairs
        ]
        draft = self._file(f'{confighash}.{os.getpid()}.draft')
        with suppress(OSError):
            with open(draft, 'w') as file:
                json.dump(text, file)
            os.rename(draft, self._file(f'{confighash}.reads'))


class Register:
    """The entry of this process, which lives as long as it does."""

    def __init__(self, folder: Folder, described: Described) -> None:
        self._path = folder._file(f'{described.key}.server')
        self._said = described
        draft = f'{self._path}.{os.getpid()}'
        self._descriptor: int | None = None
        folder.make()
        try:
            self._descriptor = os.open(
                draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600
            )
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._write()
            os.rename(draft, self._path)
        except OSError:
            # Without a folder, or locks, one can serve, but is not found.
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def _write(self) -> None:
        if self._descriptor is None:
            return
        text = json.dumps(asdict(self._said)).encode()
        with suppress(OSError):
            os.pwrite(self._descriptor, text.ljust(512), 0)

    def say(self, **changes: int) -> None:
        """Say how things are, if that is another than before."""
        before = asdict(self._said)
        said = Described(**{**before, **changes})
        if said != self._said:
            self._said = said
            self._write()

    @property
    def mine(self) -> bool:
        """Whether nobody has come in place of this process."""
        if self._descriptor is None:
            return True
        try:
            there, here = os.stat(self._path), os.fstat(self._descriptor)
        except OSError:
            return False
        return there.st_ino == here.st_ino and there.st_dev == here.st_dev

    def strike(self) -> None:
        """Remove the entry."""
        if self._descriptor is not None and self.mine:
            with suppress(OSError):
                os.unlink(self._path)
