"""serve SSH sessions from a process that is warm already

Starting Mercurial for an SSH session takes a tenth of a second, before its
first byte. :hg:`warmserver::serve` does that once, and then forks a process
for each session, which is there in some milliseconds. The forced command
hands it the connection through the socket ``warm.sock`` in ``fleet.state``::

  [extensions]
  fleetpash =
  warmserver =

It is used where it answers. While it does not run, is too busy, or finds
that a file it was started from has changed, the forced command becomes the
session itself, as it does without this extension; clients notice nothing but
the time. What it serves is decided by :hg:`pash::session`, in either case.

Before each session the server compares every module that it has loaded, and
every configuration file that it has read, with what is on disk now. When one
differs, that session is declined, and the server starts anew in its place;
connections wait meanwhile. Configuration is read again for each session in
any case, as are a repository's own settings and its hooks.

``warmserver.workers`` (default 50)
  how many sessions there may be at a time; further ones wait for some
  seconds, and then begin without the server.

Run it as the user that sshd lets people into; nobody else is served.
SIGHUP makes it start anew, SIGTERM makes it end when its sessions have
ended, after ten seconds at most.

People's own commands
---------------------

Where ``chg``, the client that comes with Mercurial, is used in place of
``hg``, this extension in a user's hgrc makes the servers that it starts
better ones. However many clients begin at once, one server is started for
them. Changed code, of whatever module, and changed configuration are noticed
at the next command, even in the same second; the server is then replaced
while its clients wait a little, and none of them starts one for itself.
Commands are run by workers that have been forked and warmed up before, each
of which runs one.

``warmserver.chg-servers`` (default 8)
  how many servers a user may have, one for each configuration and
  environment in use; those not used for longest end.
``warmserver.chg-workers`` (default 64)
  how many commands a server may run at a time; further ones wait.
``warmserver.chg-idle-workers`` (default 2)
  how many workers wait for commands.
``warmserver.chg-in-place`` (default True)
  whether servers replace themselves; otherwise clients start new ones.

``chgserver.idletimeout`` is heeded; with ``chgserver.skiphash``, and with
Mercurial other than 7.2, chg has Mercurial's own server.
"""

from __future__ import annotations

from typing import Any

from mercurial import registrar

from ..fleet import meta, settings
from . import chg

testedwith = meta.TESTEDWITH
minimumhgversion = meta.MINIMUM_HG
buglink = meta.BUGLINK

cmdtable: dict[bytes, Any] = {}
command = registrar.command(cmdtable)

configtable: dict[bytes, Any] = {}
configitem = registrar.configitem(configtable)

configitem(b'warmserver', b'workers', default=50)
configitem(b'warmserver', b'chg-servers', default=8)
configitem(b'warmserver', b'chg-workers', default=64)
configitem(b'warmserver', b'chg-idle-workers', default=2)
configitem(b'warmserver', b'chg-in-place', default=True)

chg.begin()


def uisetup(ui: Any) -> None:
    """Register the settings that the fleet's extensions share."""
    settings.declare(ui)
    chg.setup(ui)


@command(b'warmserver::serve', [], b'', norepo=True)
def serve_command(ui: Any) -> int:
    """be the warm server of this node until told to stop"""
    from . import start

    return start.serve(ui)
