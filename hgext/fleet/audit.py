"""The audit: one line of JSON for everything that somebody must answer for.

``[fleet] audit`` says where the lines go, as in ``linelog.py``: to a file, or
to syslog with the facility authpriv; where it is not set, to ``audit.log`` in
``fleet.state``.

A line has these fields, and no others; those that say nothing are left out:

``time``        when, in UTC: ``2026-11-21T20:15:30.125Z``
``node``        the node that it happened on
``event``       what was done, see below
``who``         the user
``for``         the user on whose behalf ``who`` acted
``from``        the address that sshd saw
``repo``        the repository
``what``        what it was done to, or with: a list of policies, a command
``decision``    ``allowed``, ``denied`` or ``failed``
``reason``      why: the line of the rules, or what the user said

The events are:

``login``       somebody came by SSH; ``what`` is what was asked for. Denied:
                not known, locked out, or outside the grammar. Failed: the
                directory could not tell
``cached``      the directory is away, and the login is decided by what it
                has proven lately
``read``, ``write``, ``act``, ``admin``, ``create``
                denied by the rules of access
``push``        a push counts, as the entry that ``what`` names; or checks, or
                an administrator's lock, have refused it
``bypass``      a check was passed over, or somebody wanted that
``create``, ``config``, ``delete``, ``fence``, ``unfence``
                an administrator, or an owner, has done that
``user``        the file of users was changed

What cannot be written is an :class:`AuditFailed`; who must not act without
a trace lets that pass. So a session that cannot be written down is refused,
and so is a bypass. A push or another change that counts is in the ledger
already, with its user and its time; its line here is left out then.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass

from . import linelog
from .core.errors import FleetError

ALLOWED, DENIED, FAILED = 'allowed', 'denied', 'failed'
DECISIONS = (ALLOWED, DENIED, FAILED)
_LONGEST = 2000


class AuditFailed(FleetError):
    """The line could not be written."""

    retry = True


@dataclass(frozen=True)
class Event:
    """One line; see the fields above."""

    event: str
    who: str
    decision: str
    reason: str = ''
    source: str = ''
    repo: str = ''
    what: str = ''
    on_behalf_of: str = ''

    def line(self, node: str, now: float) -> str:
        """Return the line, without its end."""
        if self.decision not in DECISIONS:
            raise ValueError(self.decision)
        fields = {
            'time': linelog.stamp(now),
            'node': node,
            'event': self.event,
            'who': self.who,
            'for': self.on_behalf_of,
            'from': self.source,
            'repo': self.repo,
            'what': self.what,
            'decision': self.decision,
            'reason': self.reason,
        }
        return linelog.encode(fields, _LONGEST)


def write(
    place: str, node: str, event: Event, now: float | None = None
) -> None:
    """Write one line to ``place``, an URL as above.

    Raises SettingError or AuditFailed.
    """
    line = event.line(node, time.time() if now is None else now)
    try:
        with closing(
            linelog.Place(place, '[fleet] audit', linelog.AUTH)
        ) as opened:
            opened.write(line)
    except OSError as problem:
        raise AuditFailed(
            f'the audit {place} cannot be written: '
            f'{problem.strerror or problem}',
            'tell an administrator; try again later',
        ) from None


def place(audit: str, state: str) -> str:
    """Return where the lines go, given the two settings."""
    return audit or f'file://{state}/audit.log'
