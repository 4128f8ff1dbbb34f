"""What a process of a node writes into the audit.

Where the lines go, which node this is, who it is that acts and from where
is known here; what is done, and whether it may be done, is for the callers
to say.  What the lines look like is said by :mod:`hgext3rd.fleet.audit`.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

from mercurial import encoding
from mercurial.utils import procutil

from . import audit
from .audit import ALLOWED, DENIED, FAILED, Event
from .core.errors import FleetError
from .edge import local, text

__all__ = ['ALLOWED', 'DENIED', 'FAILED', 'actor', 'note', 'told', 'user']


def user(ui: Any) -> str:
    """Return the user in whose name this process changes things."""
    return text(ui.config(b'fleet', b'user') or procutil.getuser())


def actor(ui: Any) -> str:
    """Return the user who does it, and whose rights count."""
    return text(ui.config(b'fleet', b'actor') or b'') or user(ui)


def note(
    ui: Any,
    event: str,
    decision: str,
    reason: str = '',
    repo: str = '',
    what: str = '',
    who: str = '',
    on_behalf_of: str = '',
) -> bool:
    """Write a line; ``who`` is the actor unless it is given.

    False when this server keeps no audit: it has neither a place for it nor
    a folder of its own.  Raises SettingError or AuditFailed.
    """
    state = text(ui.config(b'fleet', b'state') or b'')
    chosen = text(ui.config(b'fleet', b'audit') or b'')
    if not (state or chosen):
        return False
    if not who:
        who, name = actor(ui), user(ui)
        on_behalf_of = on_behalf_of or (name if name != who else '')
    if not chosen:
        # It is made by whoever comes first; if it cannot be, that is told
        # by what comes next.
        with contextlib.suppress(OSError):
            os.makedirs(state, exist_ok=True)
    client = text(encoding.environ.get(b'SSH_CLIENT', b''))
    audit.write(
        audit.place(chosen, state),
        text(ui.config(b'fleet', b'node') or b''),
        Event(
            event=event,
            who=who,
            decision=decision,
            reason=reason,
            source=client.partition(' ')[0],
            repo=repo,
            what=what,
            on_behalf_of=on_behalf_of,
        ),
    )
    return True


def told(ui: Any, event: str, decision: str, **more: str) -> None:
    """Write a line about what cannot be undone any more, or is refused.

    Where that fails, the log of this server is told, and nobody else.
    """
    try:
        note(ui, event, decision, **more)
    except FleetError as problem:
        ui.log(b'fleet', b'%s\n', local(f'{problem}'))
