"""Keep what clients send from changing a repository.

Every command of the wire protocol declares whether it needs permission to
``pull`` or to ``push``, and those of unknown extensions count as ``push``.
Mercurial's HTTP server checks that; its SSH server leaves it to whoever
started it.  Here every command that is not a ``pull`` is answered with a
refusal in place of the go-ahead for which a client waits before it sends
its data.

Should a command ever get past that, or come another way, a second bolt refuses
to open any transaction.  (Following the ledger is not affected: it runs no
hooks.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mercurial import (
    error,
    extensions,
    wireprotoserver,
    wireprototypes,
    wireprotov1server,
)

from ..fleet import edge

_PULL = b'pull'
# What a parameter of a bundle2 part can hold, in bytes.
_FIELD = 255


@dataclass(frozen=True)
class Refusal:
    """Why a repository may not be changed, in one sentence, and what helps."""

    reason: str
    hint: str


Why = Callable[[], Refusal | None]
"""Tells, each time that it is asked, why not; None if there is no reason."""


class _Refused(Exception):
    """A command inside a batch needs permission to push."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal


def guard(repo: Any, name: bytes, why: Why) -> None:
    """Have whatever would change ``repo`` ask ``why`` first.

    ``name`` tells this guard from others.  Holds for the rest of the process.
    """
    _install()
    unfi = repo.unfiltered()
    unfi.__dict__.setdefault('_fleet_guards', []).append(why)

    def opening(ui: Any, repo: Any, **about: Any) -> None:
        refusal = why()
        if refusal is not None:
            raise error.Abort(
                edge.local(refusal.reason)[:_FIELD],
                hint=edge.local(refusal.hint)[:_FIELD],
            )

    repo.ui.setconfig(b'hooks', b'pretxnopen.' + name, opening, name)


def _refusal(repo: Any) -> Refusal | None:
    for why in getattr(repo.unfiltered(), '_fleet_guards', ()):
        refusal: Refusal | None = why()
        if refusal is not None:
            return refusal
    return None


_installed: list[bool] = []


def _install() -> None:
    if not _installed:
        handler = wireprotoserver.sshv1protocolhandler
        extensions.wrapfunction(handler, 'checkperm', _checked)
        extensions.wrapfunction(wireprotov1server, 'dispatch', _dispatched)
        _installed.append(True)


def _checked(orig: Any, proto: Any, permission: bytes) -> None:
    if permission != _PULL:
        refusal = _refusal(proto._fleet_repo)
        if refusal is not None:
            raise _Refused(refusal)
    orig(proto, permission)


def _dispatched(
    orig: Any, its: Any, proto: Any, command: bytes, **options: Any
) -> Any:
    if proto.name != wireprototypes.SSHV1:
        return orig(its, proto, command, **options)
    proto._fleet_repo = its
    entry = wireprotov1server.commands[command]
    refusal = None if entry.permission == _PULL else _refusal(its)
    if refusal is not None:
        proto.getargs(entry.args)  # the next command starts after them
        return _refused(its, refusal)
    try:
        return orig(its, proto, command, **options)
    except _Refused as problem:
        return _refused(its, problem.refusal)


def _refused(repo: Any, refusal: Refusal) -> Any:
    said = f'hgfleet: {refusal.reason}\n({refusal.hint})\n'
    repo.ui.error(edge.local(said))
    # A lone newline is the protocol's "error, see stderr".
    return wireprototypes.streamreslegacy(gen=iter([b'\n']))
