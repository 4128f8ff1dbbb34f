"""A life of four nodes in one process, whose world fails as it is told to.

The code that produces, publishes, performs, follows and keeps leases is the
real one, on real repositories; its ledger, its blobs and its disk fail at
chosen moments, and at chosen failpoints the whole process is killed.  What
happens follows from the seed and the number of the life.

A life tells what it does in lines, each written at once, so that what was
said before a kill is known::

    try SESSION REPO        a change begins
    end SESSION VERDICT NODE...   and has ended; it brought these changesets
    fault TROUBLE           something has failed just now
    early WORDS             a mirror showed what another one lacks
"""

from __future__ import annotations

import enum
import errno
import io
import os
import random
import signal
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from unittest import mock

from mercurial import error, vfs

from hgext3rd.fleet import adapters, failpoint
from hgext3rd.fleet.core.errors import (
    BlobUnavailable,
    FleetError,
    LedgerUnavailable,
    OutcomeUnknown,
)
from hgext3rd.fleet.ports import Batch, Blob, Blobs, Ledger
from hgext3rd.replicate.membership import Membership
from hgext3rd.replicate.node import Node as RealNode
from hgext3rd.replicate.opening import open_repository
from hgext3rd.replicate.serve import Follower
from testlib.changes import Change

from . import book, watcher
from .client import Verdict
from .fleet import Node
from .schedule import DAEMON_POINTS, SESSION_POINTS

REPOS = ('a', 'b')
ACTS = 40


class Trouble(enum.Enum):
    """What fails."""

    KILL = 'killed at a failpoint'
    READ = 'the ledger cannot be read'
    REFUSED = 'the ledger refuses an entry'
    UNSENT = 'the ledger does not say that it lost an entry'
    UNSAID = 'the ledger does not say that it has an entry'
    PUT = 'a blob cannot be stored'
    OPEN = 'a blob cannot be read'
    CORRUPT = 'a blob is damaged'
    DISK = 'the disk is full'
    RACE = 'another primary is quicker'


_OF_PUSHES = (*Trouble, Trouble.KILL, Trouble.KILL, Trouble.RACE)
_OF_MIRRORS = (
    Trouble.KILL,
    Trouble.KILL,
    Trouble.READ,
    Trouble.OPEN,
    Trouble.CORRUPT,
    Trouble.DISK,
)


@dataclass
class World:
    """What is to fail next, if anything: at a failpoint, or at a call.

    ``left`` is how many such calls still succeed before.
    """

    say: Callable[[str], None]
    trouble: Trouble | None = None
    point: str = ''
    left: int = 0
    rival: Callable[[], None] = field(default=lambda: None)

    def strikes(self, *troubles: Trouble) -> Trouble | None:
        """Return the trouble, once, if it is one of these and due."""
        if self.trouble not in troubles:
            return None
        if self.left:
            self.left -= 1
            return None
        struck, self.trouble = self.trouble, None
        assert struck is not None
        self.say(f'fault {struck.name}')
        return struck

    def hit(self, name: str) -> None:
        """Stand in for failpoint.hit."""
        if name == self.point and self.strikes(Trouble.KILL):
            os.kill(os.getpid(), signal.SIGKILL)
        if name == 'publish.before' and self.strikes(Trouble.RACE):
            self.rival()

    def opening(self, mode: str) -> None:
        """Fail when a file is opened for writing and the disk is full."""
        if set(mode) & set('wa+') and self.strikes(Trouble.DISK):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class FailingLedger:
    """A ledger that fails when the world says so."""

    def __init__(self, inner: Ledger, world: World) -> None:
        self._inner = inner
        self._world = world

    def append(self, stream: str, key: str, value: bytes) -> int:
        if stream == 'members':
            return self._inner.append(stream, key, value)
        struck = self._world.strikes(
            Trouble.REFUSED, Trouble.UNSENT, Trouble.UNSAID
        )
        if struck is Trouble.REFUSED:
            raise LedgerUnavailable('simulated')
        if struck is Trouble.UNSENT:
            raise OutcomeUnknown('simulated')
        offset = self._inner.append(stream, key, value)
        if struck is Trouble.UNSAID:
            raise OutcomeUnknown('simulated')
        return offset

    def read(
        self,
        stream: str,
        position: int,
        keys: Collection[str] | None = None,
        limit: int = 1000,
    ) -> Batch:
        if self._world.strikes(Trouble.READ):
            raise LedgerUnavailable('simulated')
        return self._inner.read(stream, position, keys, limit)

    def end(self, stream: str) -> int:
        return self._inner.end(stream)

    def wait(
        self, positions: Mapping[str, int], timeout: float
    ) -> frozenset[str]:
        return self._inner.wait(positions, 0)

    def close(self) -> None:
        self._inner.close()


class FailingBlobs:
    """A blob store that fails when the world says so."""

    def __init__(self, inner: Blobs, world: World) -> None:
        self._inner = inner
        self._world = world

    def put(self, chunks: Iterable[bytes]) -> Blob:
        if self._world.strikes(Trouble.PUT):
            raise BlobUnavailable('simulated')
        return self._inner.put(chunks)

    def open(self, sha256: str) -> BinaryIO:
        struck = self._world.strikes(Trouble.OPEN, Trouble.CORRUPT)
        if struck is Trouble.OPEN:
            raise BlobUnavailable('simulated')
        if struck is Trouble.CORRUPT:
            with self._inner.open(sha256) as file:
                return io.BytesIO(file.read()[:-1])
        return self._inner.open(sha256)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class Life:
    """The nodes of one process, from its start until it ends or is killed."""

    def __init__(
        self,
        nodes: Mapping[str, RealNode],
        folder: Path,
        chance: random.Random,
        number: int,
        say: Callable[[str], None],
    ) -> None:
        self.world = World(say)
        self._say = say
        self._nodes = nodes
        self._folder = folder
        self._chance = chance
        self._number = number
        self._sessions = 0
        self._seen: object = None
        self._daemons: dict[str, tuple[Follower, Membership]] = {}
        self._primaries = [n for n in nodes if n.startswith('p')]
        self._mirrors = [
            Node(name, 'mirror', folder / name, Path())
            for name in nodes
            if name.startswith('m')
        ]

    def live(self) -> None:
        """Act until it is over."""
        real = vfs.vfs.__call__
        world = self.world

        def opening(
            this: Any, path: bytes, mode: bytes = b'r', **o: Any
        ) -> Any:
            world.opening(mode.decode())
            return real(this, path, mode, **o)

        ledger, blobs = adapters.open_ledger, adapters.open_blobs
        with (
            mock.patch.object(
                adapters,
                'open_ledger',
                lambda url: FailingLedger(ledger(url), world),
            ),
            mock.patch.object(
                adapters,
                'open_blobs',
                lambda url: FailingBlobs(blobs(url), world),
            ),
            mock.patch.object(failpoint, 'hit', world.hit),
            mock.patch.object(vfs.vfs, '__call__', opening),
        ):
            for _act in range(ACTS):
                if self._chance.random() < 0.5:
                    self._push()
                else:
                    self._follow(self._chance.choice(self._mirrors).name)
                self.look()

    def settle(self) -> None:
        """Have every node follow until nothing is left, nothing failing."""
        for _round in range(10):
            for name in self._nodes:
                self._follow_on(name)

    # -- what is done --------------------------------------------------------

    def _arm(self, troubles: Iterable[Trouble], points: Iterable[str]) -> None:
        chance = self._chance
        self.world.trouble = None
        if chance.random() < 0.8:
            self.world.trouble = chance.choice(list(troubles))
        self.world.point = chance.choice(list(points))
        often = self.world.trouble in (Trouble.READ, Trouble.DISK)
        self.world.left = chance.randrange(12) if often else 0

    def _push(self) -> None:
        repo = self._chance.choice(REPOS)
        at = self._chance.choice(self._primaries)
        (other,) = set(self._primaries) - {at}
        self._arm(_OF_PUSHES, SESSION_POINTS)
        self.world.rival = lambda: self._rival(other, repo)
        self._change(at, repo)

    def _rival(self, at: str, repo: str) -> None:
        """Push through another process; return when it is done."""
        self._sessions += 1
        child = os.fork()
        if not child:
            # Its numbers must not be taken by this process as well.
            self._sessions += 1000
            with suppress(BaseException):
                self._change(at, repo)
            os._exit(0)
        os.waitpid(child, 0)

    def _change(self, at: str, repo: str) -> None:
        self._sessions += 1
        session = f'{self._number}.{self._sessions}'
        node = self._nodes[at]
        node.ui.setconfig(b'fleet', b'user', session.encode())
        self._say(f'try {session} {repo}')
        made: list[bytes] | None = None
        try:
            opened = open_repository(node.hosted(repo))
            change = Change(opened, self._chance)
            change.names = ('@', 'é', 'a/b')
            made = change.make()
            verdict = Verdict.DONE
        except (error.Error, OSError, FleetError) as problem:
            verdict = _verdict(problem)
        words = ['-' if made is None else '+', *(n.hex() for n in made or ())]
        self._say(f'end {session} {verdict.name} {" ".join(words)}')

    def _follow(self, name: str) -> None:
        self._arm(_OF_MIRRORS, DAEMON_POINTS)
        self._follow_on(name)

    def _follow_on(self, name: str) -> None:
        """Do what the daemon of a node does in one round."""
        node = self._nodes[name]
        try:
            if name not in self._daemons:
                follower = Follower(node)
                membership = Membership(node, follower.positions)
                self._daemons[name] = follower, membership
            follower, membership = self._daemons[name]
            membership.attend(node.ledger)
            grown = node.ledger.wait(follower.streams(), 0)
            if follower.step(grown):
                membership.acknowledge(
                    node.ledger, follower.positions, follower.waiting
                )
            membership.attend(node.ledger)
        except (FleetError, OSError):
            # As daemon.run does, it goes on.
            pass

    # -- what is seen --------------------------------------------------------

    def look(self) -> None:
        """Say so when a mirror shows what another serving one lacks."""
        glance = watcher.glance(self._mirrors, REPOS)
        shows = (glance.shown, glance.serving)
        if shows == self._seen:
            return
        self._seen = shows
        now = book.read(self._folder / 'ledger.db')
        for words in watcher.early([glance], now):
            self._say(f'early {words}')


def _verdict(problem: BaseException) -> Verdict:
    """Return what the client of a change that failed believes."""
    cause = problem.__context__ if isinstance(problem, error.Abort) else problem
    if isinstance(cause, OutcomeUnknown):
        return Verdict.UNKNOWN
    if isinstance(cause, FleetError):
        return Verdict.REFUSED
    if isinstance(problem, error.LockHeld):
        return Verdict.REFUSED
    # The disk may have been full before or after the entry was appended;
    # the client is told which, but nothing here reads that.
    return Verdict.UNKNOWN
