"""serve SSH sessions from a process that is warm already

Starting Mercurial for an SSH session takes a tenth of a second, before its
first byte. :hg:`warmserver::serve` does that once, and then forks a process
for each session, which is there in some milliseconds. The forced command
hands it the connection through the socket ``warm.sock`` in ``fleet.state``::

  [extensions]
  fleetpash =
  warmserver =

It is used where it answers. While it does not run, is too busy, or cannot
start anew after a change, the forced command becomes the session itself, as
it does without this extension; clients notice nothing but the time. What it
serves is decided by :hg:`pash::session`, in either case.

Before each session the server compares every module that it has loaded, the
folders in which it looks for modules, and every configuration file that it
has read, with what is on disk now. When one differs, that session waits for
the next server, which is started at once, as do others that come meanwhile.
Those that have waited for two seconds begin without a server, and so do those
that come after that, until it has loaded everything and takes over. The same
holds when the server is started, or has been killed.
Configuration is read again for each session in any case, as are a
repository's own settings and its hooks. An extension that a repository's
settings enable is loaded for that session alone, as without the server; one
that they disable takes no part in that repository.

``warmserver.workers`` (default 50)
  how many sessions there may be at a time; further ones wait for some
  seconds, and then begin without the server.

``warmserver.spare`` (default 3)
  how many workers are forked ahead of any request. Each has been through a
  session of nobody, and serves one; under load more are forked on demand.

``warmserver.repos`` (default 0)
  of how many repositories, the last that were served, the server keeps the
  obsolescence markers in memory. Worth while where there are tens of
  thousands. While it reads them, some tenths of a second after they have
  changed and only when nobody has come for a moment, requests wait.

``warmserver.umask`` (default: what sshd has given)
  in octal, for what sessions write.

``warmserver.nice`` (default 0), ``warmserver.files``, ``warmserver.memory``,
``warmserver.cpu``
  by how much sessions are nicer than the server, how many files they may have
  open, how much address space they may use (such as ``2 GB``), and for how
  many seconds of CPU time. 0 is what the server itself may. These, and the
  umask, hold for sessions without the server as well, where 0 is what sshd
  lets them.

Run it as the user that sshd lets people into; nobody else is served.
SIGHUP, or :hg:`warmserver::reload`, makes the next server take over; SIGTERM,
or :hg:`warmserver::stop`, makes it end when its sessions have ended, after ten
seconds at most. A service manager may open the socket itself, of the type
SOCK_SEQPACKET, and pass it on as systemd does.

Its output has a line for each connection; ``hgext3rd.warmserver.report`` says
what is in it. :hg:`warmserver::status` sums them up.

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

import contextlib
import sys
from typing import Any

from mercurial import cmdutil, extensions, registrar

from ..fleet import edge, meta, settings
from . import chg

testedwith = meta.TESTEDWITH
minimumhgversion = meta.MINIMUM_HG
buglink = meta.BUGLINK

cmdtable: dict[bytes, Any] = {}
command = registrar.command(cmdtable)

configtable: dict[bytes, Any] = {}
configitem = registrar.configitem(configtable)

configitem(b'warmserver', b'workers', default=50)
configitem(b'warmserver', b'spare', default=3)
configitem(b'warmserver', b'repos', default=0)
configitem(b'warmserver', b'umask', default=b'')
configitem(b'warmserver', b'nice', default=0)
configitem(b'warmserver', b'files', default=0)
configitem(b'warmserver', b'memory', default=0)
configitem(b'warmserver', b'cpu', default=0)
configitem(b'warmserver', b'chg-servers', default=8)
configitem(b'warmserver', b'chg-workers', default=64)
configitem(b'warmserver', b'chg-idle-workers', default=2)
configitem(b'warmserver', b'chg-in-place', default=True)

chg.begin()


def uisetup(ui: Any) -> None:
    """Register the settings that the fleet's extensions share."""
    settings.declare(ui)
    chg.setup(ui)


def extsetup(_ui: Any) -> None:
    """Have sessions that the server does not serve limited as well."""
    with contextlib.suppress(KeyError):
        pash = extensions.find(b'fleetpash')
        extensions.wrapcommand(pash.cmdtable, b'pash::session', _limited)


def _limited(orig: Any, ui: Any, user: bytes, **opts: Any) -> Any:
    from . import limits

    # Who rehearses has no name, and may be the server itself.
    if user and not limits.imposed():
        with edge.refusing():
            limits.impose(limits.read(ui))
    return orig(ui, user, **opts)


def reposetup(ui: Any, repo: Any) -> None:
    """Have a session's repository borrow what the server has read ahead."""
    shelf = sys.modules.get(f'{__name__}.shelf')
    if shelf is not None:
        shelf.borrow(repo)


@command(b'warmserver::serve', [], b'', norepo=True)
def serve_command(ui: Any) -> int:
    """be the warm server of this node until told to stop"""
    from . import start

    with edge.refusing():
        return start.serve(ui)


@command(
    b'warmserver::status',
    [
        (b'', b'metrics', None, b'write it as metrics for Prometheus'),
        (b'', b'chg', None, b'tell of your own servers for chg instead'),
        *cmdutil.formatteropts,
    ],
    b'[--metrics | --chg] [-T TEMPLATE]',
    norepo=True,
)
def status_command(ui: Any, **opts: Any) -> int:
    """say what the warm server of this node is doing

    With -T json, ``hgext3rd.warmserver.status`` says what is in it.

    With --chg, the servers that the chg of this environment would use, the
    one used last first: ``pid``, ``key``, ``since``, ``requests``,
    ``workers`` and ``idle``. Returns 1 when there is none.
    """
    from . import commands

    with edge.refusing():
        return commands.status(ui, **opts)


@command(b'warmserver::reload', [], b'', norepo=True)
def reload_command(ui: Any) -> int:
    """have the next warm server take over, as when something has changed"""
    from . import commands

    with edge.refusing():
        return commands.reload(ui)


@command(b'warmserver::stop', [], b'', norepo=True)
def stop_command(ui: Any) -> int:
    """stop the warm server of this node, once its sessions have ended"""
    from . import commands

    with edge.refusing():
        return commands.stop(ui)
