"""Keep a session from writing to the repository that it serves.

Every command of the wire protocol declares whether it needs permission to
``pull`` or to ``push``, and those of unknown extensions count as ``push``.
Mercurial's HTTP server checks that; its SSH server leaves it to whoever
started it.  Here every command that is not a ``pull`` is answered with a
refusal in place of the go-ahead for which a client waits before it sends
its data.

Should a command ever get past that, a second bolt refuses to open any
transaction.  (Following the ledger is not affected: it runs no hooks.)
"""

from __future__ import annotations

from typing import Any

from mercurial import (
    error,
    extensions,
    wireprotoserver,
    wireprototypes,
    wireprotov1server,
)

from hgext3rd.fleet import edge

HINT = 'ask an administrator of this fleet for write access'


class _Refused(Exception):
    """A command inside a batch needs permission to push."""


def enforce(repo: Any, reason: str) -> None:
    """Refuse, with ``reason``, all that would change ``repo``.

    Holds for the rest of the process.
    """

    def checked(orig: Any, proto: Any, permission: bytes) -> None:
        if permission != b'pull':
            raise _Refused
        orig(proto, permission)

    def dispatched(
        orig: Any, its: Any, proto: Any, command: bytes, **options: Any
    ) -> Any:
        entry = wireprotov1server.commands[command]
        if entry.permission == b'pull':
            try:
                return orig(its, proto, command, **options)
            except _Refused:
                pass
        else:
            proto.getargs(entry.args)  # the next command starts after them
        repo.ui.error(edge.local(f'hgfleet: {reason}\n({HINT})\n'))
        # A lone newline is the protocol's "error, see stderr".
        return wireprototypes.streamreslegacy(gen=iter([b'\n']))

    def opening(ui: Any, repo: Any, **about: Any) -> None:
        raise error.Abort(edge.local(reason), hint=edge.local(HINT))

    handler = wireprotoserver.sshv1protocolhandler
    extensions.wrapfunction(handler, 'checkperm', checked)
    extensions.wrapfunction(wireprotov1server, 'dispatch', dispatched)
    repo.ui.setconfig(b'hooks', b'pretxnopen.fleetpash', opening, b'pash')
