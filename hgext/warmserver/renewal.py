"""When a master executes itself anew: what is decided, without the doing.

A master is behind when something has changed since it began.  First it has
another server started.  When that is ready, and serves for ``CALM`` seconds
without a further change, a child tries whether the master could start; if so,
it does.  A change meanwhile makes the trial void: what was tried is no more
what there is.

When a server cannot start, that may be for what the master is itself, so then
the trial comes at once, and before the next start.  It does not when files
were still changing (``CHANGED``), nor when the master is not behind: it would
execute itself for ever.  It has its turn once a server is ready, as files may
have changed that nobody has compared.
"""

from __future__ import annotations

import math

CALM = 1.0
"""Seconds for which nothing must have changed."""

CHANGED = 75
"""The exit code of a server that has read what changed meanwhile."""

PATIENCE = 60.0
"""Seconds after which a trial is in vain."""

OUTDATED = 78
"""That of one whose master is older than itself."""


class Renewal:
    """The state of that; times are seconds of one clock that only goes on."""

    def __init__(self) -> None:
        self._behind = self._failed = False
        self._from = math.inf
        self._tries = self._void = False
        self._ends = math.inf

    @property
    def at(self) -> float:
        """The time from which on a trial is due, if there is none."""
        return math.inf if self._tries else self._from

    @property
    def is_void(self) -> bool:
        """Whether a trial is under way that does not count."""
        return self._tries and self._void

    def is_vain(self, now: float) -> bool:
        """Tell whether to end the trial that is under way."""
        return self._tries and (self._void or now >= self._ends)

    @property
    def is_first(self) -> bool:
        """Whether a trial is under way that the next start waits for."""
        return self._tries and self._failed

    def changed(self) -> None:
        """Something has, or somebody says so."""
        self._behind = self._void = True
        self._from = math.inf

    def ready(self, now: float) -> None:
        """A server is."""
        if self._behind or self._failed:
            self._from = now + CALM
        self._failed = False

    def failed(self, now: float, code: int) -> None:
        """A server has ended before it was ready."""
        self._failed = True
        self._behind |= code == OUTDATED
        if self._behind and code != CHANGED:
            self._from = now

    def tries(self, now: float) -> None:
        """A trial begins."""
        self._tries, self._void, self._from = True, False, math.inf
        self._ends = now + PATIENCE

    def tried(self, fine: bool) -> bool:
        """A trial has ended; return whether to go on to the next life."""
        self._tries = False
        return fine and not self._void
