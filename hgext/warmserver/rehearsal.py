"""A session before the first one, to find out what sessions import.

It greets, asks for what every client asks, and pushes nothing; where the
node has a repository, of that one.  It happens in a child, of which nothing
remains but the list of modules.
"""

from __future__ import annotations

import contextlib
import io
import os
from typing import Any

from mercurial import extensions, wireprotoserver

from hgext3rd.fleet import compat, edge
from hgext3rd.fleet.core.errors import FleetError

_SAID = (
    b'hello\n'
    b'between\npairs 81\n'
    + b'0' * 40
    + b'-'
    + b'0' * 40
    + b'batch\n* 0\ncmds 61\nheads ;known nodes=;listkeys namespace=phases'
)
_NAMES = (
    'fleetpash.session',
    'fleetpash.readonly',
    'hgext3rd.fleet.adapters.directory_file',
    'hgext3rd.fleet.adapters.ledger_sqlite',
    'hgext3rd.fleet.adapters.ledger_relay',
    'hgext3rd.fleet.adapters.blobs_dir',
    'hgext3rd.replicate.publish',
    'hgext3rd.replicate.visible',
    'hgext3rd.pushlog.store',
    'hgext3rd.checks.judging',
    'mercurial.bundle2',
    'mercurial.changegroup',
    'mercurial.exchange',
    'mercurial.obsolete',
    'mercurial.discovery',
    'mercurial.branchmap',
    'mercurial.tags',
    'sqlite3',
)


def rehearse(ui: Any) -> None:
    """Import what is known to be needed; serve nobody for a moment."""
    for name in _NAMES:
        __import__(name)
    if any(name == b'checks' for name, _module in extensions.extensions(ui)):
        _rehearse_checks(ui)
    root = edge.text(ui.config(b'fleet', b'root') or b'')
    for repo in _first(root):
        quiet = ui.copy()
        quiet.fin = io.BytesIO(_SAID)
        quiet.fout = quiet.ferr = io.BytesIO()
        opened = compat.repository(quiet, os.fsencode(repo))
        server = wireprotoserver.sshserver(opened.ui, opened)
        server.serve_forever()


def _rehearse_checks(ui: Any) -> None:
    """Import the policies; where they are not fit, pushes will tell."""
    from hgext3rd.checks import loading

    with contextlib.suppress(FleetError):
        loading.rehearse(ui)


def _first(root: str) -> list[str]:
    """Return the path of one repository, if there is any."""
    for place, folders, _files in os.walk(root):
        if '.hg' in folders:
            return [place]
        folders.sort()
    return []
