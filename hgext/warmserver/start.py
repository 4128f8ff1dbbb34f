"""Starting the warm server: a clean process, everything loaded, frozen.

The environment of sessions is the one that the forced command builds, so
the server lives in it from the start: it executes itself anew in just that,
and with lazy imports switched off.  What a session imports beyond what is
loaded then is found out by a child that rehearses one.
"""

from __future__ import annotations

import gc
import importlib
import os
import pickle
import sys
import time
from typing import Any

from mercurial import encoding
from mercurial import ui as uimod

from fleetpash import pash

from ..fleet import daemon, edge
from ..fleet.core.errors import SettingError
from . import fresh, rehearsal
from .server import Server

_EAGER = b'HGDEMANDIMPORT'
_BORN = b'HGFLEET_BORN'
_LISTENS = b'HGFLEET_LISTENS'
_OURS = (_EAGER, _BORN, _LISTENS)
_TRIES = 3


def serve(ui: Any) -> int:
    """Be the server of this node; return the exit code."""
    environ = encoding.environ
    hgrc = environ.get(b'HGRCPATH', b'')
    if not os.path.isfile(hgrc):
        raise SettingError(
            'the warm server needs HGRCPATH to name the hgrc of its node'
        )
    born = environ.get(_BORN)
    if born is None:
        again(hgrc, None)
    listens = environ.pop(_LISTENS, None)
    for name in _OURS:
        environ.pop(name, None)
    state = edge.text(ui.config(b'fleet', b'state') or b'')
    if not state:
        raise SettingError('fleet.state is not set')
    held = daemon.alone(
        os.path.join(state, 'warm.lock'), 'the warm server of this node'
    )
    _import_all(ui)
    marks = _marks(hgrc)
    if marks.newest() >= int(born or b'0'):
        # Something has changed while it was read.
        time.sleep(0.05)
        again(hgrc, None)
    gc.collect()
    gc.freeze()
    server = Server(ui, state, marks, hgrc)
    inherited = int(listens) if listens else None
    handed_on = server.run(inherited)
    if handed_on is not None:
        again(hgrc, handed_on)
    held.close()
    return 0


def again(hgrc: bytes, listener: int | None) -> None:
    """Become a new server, which listens on the same socket."""
    outer = {
        name: os.environb[name] for name in pash.KEPT if name in os.environb
    }
    env = pash.environment(os.fsdecode(hgrc), outer)
    del env[b'HGFLEET_COMMAND']
    env[_EAGER] = b'disable'
    env[_BORN] = b'%d' % time.time_ns()
    if listener is not None:
        os.set_inheritable(listener, True)
        env[_LISTENS] = b'%d' % listener
    os.chdir('/')
    sys.stdout.flush()
    sys.stderr.flush()
    argv = [os.path.abspath(sys.argv[0]), 'warmserver::serve']
    os.execve(argv[0], argv, env)


def _marks(hgrc: bytes) -> fresh.Marks:
    with fresh.reading() as configuration:
        uimod.ui.load()
    return fresh.Marks({hgrc, *configuration, *fresh.modules()})


def _import_all(ui: Any) -> None:
    """Import what a session will import."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        code = 1
        try:
            rehearsal.rehearse(ui)
            with open(writing, 'wb') as file:
                pickle.dump(sorted(sys.modules), file)
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with open(reading, 'rb') as file:
        data = file.read()
    os.waitpid(child, 0)
    if not data:
        ui.warn(b'warmserver: the rehearsal failed; sessions start slower\n')
        return
    for name in pickle.loads(data):
        if name not in sys.modules and '__main__' not in name:
            importlib.import_module(name)
