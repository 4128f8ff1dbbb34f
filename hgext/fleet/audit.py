"""The audit: one line of JSON for everything that somebody must answer for.

``[fleet] audit`` says where the lines go:

``file:///var/log/hgfleet/audit.log``
    added to the end of that file; it may be renamed by logrotate
``syslog:///dev/log``, ``syslog://HOST:PORT``
    to syslog, facility authpriv
(not set)
    to ``audit.log`` in ``fleet.state``

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

import json
import logging
import logging.handlers
import time
from dataclasses import dataclass
from typing import Any

from .core.errors import FleetError, SettingError

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
        whole, part = divmod(int(now * 1000), 1000)
        stamp = time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))
        fields = {
            'time': f'{stamp}.{part:03}Z',
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
        # ASCII, so that one character cannot look like the end of a line.
        return json.dumps(
            {name: text[:_LONGEST] for name, text in fields.items() if text}
        )


def write(
    place: str, node: str, event: Event, now: float | None = None
) -> None:
    """Write one line to ``place``, an URL as above.

    Raises SettingError or AuditFailed.
    """
    line = event.line(node, time.time() if now is None else now)
    try:
        handler = _handler(place)
        try:
            handler.emit(
                logging.LogRecord(
                    'hgfleet', logging.INFO, '', 0, line, None, None
                )
            )
        finally:
            handler.close()
    except OSError as problem:
        raise AuditFailed(
            f'the audit {place} cannot be written: {problem.strerror}',
            'tell an administrator; try again later',
        ) from None


def place(audit: str, state: str) -> str:
    """Return where the lines go, given the two settings."""
    return audit or f'file://{state}/audit.log'


def _handler(place: str) -> Any:
    """Open the place; what goes wrong with it raises."""
    scheme, _mark, rest = place.partition('://')
    if scheme == 'file' and rest.startswith('/'):
        return _File(rest, encoding='ascii')
    if scheme == 'syslog':
        host, colon, port = rest.rpartition(':')
        if rest.startswith('/'):
            return _Syslog(rest)
        if colon and host and port.isdigit():
            return _Syslog((host, int(port)))
    raise SettingError(
        f'[fleet] audit is {place[:200]!r}',
        'use file:///PATH, syslog:///dev/log or syslog://HOST:PORT',
    )


class _File(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:
        raise  # what has just gone wrong


class _Syslog(logging.handlers.SysLogHandler):
    ident = 'hgfleet: '
    append_nul = False

    def __init__(self, address: str | tuple[str, int]) -> None:
        super().__init__(address, facility=self.LOG_AUTHPRIV)

    def handleError(self, record: logging.LogRecord) -> None:
        raise  # what has just gone wrong
