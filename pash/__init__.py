"""serve repositories over SSH to people that the directory knows

sshd's forced command runs :hg:`pash::session` for every connection. It looks
the person up in the directory, parses what the client asked for with a
grammar, applies the rules of access, and serves the repository in its own
process. No shell and no other program is ever started on behalf of a client.
Besides ``hg -R NAME serve --stdio``, which is what Mercurial's clients ask
for, there are a few commands to make, change and look at repositories; the
command ``help`` lists them::

  [extensions]
  fleetpash =
  fleetpash:required = yes

  [fleet]
  root = /srv/hg/repos
  directory = file:///etc/hgfleet/users.toml
  # shown to people who ask for nothing
  ssh = ssh://hg@hg.example.org/

  [access]
  users/{user}/** = *:admin
  releases/* = release-team:write, landing:act, *:read
  secret/** = @alice:admin, auditors:read
  ** = staff:write, *:read

In ``[access]`` the first line whose glob matches the repository decides
alone. ``*`` stands for any run of characters within one part of a name,
``**`` for any number of parts, and the part ``{user}`` for the name of
whoever asks, with ``_`` in place of ``@``. Each grant is a group, ``@`` and a
user, or ``*`` (every enabled user), then a colon and a verb; ``admin``
(change settings, delete) includes ``create``, that includes ``write``, and
that includes ``read``. Where no line matches, everything is denied.

The verb ``act`` stands for itself: it lets a landing service push in the name
of another user, as far as its own rights go. Clients ask for that with
``--remotecmd hg:for=USER``. USER, who must be able to log in, is recorded as
having pushed; the audit names both.

Reading is needed to be served at all. Somebody who may read but not write
can pull; a push is refused before any of its data is sent.

Each login, each denial, and whatever is changed is written into the audit
(see ``docs/operate.md`` for its format); a session that cannot be is refused.

A repository must be a folder below ``fleet.root`` with that very path:
symbolic links are not followed.

Exit codes of a session: 0 when it was served, or when nothing was asked for;
75 when the same request may succeed later; 1 when it was refused; any other
is Mercurial's own.

sshd itself is configured with ``AuthorizedKeysCommand``, so that keys come
from the same directory; see ``fleetpash.sshd``. ``hgfleet up`` writes what is
set here into that configuration; elsewhere it is written by hand::

  [pash]
  # types of keys; ecdsa is short for ecdsa-256, ecdsa-384 and ecdsa-521
  key-types = ed25519, sk-ed25519, ecdsa, sk-ecdsa, rsa
  # the fewest bits of RSA keys: 2048 to 16384
  rsa-bits = 3072
  # keys and certificates that are not accepted any more: sshd's RevokedKeys.
  # While this file cannot be read, nobody gets in.
  revoked = /etc/hgfleet/revoked
  # who may sign certificates of users: sshd's TrustedUserCAKeys
  trusted-user-ca = /etc/hgfleet/user-ca.pub

A certificate is for the one user whose name is among its principals. When
none is, or several are, or it brings a command of its own, nobody gets in.
"""

from __future__ import annotations

import atexit
import os
from typing import Any

from mercurial import exchange, extensions, registrar

from hgext3rd.fleet import edge, meta, settings

testedwith = meta.TESTEDWITH
minimumhgversion = meta.MINIMUM_HG
buglink = meta.BUGLINK

cmdtable: dict[bytes, Any] = {}
command = registrar.command(cmdtable)

configtable: dict[bytes, Any] = {}
configitem = registrar.configitem(configtable)

configitem(b'access', b'.*', default=None, generic=True)

_ended_with: int | None = None


@atexit.register
def _leave() -> None:
    """Leave at once, if all that there is to do was a session.

    Taking the interpreter down piece by piece is a sixth of the time of a
    short session, and the client waits for it.  This is registered when the
    extension is loaded, so what others register later is still done.
    """
    if _ended_with is not None:
        os._exit(_ended_with)


def uisetup(ui: Any) -> None:
    """Register the settings; take nothing but pushes from who pushes."""
    settings.declare(ui)
    extensions.wrapfunction(exchange, 'unbundle', _unbundle)


def _unbundle(orig: Any, *args: Any, **options: Any) -> Any:
    # Whoever only pulls does not pay for importing this.
    from . import parts

    return parts.unbundle(orig, *args, **options)


@command(b'pash::session', [], b'USER', norepo=True)
def session_command(ui: Any, user: bytes) -> int:
    """serve one SSH session of USER

    The forced command runs this; it is of no use on a terminal. What the
    client asked for is taken from the variable HGFLEET_COMMAND.
    """
    from . import session

    global _ended_with
    status = session.run(ui, edge.text(user))
    if user:
        # Who rehearses has no name, and goes on.
        _ended_with = status
    return status
