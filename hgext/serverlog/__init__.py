"""write down what the server does for whom, and what that costs

Every session over SSH, and every request to a repository that the web tier
answers, becomes some lines in a file: one when it starts, one when it ends,
and two for each command of Mercurial's wire protocol in it::

  [extensions]
  serverlog =

  [serverlog]
  file = file:///var/log/hgfleet/serverlog.log

``serverlog.file`` (default: ``serverlog.log`` in ``fleet.state``)
  where the lines go: ``file:///PATH``, to which they are added, and which may
  be renamed at any time; or ``syslog:///dev/log`` or ``syslog://HOST:PORT``,
  with the facility local2.

A line is an object of JSON. In all of them are:

``time``
  when, in UTC: ``2026-11-21T20:15:30.125Z``

``node``
  the node that it happened on

``event``
  ``session-start``, ``session-end`` (SSH), ``request-start``, ``request-end``
  (HTTP), ``command-start`` or ``command-end``

``pid``
  the process

``session``
  16 digits, which all lines of one session or request have in common

``door``
  ``ssh`` or ``http``

``repo``
  the repository

Those of SSH also have:

``user``
  who it is, as the directory knows them

``from``
  the address that sshd saw

Those of HTTP, where nobody is known, and where the address is that of the
server in front, also have:

``method``, ``path``
  of the request

Those of commands have:

``command``
  its name, such as ``getbundle`` or ``batch``

And those at an end have:

``read``, ``written``
  how many bytes came from the client, and went to it; over HTTP without
  headers

``wall``, ``cpu``
  seconds that have passed, and those of a processor; not of other processes,
  such as hooks

``status``
  of the answer, over HTTP

``failed``
  true when it ended early: something went wrong, or the client has left

Fields that say nothing are left out. A start without an end is of a process
that was killed, or is still at work. A command that Mercurial does not know
has no lines.

Nobody is ever refused, and no client is told, because a line cannot be
written: it is lost. The first time, each process says so, to the log of the
web tier, or with :hg:`help blackbox` under ``serverlog``; it tries again
after ten seconds.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

from mercurial import extensions, registrar, wireprotoserver

from ..fleet import edge, meta, settings
from . import record, ssh

testedwith = meta.TESTEDWITH
minimumhgversion = meta.MINIMUM_HG
buglink = meta.BUGLINK

configtable: dict[bytes, Any] = {}
configitem = registrar.configitem(configtable)

configitem(b'serverlog', b'file', default=b'')


def uisetup(ui: Any) -> None:
    """Register the settings; wrap what serves a client over SSH."""
    settings.declare(ui)
    extensions.wrapfunction(wireprotoserver, '_runsshserver', ssh.serving)


def reposetup(ui: Any, repo: Any) -> None:
    """Have sessions of a local repository recorded."""
    if not repo.local():
        return
    unfi = repo.unfiltered()

    def complain(said: str) -> None:
        # Whatever is said to a user is said to the client.
        ui.log(b'serverlog', b'%s\n', edge.local(said))

    unfi._fleet_recorder = _recorder(ui, complain)
    unfi._fleet_recorded_as = _name(ui, repo.root)


def websetup(ui: Any, serve: Any, named: Callable[[str], str | None]) -> Any:
    """Have requests recorded; called by the web tier when it is built."""
    from . import http

    complain = logging.getLogger('hgfleet.web').warning
    return http.Recorded(serve, named, _recorder(ui, complain))


def _recorder(ui: Any, complain: Callable[[str], object]) -> record.Recorder:
    place = edge.text(ui.config(b'serverlog', b'file') or b'')
    state = edge.text(ui.config(b'fleet', b'state') or b'').rstrip('/')
    node = edge.text(ui.config(b'fleet', b'node') or b'')
    url = place or f'file://{state}/serverlog.log'
    return record.Recorder(url, node, complain)


def _name(ui: Any, root: bytes) -> str:
    """Return the name of a repository; its path where it is not hosted."""
    hosted = os.path.realpath(ui.config(b'fleet', b'root') or b'/')
    inside: bytes = os.path.relpath(root, hosted)
    return edge.text(root if inside.startswith(b'..') else inside)
