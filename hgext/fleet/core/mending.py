"""Quarantine: why a copy is not served, and when to make it anew.

A quarantine is one JSON file on one node.  What is to be done follows from
its cause:

``damaged``
    the copy is known to be bad, and only a new one helps
``stuck``
    an entry cannot be applied to it: the entry, a blob, the disk or the copy
    may be the reason, so following it goes on being tried, and now and then
    a new copy
``waiting``
    nothing is wrong with the copy: a lock is held, or the ledger is away
``rebuilt``
    there is a new copy, and the daemon has only to follow on with it

A new copy is made at once where only that helps.  Each one that fails doubles
the time to the next, up to :data:`RARELY`, so that an entry which nobody can
apply costs next to nothing.
"""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass

SOON = 5.0
"""Seconds before the first attempt where following alone may help, and after
the first that failed."""

RARELY = 3600.0
"""Seconds between attempts after many have failed."""


class Cause(enum.Enum):
    """What is known of the copy."""

    DAMAGED = 'damaged'
    STUCK = 'stuck'
    WAITING = 'waiting'
    REBUILT = 'rebuilt'


@dataclass(frozen=True)
class Quarantine:
    """Why a repository is not served on a node; ``since`` is in seconds."""

    repo: str
    reason: str
    partition: int
    since: int
    cause: Cause


@dataclass(frozen=True)
class Attempts:
    """The new copies that failed: how many, and when the last one did."""

    failed: int = 0
    last: float = 0.0

    def failing(self, now: float) -> Attempts:
        """Return them with one more."""
        return Attempts(self.failed + 1, now)


def due(quarantine: Quarantine, attempts: Attempts, now: float) -> float | None:
    """Return the seconds until a new copy is to be made; None for never.

    All times are of the same clock; where it was set back, that is now.
    """
    if quarantine.cause in (Cause.WAITING, Cause.REBUILT):
        return None
    if attempts.failed:
        pause = min(SOON * 2 ** min(attempts.failed - 1, 32), RARELY)
        return _left(attempts.last, pause, now)
    if quarantine.cause is Cause.DAMAGED:
        return 0.0
    return _left(quarantine.since, SOON, now)


def _left(since: float, pause: float, now: float) -> float:
    # Else the clock was set back.
    return max(0.0, pause - (now - since)) if since <= now else 0.0


def encode(quarantine: Quarantine) -> bytes:
    """Return the bytes of the file."""
    body = {
        'repo': quarantine.repo,
        'reason': quarantine.reason,
        'partition': quarantine.partition,
        'since': quarantine.since,
        'cause': quarantine.cause.value,
    }
    return json.dumps(body).encode() + b'\n'


def decode(data: bytes | None, repo: str) -> Quarantine | None:
    """Return what the file says; None when there is none.

    A file that cannot be read still keeps the repository from being served.
    """
    if data is None:
        return None
    try:
        body = json.loads(data)
        return Quarantine(
            repo,
            str(body['reason']),
            int(body['partition']),
            int(body['since']),
            Cause(body.get('cause', Cause.STUCK.value)),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        reason = f'{repo}: its quarantine cannot be read'
        return Quarantine(repo, reason, 0, 0, Cause.STUCK)
