"""The daemon's part in surviving a power cut: two threads beside it.

:class:`Examiner` has the doubted repositories (``boot.py``) compared with the
ledger, one after the other, each by ``hg replicate::examine`` in a process of
its own: what a power cut has left may well crash who reads it.  All others are
followed and served meanwhile.

:func:`keep_synced` makes a checkpoint (``unsynced.py``) every minute and one
at the end, so that the next power cut makes few repositories doubtful.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from mercurial.utils import procutil

from ..fleet import daemon, edge
from ..fleet.core.errors import FleetError
from . import boot, unsynced
from .node import Node

INTERVAL = 60.0
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 60.0
_TICK = 0.05


class Unsynced(FleetError):
    """What is written cannot be brought to the disk."""


@dataclass(frozen=True)
class Attempt:
    """When to try a repository again, and whether without a look at it."""

    at: float
    pause: float
    anew: bool


class Examiner:
    """Has doubted repositories compared until none is left."""

    def __init__(
        self,
        node: Node,
        stop: daemon.Stop,
        complain: Callable[[FleetError], None],
    ) -> None:
        self._node = node
        self._stop = stop
        self._complain = complain
        self._tried: dict[str, Attempt] = {}

    def run(self) -> None:
        """Do it, until told to stop."""
        while not self._stop:
            doubted = boot.current(self._node).doubted
            if not doubted:
                return
            now = time.monotonic()
            first = Attempt(0.0, _FIRST_PAUSE, anew=False)
            due = [
                name
                for name in sorted(doubted)
                if self._tried.get(name, first).at <= now
            ]
            for name in due:
                if not self._stop:
                    self._examine(name, self._tried.get(name, first))
            if not due:
                self._stop.pause(_FIRST_PAUSE)

    def _examine(self, name: str, attempt: Attempt) -> None:
        argv = [edge.text(part) for part in (procutil.hgexecutable(), b'--cwd')]
        argv += ['/', 'replicate::examine', *['--anew'] * attempt.anew]
        child = subprocess.Popen(
            [*argv, '--', name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, 'HGPLAIN': '1'},
        )
        while child.poll() is None and not self._stop:
            self._stop.pause(_TICK)
        if self._stop:
            child.terminate()
        assert child.stdout is not None
        with child.stdout:
            said = child.stdout.read().decode('utf-8', 'surrogateescape')
        code = child.wait()
        if self._stop:
            return
        self._node.ui.status(edge.local(said))
        self._node.ui.flush()
        if code:
            pause = min(attempt.pause * 2, _LONGEST_PAUSE)
            crashed = code < 0
            self._tried[name] = Attempt(
                time.monotonic() + (0.0 if crashed else attempt.pause),
                pause,
                anew=attempt.anew or crashed,
            )


def keep_synced(
    node: Node, stop: daemon.Stop, complain: Callable[[FleetError], None]
) -> None:
    """Make checkpoints until told to stop, and a last one then."""
    told = False
    while not told:
        stop.pause(INTERVAL)
        told = bool(stop)
        try:
            unsynced.checkpoint(node, boot.current(node).doubted)
        except OSError as problem:
            complain(
                Unsynced(
                    f'{node.settings.node}: what is written could not be '
                    f'synced: {problem.strerror or problem}',
                    'check the disk; after a power cut more has to be compared',
                )
            )
