"""Serving a repository: what ``hg -R REPO serve --stdio`` does, if allowed."""

from __future__ import annotations

import os
import select
import time
import traceback
from typing import Any

from mercurial import encoding, error, wireprotoserver

from hgext3rd.fleet import auditing, compat, edge
from hgext3rd.fleet.core.access import Verb
from hgext3rd.fleet.core.errors import Denied
from hgext3rd.fleet.ports import Directory
from hgext3rd.replicate import boot, follow
from hgext3rd.replicate.node import Node

from . import readonly
from .asker import Asker, setting
from .grammar import Serve

BROKEN = 70  # EX_SOFTWARE of sysexits.h
LATER = 75  # EX_TEMPFAIL of sysexits.h

_STDIN = 0


def serve(asker: Asker, directory: Directory, request: Serve) -> int:
    """Serve until the client has enough; return the exit code."""
    ui, repo = asker.ui, request.repo
    path = asker.path(repo)
    if request.on_behalf_of:
        _act(asker, directory, request)
    for variable in (b'LOGNAME', b'USER', b'REMOTE_USER'):
        # what Mercurial and hooks take for the person who pushes
        encoding.environ[variable] = edge.local(asker.user.name)
    if ui.config(b'fleet', b'ledger'):
        # A repository that a power cut has hit may not even open.
        boot.guard(Node.of(ui).hosted(repo))
    opened = compat.repository(ui, edge.local(path))
    writing = asker.may(Verb.WRITE, repo)
    if not writing.allowed:
        readonly.enforce(
            opened,
            f'{asker.user.name} may not write to {repo}',
            lambda: asker.denied('write', repo, writing),
        )
    hosted = getattr(opened.unfiltered(), '_fleet', None)
    if hosted is not None:
        follow.refresh(hosted, opened)
    try:
        wireprotoserver.sshserver(opened.ui, opened).serve_forever()
    except error.Error:
        raise  # Mercurial says these in one line
    except Exception as problem:  # noqa: BLE001 kept for the administrator
        return _hung_up(ui) if _has_gone(problem) else broken(ui)
    finally:
        opened.close()
    return 0


def _act(asker: Asker, directory: Directory, request: Serve) -> None:
    """Let what is pushed be recorded as another's; raises Denied."""
    ui, other, repo = asker.ui, request.on_behalf_of, request.repo
    decision = asker.may_act(repo)
    if not decision.allowed:
        asker.denied('act', repo, decision)
        raise Denied(
            f'{asker.user.name} may not act for others in {repo}',
            'ask an administrator of this fleet for the right "act"',
        )
    user = directory.user(other)
    if user is None or not user.enabled:
        reason = f'{other} is not known here, or locked out'
        auditing.told(ui, 'act', auditing.DENIED, reason=reason, repo=repo)
        raise Denied(reason, 'only a user who may log in can be acted for')
    ui.setconfig(b'fleet', b'actor', edge.local(asker.user.name), b'pash')
    ui.setconfig(b'fleet', b'user', edge.local(other), b'pash')


def _has_gone(problem: Exception) -> bool:
    """Tell whether this is what a client that hangs up makes of a session.

    In the middle of a request Mercurial finds nothing where it expects a
    number.
    """
    if isinstance(problem, ValueError):
        return _at_end(_STDIN)
    return isinstance(problem, BrokenPipeError | ConnectionResetError)


def _at_end(descriptor: int) -> bool:
    """Tell whether there is nothing to read, and never will be."""
    try:
        ready, _, _ = select.select([descriptor], [], [], 0)
        return bool(ready) and not os.read(descriptor, 1)
    except OSError:
        return True


def _hung_up(ui: Any) -> int:
    ui.log(b'pash', b'the client hung up in the middle of a request\n')
    ui.error(b'hgfleet: the connection ended in the middle of a request\n')
    return LATER


def broken(ui: Any) -> int:
    """Keep the traceback of a defect; tell the client only where it is.

    Raises SettingError where there is no place for it.
    """
    when = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())
    with open(os.path.join(setting(ui, b'state'), 'errors.log'), 'a') as file:
        file.write(f'{when} pid {os.getpid()}\n{traceback.format_exc()}\n')
    ui.error(
        b'hgfleet: this server failed to answer\n'
        b'(tell its administrator to look into errors.log at %s)\n'
        % when.encode()
    )
    return BROKEN
