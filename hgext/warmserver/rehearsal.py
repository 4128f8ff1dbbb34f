"""A session before the session.

Before the server begins, a child rehearses one to find out what sessions
import.  Then the server itself does, until the interpreter has made of the
code what it makes of code that runs often; whoever is forked inherits that.
Workers that are forked ahead rehearse as well: most of the time of a session
in a fresh child goes into copying pages of memory as they are first touched,
and this touches them before anybody waits.

A rehearsal must leave nothing that the session could see.  It is given a
repository of the server's own, which is empty and has no settings, and in
which no extension but the fleet's takes part; nobody's hooks run, no hosted
repository and no log is opened, and the audit has no line of it.  The ledger
is opened and looked at, and closed.  Whatever it says goes nowhere.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

from mercurial import dispatch, encoding, extensions, wireprotoserver
from mercurial.utils import procutil

from hgext3rd.fleet import adapters, audit, compat, edge, settings
from hgext3rd.fleet.core import access, names
from hgext3rd.fleet.core.access import Verb
from hgext3rd.fleet.core.errors import FleetError
from hgext3rd.replicate.node import Node

_SAID = (
    b'hello\n'
    b'between\npairs 81\n'
    + b'0' * 40
    + b'-'
    + b'0' * 40
    + b'batch\n* 0\ncmds 61\nheads ;known nodes=;listkeys namespace=phases'
)
_NAMES = (
    'fleetpash.parts',
    'fleetpash.readonly',
    'fleetpash.session',
    'hgext3rd.fleet.adapters.directory_file',
    'hgext3rd.fleet.auditing',
    'mercurial.ancestor',
    'mercurial.branching.rev_cache',
    'mercurial.branchmap',
    'mercurial.bundle2',
    'mercurial.changegroup',
    'mercurial.context',
    'mercurial.discovery',
    'mercurial.exchange',
    'mercurial.exchanges.bundle_cache',
    'mercurial.filelog',
    'mercurial.manifest',
    'mercurial.match',
    'mercurial.obsolete',
    'mercurial.progress',
    'mercurial.revlogutils.deltas',
    'mercurial.revlogutils.nodemap',
    'mercurial.revlogutils.rewrite',
    'mercurial.tags',
    'mercurial.transaction',
    'mercurial.utils.storageutil',
)
_NAMES_WITH_LEDGER = (
    'hgext3rd.checks.judging',
    'hgext3rd.fleet.adapters.blobs_dir',
    'hgext3rd.fleet.adapters.clock_system',
    'hgext3rd.fleet.adapters.ledger_relay',
    'hgext3rd.fleet.adapters.ledger_sqlite',
    'hgext3rd.fleet.core.boot',
    'hgext3rd.fleet.files',
    'hgext3rd.pushlog.store',
    'hgext3rd.replicate.boot',
    'hgext3rd.replicate.digest',
    'hgext3rd.replicate.payload',
    'hgext3rd.replicate.publish',
    'hgext3rd.replicate.sums',
    'hgext3rd.replicate.visible',
    'sqlite3',
)
_OURS = frozenset({b'replicate', b'pushlog', b'fleetpash', b'warmserver'})
_NOBODY = 'nobody'
_BEYOND = 1 << 62
TIMES = 12
"""How often code has to run until an interpreter runs it no better."""


def blind() -> None:
    """Let nothing that is said or heard in this process reach anybody."""
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    os.close(null)


@contextmanager
def unheard() -> Iterator[None]:
    """Within, be blind; whatever a rehearsal has changed is taken back."""
    environ = dict(encoding.environ)
    kept = [os.dup(number) for number in range(3)]
    blind()
    try:
        yield
    finally:
        for stream in (procutil.stdout, procutil.stderr):
            stream.flush()
        for number, descriptor in enumerate(kept):
            os.dup2(descriptor, number)
            os.close(descriptor)
        encoding.environ.clear()
        encoding.environ.update(environ)


def load(name: str) -> None:
    """Import a module now, also where imports are put off."""
    # To look at it is what makes it be read.
    _known = importlib.import_module(name).__doc__


def loaded() -> list[str]:
    """Return the names of all modules that have been read."""
    return sorted(
        name
        for name, module in list(sys.modules.items())
        if type(module).__name__ != '_LazyModule' and '__main__' not in name
    )


def prepare(ui: Any) -> None:
    """Import what is known to be needed."""
    named = _NAMES_WITH_LEDGER if ui.config(b'fleet', b'ledger') else ()
    for name in (*_NAMES, *named):
        # What a version of Mercurial does not have is of no use to it.
        with suppress(ImportError):
            load(name)
    if any(name == b'checks' for name, _module in extensions.extensions(ui)):
        _prepare_checks(ui)


def _prepare_checks(ui: Any) -> None:
    """Import the policies; where they are not fit, pushes will tell."""
    from hgext3rd.checks import loading

    with suppress(FleetError):
        loading.bench(ui)


def rehearse(ui: Any, path: str) -> None:
    """Serve nobody for a moment, from the repository at ``path``.

    It is made where there is none, or no longer.
    """
    # A person of no name is refused before anything is opened.
    dispatch.dispatch(compat.request([b'pash::session', b'--', b'']))
    recall(ui)
    with suppress(FleetError):
        _authorise(ui)
    with suppress(FleetError):
        _consult(ui)
    quiet = _alone(ui)
    if not os.path.isdir(os.path.join(path, '.hg')):
        compat.repository(quiet, edge.local(path), create=True)
    quiet.fin = io.BytesIO(_SAID)
    quiet.fout = quiet.ferr = io.BytesIO()
    opened = compat.repository(quiet, edge.local(path))
    try:
        wireprotoserver.sshserver(opened.ui, opened).serve_forever()
    finally:
        opened.close()


def recall(ui: Any) -> None:
    """Have read who there is, before anybody is forked, if it is in a file.

    Of a directory elsewhere only the driver is imported.
    """
    url = edge.text(ui.config(b'fleet', b'directory') or b'')
    with suppress(FleetError), closing(adapters.open_directory(url)) as one:
        if url.startswith('file:'):
            one.user(_NOBODY)


def _authorise(ui: Any) -> None:
    rules = settings.rules(ui.configitems(b'access'))
    for verb in (Verb.READ, Verb.WRITE):
        access.decide(rules, _NOBODY, frozenset(), _NOBODY, verb)
    login = audit.Event('login', _NOBODY, audit.ALLOWED)
    audit.write(f'file://{os.devnull}', _NOBODY, login)


def _consult(ui: Any) -> None:
    if not ui.config(b'fleet', b'ledger'):
        return
    node = Node.of(ui)
    if not os.path.exists(node.relay) and not node.settings.ledger.startswith(
        'sqlite://'
    ):
        # Connecting would take long, and every worker would do it twice.
        return
    hosted = node.hosted(names.repository(_NOBODY))
    try:
        node.ledger.read(hosted.stream, _BEYOND, hosted.keys)
    finally:
        node.ledger.close()


def _alone(ui: Any) -> Any:
    """Return a ui for which no extension but ours is enabled."""
    quiet = ui.copy()
    for name, _module in extensions.extensions():
        if name not in _OURS:
            quiet.setconfig(b'extensions', name, b'!', b'warmserver')
    return quiet
