"""The daemon of a node: follows the ledger for all of its repositories.

One thread applies entries, in the order of each partition; another keeps
the lease (``membership.py``); a third looks after the copies
(``walker.py``), and two more see to power cuts (``recovery.py``).  On a
primary, more of them tell a load balancer whether it can take pushes
(``health.py``).

A repository that cannot be followed is quarantined: the reason goes into a
file that the web tier and ``hgfleet status`` read, everything else goes on,
and following it is tried again with growing pauses, so that what was only a
full disk or a missing blob heals by itself.  A ledger that is away is waited
for, and nothing is quarantined.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import queue
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from mercurial import error
from mercurial.utils import stringutil

from ..fleet import adapters, daemon, edge, files
from ..fleet.core import shown
from ..fleet.core.barrier import MIRROR, STREAM
from ..fleet.core.entry import FENCE_KEY, Record
from ..fleet.core.errors import (
    Doubted,
    EntryUnreadable,
    FleetError,
    LedgerUnavailable,
    NameRefused,
    OutOfReach,
    Quarantined,
    SettingError,
)
from ..fleet.core.mending import Cause
from ..fleet.core.snapshot import owner
from ..fleet.settings import Settings
from ..fleet.webgate import Gate
from . import boot, recovery, shelf, walker
from .follow import catch_up, whole
from .health import Health, listen
from .membership import Membership
from .news import Known, News
from .node import POSITIONS, Hosted, Identity, Node, stream
from .opening import open_repository

_BATCH = 128
_OPEN = 100
_LONGEST_WAIT = 1.0
_BUSY_PAUSE = 0.05
_FIRST_PAUSE = 0.5
_LEISURE = 0.3
# Parts of a lease, of which leisure is at most one.
_LEISURES = 10
_LONGEST_PAUSE = 20.0


@dataclass(frozen=True)
class Retry:
    """When to try a quarantined repository again, and how long after."""

    at: float
    pause: float


class Follower:
    """Applies what is new in the ledger to this node."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.positions = self._load()
        self.waiting: dict[str, Retry] = {}
        self._news = False
        self._known = Known()
        # The (partition, position) from which on a repository is put off.
        self._put_off_from: dict[str, tuple[int, int]] = {}
        self._open: OrderedDict[str, tuple[Identity, Any]] = OrderedDict()
        # Found by others, and written down by this thread alone.
        self._damaged: queue.SimpleQueue[tuple[str, str, Identity]] = (
            queue.SimpleQueue()
        )
        self.hear: Callable[[int, list[Record]], object] = _nothing
        self._recall()

    def _load(self) -> dict[int, int]:
        return {
            partition: self.node.followed(partition)
            for partition in range(self.node.settings.partitions)
        }

    def _recall(self) -> None:
        """Take over quarantines: of an earlier life, and those handed over."""
        for repo in self.node.quarantined():
            known = self.waiting.get(repo)
            if known is None or self._is_rebuilt(repo):
                self.waiting[repo] = Retry(0.0, _FIRST_PAUSE)

    def _is_rebuilt(self, repo: str) -> bool:
        refused = self.node.hosted(repo).refused()
        return refused is not None and refused.cause is Cause.REBUILT

    def damaged(self, repo: str, reason: str, copy: Identity) -> None:
        """Have a repository quarantined until it is made anew.

        May be called by any thread; takes effect with the next step, unless
        there is another copy in its place by then.
        """
        self._damaged.put((repo, reason, copy))

    def _put_aside(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                repo, reason, copy = self._damaged.get_nowait()
                hosted = self.node.hosted(repo)
                if hosted.identity() != copy:
                    continue
                self._open.pop(repo, None)
                self._put_off_from.pop(repo, None)
                self.waiting.setdefault(repo, Retry(0.0, _FIRST_PAUSE))
                if self._write(hosted, reason, Cause.DAMAGED):
                    self.node.ui.warn(edge.local(f'quarantined: {reason}\n'))

    def streams(self) -> dict[str, int]:
        """Return the position to read each stream from."""
        return {stream(p): n for p, n in self.positions.items()}

    def until_retry(self) -> float:
        """Return the seconds until a quarantined repository is due."""
        now = self.node.clock.boot()
        due = min(
            (retry.at for retry in self.waiting.values()), default=now + 60
        )
        return max(0.0, due - now)

    def step(self, grown: Collection[str] | None = None) -> bool:
        """Apply at most one batch of each partition; tell if any was new.

        Only those streams are read that have ``grown``; all if that is not
        known.  What was new before a step failed is told of by the next one.
        """
        self._put_aside()
        self._recall()
        self._news = self._retry() or self._news
        for partition in self.positions:
            if grown is not None and stream(partition) not in grown:
                continue
            before = self.positions[partition]
            batch = self._read(partition)
            self._news = self._news or self.positions[partition] != before
            if batch:
                self._news = True
                self.hear(partition, batch)
                for name, end in _ends(batch).items():
                    if name not in self.waiting:
                        self._guarded(name, end, batch)
                self._known.passed(partition, batch)
                self.positions[partition] = batch[-1].offset + 1
        if self._news:
            self._save()
        news, self._news = self._news, False
        return news

    def _read(self, partition: int) -> list[Record]:
        """Return the next records of a partition.

        What the ledger has forgotten must be made up for at once: where this
        node says that it is there, it has to have everything before.
        """
        ledger, its = self.node.ledger, stream(partition)
        while True:
            position = self.positions[partition]
            try:
                batch = ledger.read(its, position, limit=_BATCH)
                return whole(its, position, batch)
            except OutOfReach as problem:
                self.node.ui.warn(edge.local(f'{problem}\n'))
                for name in self._all(partition):
                    if name not in self.waiting:
                        self._guarded(name)
                self._known = Known()
                self.positions[partition] = problem.start

    def _all(self, partition: int) -> set[str]:
        """Return the repositories that the ledger still names, or are here."""
        here = Gate(self.node.settings, self.node.clock).scan()
        found = {
            name
            for name in here
            if self.node.hosted(name).partition == partition
        }
        for record in shelf.records(self.node.ledger, stream(partition)):
            if record.key != FENCE_KEY:
                found.add(owner(record.key))
        return found

    def _save(self) -> None:
        """Note where to go on reading in another life.

        Of what is put off nothing else would tell that life.
        """
        upto = dict(self.positions)
        for partition, position in self._put_off_from.values():
            upto[partition] = min(upto[partition], position)
        body = {str(p): n for p, n in upto.items()}
        files.replace(
            self.node.state(POSITIONS), json.dumps(body).encode() + b'\n'
        )

    def _retry(self) -> bool:
        now = self.node.clock.boot()
        due = [name for name, retry in self.waiting.items() if retry.at <= now]
        for name in due:
            self._guarded(name)
        return bool(due)

    def _guarded(
        self, key: str, end: int | None = None, batch: Sequence[Record] = ()
    ) -> None:
        """Have a repository catch up, at least to the position ``end``.

        It reads for itself what it lacks.  The batch at hand may not be all
        of that: fences came earlier, and so did entries that were put off,
        or that went with a copy which was set aside to be made anew.
        """
        hosted = self._hosted(key)
        if hosted is None:
            self.waiting.pop(key, None)
            return
        news = self._known.news(hosted, batch)
        refused = hosted.refused()
        if refused is not None and refused.cause is Cause.DAMAGED:
            # Only a new copy ends that.
            self._later(key)
            return
        try:
            self._follow(hosted, end, news)
        except error.LockHeld as problem:
            reason = f'{hosted.name} is locked by {problem.locker!r}'
            self._put_off(hosted, reason, _BUSY_PAUSE)
        except Doubted as problem:
            self._put_off(hosted, str(problem), _FIRST_PAUSE)
        except FleetError as problem:
            if _is_away(problem):
                # Nothing is wrong with this copy; readers go on.
                raise
            self._quarantine(hosted, problem)
        else:
            self.waiting.pop(key, None)
            self._put_off_from.pop(key, None)
            if os.path.exists(hosted.quarantine):
                files.remove(hosted.quarantine)
                self.node.ui.status(edge.local(f'{key}: following again\n'))

    def _follow(
        self, hosted: Hosted, end: int | None, news: News | None
    ) -> None:
        try:
            boot.guard(hosted)
            there = end is not None and hosted.applied().state.position >= end
            if not there or hosted.unfinished:
                catch_up(hosted, self._repository(hosted), end, news)
            self._known.left(hosted, end)
        except error.LockHeld:
            raise
        except OSError as problem:
            # A full disk, or one that cannot be read there.
            raise Quarantined(f'{hosted.name}: {problem}') from problem

    def _hosted(self, key: str) -> Hosted | None:
        try:
            return self.node.hosted(key)
        except NameRefused as problem:
            self.node.ui.warn(
                edge.local(f'{problem}; its entries are skipped\n')
            )
            return None

    def _repository(self, hosted: Hosted) -> Any:
        """Return the repository, kept open from use to use, if it exists."""
        identity = hosted.identity()
        known = self._open.pop(hosted.name, None)
        if not identity:
            return None
        if known is None or known[0] != identity:
            known = (identity, _opened(hosted))
        self._open[hosted.name] = known
        if len(self._open) > _OPEN:
            self._open.popitem(last=False)
        return known[1]

    def _put_off(self, hosted: Hosted, reason: str, pause: float) -> None:
        self.waiting[hosted.name] = Retry(
            self.node.clock.boot() + pause, _FIRST_PAUSE
        )
        since = (hosted.partition, self.positions[hosted.partition])
        self._put_off_from.setdefault(hosted.name, since)
        if self.node.shows:
            self._write(hosted, reason, Cause.WAITING)

    def _quarantine(self, hosted: Hosted, problem: FleetError) -> None:
        self._open.pop(hosted.name, None)
        self._later(hosted.name)
        self._put_off_from.pop(hosted.name, None)
        reason = str(problem)
        if not reason.startswith((f'{hosted.name}:', f'{hosted.name},')):
            reason = f'{hosted.name}: {reason}'
        of_copy = isinstance(problem, Quarantined | EntryUnreadable)
        cause = Cause.STUCK if of_copy else Cause.WAITING
        if self._write(hosted, reason, cause):
            self.node.ui.warn(edge.local(f'quarantined: {reason}\n'))

    def _later(self, name: str) -> None:
        known = self.waiting.get(name)
        pause = min(known.pause * 2, _LONGEST_PAUSE) if known else _FIRST_PAUSE
        self.waiting[name] = Retry(self.node.clock.boot() + pause, pause)

    def _write(self, hosted: Hosted, reason: str, cause: Cause) -> bool:
        """Note the reason; tell whether it is a new one."""
        before = hosted.refused()
        if before and (before.reason, before.cause) == (reason, cause):
            return False
        hosted.refuse(reason, cause)
        return True


def _is_away(problem: FleetError) -> bool:
    """Tell whether it is the ledger that cannot be asked now."""
    is_there = isinstance(problem, OutOfReach)
    return isinstance(problem, LedgerUnavailable) and not is_there


def _nothing(_partition: int, _batch: list[Record]) -> None:
    pass


def _opened(hosted: Hosted) -> Any:
    try:
        return open_repository(hosted)
    except Exception as problem:
        reason = edge.text(stringutil.forcebytestr(problem))
        raise Quarantined(
            f'{hosted.name}: the copy on this node cannot be opened: {reason}',
            'restore it, or see "hg help replicate::rebuild"',
        ) from problem


def _ends(batch: list[Record]) -> dict[str, int]:
    """Return the position after the last entry of each repository.

    That there is a snapshot tells as well that there is a repository.
    """
    return {
        owner(record.key): record.offset + 1
        for record in batch
        if record.key != FENCE_KEY
    }


def _tell(health: Health, its: Settings) -> None:
    """Tell whoever asks at ``fleet.ready``, if that is set."""
    if not its.ready:
        return
    if its.role != 'primary':
        raise SettingError(
            f'fleet.ready is set, and {its.node} is a mirror',
            'remove it: the web server of a mirror answers /readyz',
        )
    listen(health, its.ready)


@dataclass
class Round:
    """What a daemon does again and again: wait, apply, acknowledge."""

    node: Node
    follower: Follower
    membership: Membership
    health: Health
    stop: daemon.Stop
    grown: frozenset[str] | None = None
    """The streams that may hold news; None when that is not known.

    To ask a ledger on another machine for the end of each would take long.
    """

    def go(self) -> None:
        """Do it once; raises FleetError."""
        grown, self.grown = self.grown, None
        node, follower = self.node, self.follower
        news = follower.step(grown)
        self.health.step()
        if news:
            self.membership.acknowledge(
                node.ledger, follower.positions, follower.waiting
            )
            self.grown = frozenset()
            return
        patience = min(_LONGEST_WAIT, follower.until_retry())
        with self.stop.waiting():
            self.grown = node.ledger.wait(follower.streams(), patience)
        if self.grown:
            self.stop.pause(leisure(node.settings))


def leisure(its: Settings) -> float:
    """Return the seconds that news may wait on this node.

    Mirrors are waited for.  On a primary, most news is what a push has just
    written, which is still at work there and wants the machine; and whoever
    comes next catches up by itself.
    """
    return _LEISURE if its.role == 'primary' else 0.0


def _announce(node: Node) -> None:
    its = node.settings
    node.ui.status(edge.local(f'{its.node}: following {its.ledger}\n'))
    node.ui.flush()


def serve(node: Node) -> None:
    """Be the daemon of ``node`` until told to stop."""
    its = node.settings
    held = daemon.alone(node.state('daemon.lock'), f'the daemon of {its.node}')
    stop = daemon.Stop()
    daemon.listen(stop)
    node.is_daemon = True
    if its.role != MIRROR:
        # Should it become a mirror again, that would be of another time.
        files.remove(node.state(shown.FILE))
    boot.assess(node, anew=True)
    follower = Follower(node)
    membership = Membership(node, follower.positions)
    health = Health(node, membership, follower.positions)
    follower.hear = health.hear
    _tell(health, its)

    def complain(problem: FleetError) -> None:
        node.ui.warn(edge.local(f'{problem}\n'))
        node.ui.flush()

    def hindered(problem: FleetError) -> None:
        health.step(str(problem))
        complain(problem)

    # A ledger belongs to one thread; the node's own is this one's.
    ledger = functools.cache(lambda: adapters.open_ledger(its.ledger))

    def attend() -> None:
        membership.attend(ledger())
        health.begin(ledger())
        until = membership.until_next()
        if ledger().wait({STREAM: membership.position}, until):
            stop.pause(min(leisure(its), its.lease / _LEISURES))

    examiner = recovery.Examiner(node, stop, complain)
    beside = (
        daemon.Beside(lambda: daemon.run(attend, stop, complain)),
        daemon.Beside(
            lambda: walker.go(
                node, follower.damaged, membership.makes_snapshots, stop
            )
        ),
        daemon.Beside(examiner.run),
        daemon.Beside(lambda: recovery.keep_synced(node, stop, complain)),
    )
    _announce(node)
    one = Round(node, follower, membership, health, stop)
    daemon.run(one.go, stop, hindered)
    health.step('it is being stopped')
    for each in beside:
        each.join(2.0)
    node.ledger.close()
    held.close()
