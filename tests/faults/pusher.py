"""Workers: they do what the schedule says, with stock clients, and kill.

A worker has its own clones and its own line, bookmark and pairs in each
repository, so what it pushes never depends on another worker.  It notes an
:class:`Attempt` for everything it tries: what it wanted, and what it was
told.  That, the ledger and the nodes are all that the checker gets to see.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from . import blows
from .client import Clone, Verdict, added, verdict
from .fleet import HG, PATIENCE, Fleet, Impatient, Node, armed, until
from .schedule import LASTING, Action, Deed, Fault
from .stock import Stock

# After this the daemon that was to die at a failpoint is killed anyway.
DAEMON_PATIENCE = 8.0


@dataclass(frozen=True)
class Wish:
    """What an attempt is to lead to, once it is done.

    ``heads`` are pushed with their ancestors; ``bookmark`` is (name, node or
    None when removed), ``public`` a node whose ancestors become public,
    ``marker`` the (old, new) nodes of a rewrite.  ``hgrc`` is the content of
    a repository's hgrc, or None with ``exists`` False when it is deleted.
    """

    heads: tuple[str, ...] = ()
    bookmark: tuple[str, str | None] | None = None
    public: str = ''
    marker: tuple[str, str] | None = None
    exists: bool = True
    hgrc: str | None = None


@dataclass
class Attempt:
    """One try of one worker: ``session`` is the user in the ledger.

    It is ``hit`` when its client or its session was killed, and ``disturbed``
    when something was wrong that may have kept it from succeeding.
    """

    session: str
    repo: str
    action: Action
    wish: Wish
    verdict: Verdict = Verdict.UNKNOWN
    added: int = 0
    said: str = ''
    hit: bool = False
    began: float = 0.0
    ended: float = 0.0
    disturbed: bool = False


@dataclass
class Tempo:
    """How long a push usually takes here, as seen so far (seconds)."""

    session: float = 0.3
    client: float = 0.5

    def learn(self, session: float, client: float) -> None:
        """Take another push into account."""
        self.session += (session - self.session) / 4
        self.client += (client - self.client) / 4


@dataclass
class Worker:
    """Somebody who pushes, one thing after another."""

    fleet: Fleet
    stock: Stock
    name: str
    seed: str
    tempo: Tempo = field(default_factory=Tempo)
    clones: dict[str, Clone] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    faults: dict[Fault, int] = field(default_factory=dict)
    shown_old: set[int] = field(default_factory=set)
    exists: bool = False

    def clone(self, repo: str) -> Clone:
        """Return this worker's clone of a repository."""
        if repo not in self.clones:
            self.clones[repo] = Clone(
                self.fleet, self.stock, repo, self.name, self.seed
            )
        return self.clones[repo]

    def act(self, action: Action) -> Attempt:
        """Do it, with its fault; note and return what came of it."""
        node = self.fleet.primaries[action.primary]
        session = f'{node.name}.{self.name}.{action.number}'
        start, wish = self._begin(node, session, action)
        attempt = Attempt(session, action.repo, action, wish)
        self.attempts.append(attempt)
        rearm = _REARMED.get(action.fault)
        if rearm:
            rearm(self, action, action.point)
        began = attempt.began = time.monotonic()
        process = start()
        try:
            self._strike(action, node, session, process, began)
            attempt.said, _nothing = process.communicate(timeout=4 * PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            raise Impatient(f'{session} hangs: {action}') from None
        attempt.verdict = verdict(process.returncode, attempt.said)
        attempt.added = added(attempt.said)
        self._ended(attempt, process, began)
        attempt.ended = time.monotonic()
        if rearm:
            rearm(self, action, '')
        return attempt

    # -- what to do --------------------------------------------------------

    def _begin(
        self, node: Node, session: str, action: Action
    ) -> tuple[Callable[[], subprocess.Popen[str]], Wish]:
        if action.deed is Deed.ARRANGE:
            return self._arrange(node, session, action)
        clone = self.clone(action.repo)
        options, wish = _WISHES[action.deed](self, clone, action)
        point = self._point(action)
        heads = [word for head in wish.heads for word in ('-r', head)]

        def start() -> subprocess.Popen[str]:
            return clone.pushing(
                node, session, '-f', *heads, *options, point=point
            )

        return start, wish

    def _point(self, action: Action) -> str:
        """Return the failpoint of the session, as its setting is written."""
        if action.fault is Fault.SESSION_POINT:
            return action.point
        if action.fault is Fault.PAUSE:
            pause = action.after * self.tempo.client
            return f'{action.point} pause {pause:.3f}'
        return ''

    def _push(self, clone: Clone, action: Action) -> tuple[list[str], Wish]:
        return [], Wish(heads=(clone.ahead(action.size),))

    def _bookmark(self, clone: Clone, action: Action) -> tuple[list[str], Wish]:
        target = clone.ahead(action.size - 1)
        name = f'b-{self.name}'
        clone.hg('bookmark', '-f', '-r', target, name)
        wish = Wish(heads=(target,), bookmark=(name, target))
        return ['-B', name], wish

    def _unbookmark(
        self, clone: Clone, action: Action
    ) -> tuple[list[str], Wish]:
        target = clone.ahead(action.size)
        name = f'b-{self.name}'
        # It must exist here before it can be taken away everywhere.
        clone.hg('bookmark', '-f', '-r', target, name)
        clone.hg('bookmark', '-d', name)
        return ['-B', name], Wish(heads=(target,), bookmark=(name, None))

    def _publish(self, clone: Clone, action: Action) -> tuple[list[str], Wish]:
        public = clone.line[clone.at]
        clone.hg('phase', '--public', '-r', public)
        return [], Wish(heads=(clone.ahead(action.size - 1),), public=public)

    def _rewrite(self, clone: Clone, action: Action) -> tuple[list[str], Wish]:
        ready = [pair for pair in clone.pairs if pair[0] <= clone.at]
        if not ready:
            return self._push(clone, action)
        number, old, new = ready[0]
        if number not in self.shown_old and number % 20 == 1:
            self.shown_old.add(number)
            return [], Wish(heads=(old,))
        clone.pairs.remove(ready[0])
        clone.hg('debugobsolete', old, new)
        return [], Wish(heads=(new,), marker=(old, new))

    def _arrange(
        self, node: Node, session: str, action: Action
    ) -> tuple[Callable[[], subprocess.Popen[str]], Wish]:
        hgrc = f'[web]\ndescription = {session}\n'
        file = self.fleet.folder / f'{session}.hgrc'
        file.write_text(hgrc)
        if not self.exists:
            words = ['create', action.repo, '--hgrc', str(file)]
        elif action.size > 1:
            words = ['config', action.repo, str(file)]
        else:
            words = ['delete', action.repo]
        deleted = words[0] == 'delete'
        self.exists = not deleted
        settings = ['--config', f'fleet.user={session}']
        if action.fault is Fault.SESSION_POINT:
            settings += ['--config', f'devel.fleet-failpoint={action.point}']
        words[0] = f'replicate::{words[0]}'

        def start() -> subprocess.Popen[str]:
            return subprocess.Popen(
                [HG, *words, *settings],
                env=self.fleet.environment(node),
                cwd=self.fleet.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )

        return start, Wish(exists=not deleted, hgrc=None if deleted else hgrc)

    # -- what goes wrong ---------------------------------------------------

    def _strike(
        self,
        action: Action,
        node: Node,
        session: str,
        process: subprocess.Popen[str],
        began: float,
    ) -> None:
        """Strike whom the action names, when it is time."""
        if action.fault in _AT_POINTS:
            return
        local = action.deed is Deed.ARRANGE
        if action.fault in LASTING:
            self._strike_for_long(action, session, process)
            return
        if action.fault is Fault.CLIENT or local:
            _wait(process, began + action.after * self.tempo.client)
            if process.poll() is None:
                process.kill()
                self._count(action.fault)
            return
        if action.fault is Fault.SESSION:
            pid = self._session(session, process)
            now = time.monotonic()
            _wait(process, now + action.after * self.tempo.session)
            if pid and self._kill(session, pid):
                self._count(action.fault)
            return
        _wait(None, began + action.after * self.tempo.client)
        met = self._restart(action.victim)
        if action.fault is Fault.PRIMARY:
            for name, pid in self.fleet.running():
                if name.startswith(f'{node.name}.'):
                    met += self._kill(name, pid)
        self._count(action.fault, met)

    def _strike_for_long(
        self, action: Action, session: str, process: subprocess.Popen[str]
    ) -> None:
        pid = 0
        if action.fault is Fault.STOP_SESSION:
            local = action.deed is Deed.ARRANGE
            pid = process.pid if local else self._session(session, process)
        now = time.monotonic()
        _wait(process, now + action.after * self.tempo.client)
        self._count(action.fault, blows.strike(self.fleet, action, pid))

    def _session(self, session: str, process: subprocess.Popen[str]) -> int:
        """Return the process id of the session once it has begun, or 0."""
        path = self.fleet.sessions / f'{session}.pid'
        while process.poll() is None:
            with contextlib.suppress(FileNotFoundError, ValueError):
                return int(path.read_text())
            time.sleep(0.002)
        return 0

    def _kill(self, session: str, pid: int) -> bool:
        if (self.fleet.sessions / f'{session}.status').exists():
            return False
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def _restart(self, name: str) -> int:
        node = self.fleet.nodes[name]
        with node.guard:
            met = self.fleet.kill(name)
            self.fleet.start(name)
        return met

    def _rearm(self, action: Action, point: str) -> None:
        """Have the daemon die at ``point``; without, wait until it has."""
        node = self.fleet.nodes[action.victim]
        if not point:
            daemon = node.daemon
            with contextlib.suppress(Impatient):
                until(
                    'it lives on',
                    lambda: daemon is None or daemon.poll() is not None,
                    DAEMON_PATIENCE,
                )
            with node.guard:
                if node.daemon is daemon and daemon is not None:
                    died = daemon.poll() == -signal.SIGKILL
                    self._count(action.fault, died + self.fleet.kill(node.name))
                    self.fleet.start(node.name)
            return
        with node.guard:
            self._count(Fault.DAEMON, self.fleet.kill(node.name))
            self.fleet.start(node.name, point=point)

    def _rearm_relay(self, action: Action, point: str) -> None:
        """Have the relay die at ``point``; without, start a new one."""
        relay = self.fleet.nodes[action.victim].relay
        assert relay is not None
        with self.fleet.troubles.window(), relay.guard:
            if point:
                relay.kill()
                relay.start(armed(point))
                return
            old = relay.process
            died = old is not None and old.poll() == -signal.SIGKILL
            self._count(action.fault, died + relay.kill())
            relay.start()

    def _ended(
        self, attempt: Attempt, process: subprocess.Popen[str], began: float
    ) -> None:
        """Wait for the session to end; see whether it was killed."""
        if attempt.action.deed is Deed.ARRANGE:
            attempt.hit = process.returncode == -signal.SIGKILL
            if attempt.hit and attempt.action.fault is Fault.SESSION_POINT:
                self._count(attempt.action.fault)
            return
        pid = self.fleet.sessions / f'{attempt.session}.pid'
        status = pid.with_suffix('.status')
        if not pid.exists():
            attempt.hit = process.returncode < 0
            return
        until(
            f'the session {attempt.session} does not end',
            lambda: status.exists() and bool(status.read_text()),
        )
        killed = int(status.read_text()) == 128 + signal.SIGKILL
        attempt.hit = killed or process.returncode < 0
        if killed and attempt.action.fault is Fault.SESSION_POINT:
            self._count(attempt.action.fault)
        if not attempt.hit and attempt.action.fault not in LASTING:
            lasted = status.stat().st_mtime - pid.stat().st_mtime
            self.tempo.learn(lasted, time.monotonic() - began)

    def _count(self, fault: Fault, met: int = 1) -> None:
        self.faults[fault] = self.faults.get(fault, 0) + met


# What these do happens by itself.
_AT_POINTS = (
    Fault.NONE,
    Fault.PAUSE,
    Fault.SESSION_POINT,
    Fault.DAEMON_POINT,
    Fault.RELAY_POINT,
)
_REARMED: dict[Fault, Callable[[Worker, Action, str], None]] = {
    Fault.DAEMON_POINT: Worker._rearm,
    Fault.RELAY_POINT: Worker._rearm_relay,
}


def _wait(process: subprocess.Popen[str] | None, moment: float) -> None:
    """Wait until ``moment``, or until the process has ended."""
    while (left := moment - time.monotonic()) > 0:
        if process is not None and process.poll() is not None:
            return
        time.sleep(min(left, 0.005))


_WISHES: dict[
    Deed, Callable[[Worker, Clone, Action], tuple[list[str], Wish]]
] = {
    Deed.PUSH: Worker._push,
    Deed.BOOKMARK: Worker._bookmark,
    Deed.UNBOOKMARK: Worker._unbookmark,
    Deed.PUBLISH: Worker._publish,
    Deed.REWRITE: Worker._rewrite,
}
