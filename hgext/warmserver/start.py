"""Starting the warm server: a clean process, everything loaded, frozen.

The process that is started is the master.  It starts the server itself,
which loads everything, as a child: the same command, in the environment that
the forced command builds for sessions, with one more variable that says what
it is.  What a session imports is found out by a child that rehearses one;
the rest stays put off, as it is without a server, since each process that is
forked pays for the memory of all that is loaded.

A service manager may have opened the socket already; it says so with
LISTEN_FDS and LISTEN_PID, as systemd does.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pickle
import socket
import sys
import time
import traceback
from contextlib import suppress
from typing import Any

from mercurial import encoding
from mercurial import ui as uimod

from fleetpash import pash

from ..fleet import daemon, edge
from ..fleet.core.errors import SettingError
from . import fresh, limits, rehearsal, renewal, worker
from .estate import Estate
from .master import Master, listen
from .request import SOCKET
from .server import Plan, Server
from .shelf import Shelf

_ESTATE = b'HGFLEET_ESTATE'
_SERVER = b'HGFLEET_SERVER'
_TRIAL = b'HGFLEET_TRIAL'
_FIRST = 3
_PRACTICE = 'practice'
_TRIES, _PAUSE = 100, 0.1
# The folder that it may be relative to is left soon.
_PROGRAM = os.path.abspath(sys.argv[0])


def serve(ui: Any) -> int:
    """Be the warm server of this node; return the exit code."""
    environ = encoding.environ
    hgrc = environ.get(b'HGRCPATH', b'')
    if not os.path.isfile(hgrc):
        raise SettingError(
            'the warm server needs HGRCPATH to name the hgrc of its node'
        )
    told = environ.pop(_SERVER, None)
    if told is not None:
        return _generation(ui, hgrc, json.loads(told))
    return _master(ui, hgrc)


def state_folder(ui: Any) -> str:
    """Return the folder of the node's small files; raises SettingError."""
    state = edge.text(ui.config(b'fleet', b'state') or b'')
    if not state:
        raise SettingError('fleet.state is not set')
    return state


def _master(ui: Any, hgrc: bytes) -> int:
    environ = encoding.environ
    left, trial = environ.pop(_ESTATE, None), environ.pop(_TRIAL, None)
    state = state_folder(ui)
    _plan(ui)
    limits.read(ui)
    path = os.path.join(state, SOCKET)
    earlier = Estate.decode(left) if left else None
    if trial is not None:
        return 0
    lock = earlier.lock if earlier else -1
    if lock < 0:
        lock = _lock(state)
    estate = earlier or _listen(path)
    estate.lock = lock
    for number in estate.descriptors:
        os.set_inheritable(number, False)
    os.chdir('/')
    master = Master(
        ui, path, estate, lambda number: _spawn(hgrc, number), _attempt
    )
    handed_on = master.run()
    if handed_on is not None:
        _again(handed_on)
    return 0


def _lock(state: str) -> int:
    """Return what holds the lock of a node's warm server, as long as open."""
    path = os.path.join(state, 'warm.lock')
    with daemon.alone(path, 'the warm server of this node') as held:
        return os.dup(held.fileno())


def _listen(path: str) -> Estate:
    """Return a socket: the one that there is already, or one at ``path``."""
    environ = encoding.environ
    given = environ.pop(b'LISTEN_FDS', b'')
    meant = environ.pop(b'LISTEN_PID', b'')
    environ.pop(b'LISTEN_FDNAMES', None)
    if not given or meant != b'%d' % os.getpid():
        return Estate(listen(path).detach(), owns=True)
    with socket.socket(fileno=os.dup(_FIRST)) as listener:
        fits = (
            listener.family == socket.AF_UNIX
            and listener.type == socket.SOCK_SEQPACKET
        )
    if given != b'1' or not fits:
        raise SettingError(
            'the warm server was given another socket than it can use',
            'let its unit have one line, "ListenSequentialPacket="',
        )
    return Estate(_FIRST, owns=False)


def _attempt(estate: Estate) -> int:
    """Start a process that finds out whether a master could start."""
    env = {**encoding.environ, _ESTATE: estate.encode(), _TRIAL: b'1'}
    _flush()
    return os.posix_spawn(_PROGRAM, [_PROGRAM, 'warmserver::serve'], env)


def _again(estate: Estate) -> None:
    """Execute the master anew, in this process, which blocks its signals."""
    for number in estate.descriptors:
        os.set_inheritable(number, True)
    _flush()
    env = {**encoding.environ, _ESTATE: estate.encode()}
    for _time in range(_TRIES):
        # It may be away, or half there, for a moment while it is replaced.
        with suppress(OSError):
            os.execve(_PROGRAM, [_PROGRAM, 'warmserver::serve'], env)
        time.sleep(_PAUSE)
    raise SettingError(f'cannot start {_PROGRAM} anew')


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()


def _is_built_alike(hgrc: bytes) -> bool:
    """Whether our master, which may be older, has built our environment so."""
    with open('/proc/self/environ', 'rb') as file:
        pairs = [one.partition(b'=') for one in file.read().split(b'\0')]
    given = {name: value for name, _equals, value in pairs}
    return _environment(hgrc, given).items() <= given.items()


def _environment(hgrc: bytes, outer: dict[bytes, bytes]) -> dict[bytes, bytes]:
    env = pash.environment(os.fsdecode(hgrc), outer)
    del env[b'HGFLEET_COMMAND']
    return env


def _spawn(hgrc: bytes, listener: int) -> tuple[int, socket.socket]:
    """Start a server; return its process, and the leash to it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    outer = {
        name: os.environb[name] for name in pash.KEPT if name in os.environb
    }
    env = _environment(hgrc, outer)
    told = [time.time_ns(), listener, theirs.fileno()]
    env[_SERVER] = json.dumps(told).encode()
    _flush()
    for number in told[1:]:
        os.set_inheritable(number, True)
    try:
        pid = os.posix_spawn(_PROGRAM, [_PROGRAM, 'warmserver::serve'], env)
    finally:
        os.set_inheritable(listener, False)
        theirs.close()
    return pid, ours


def _plan(ui: Any) -> Plan:
    plan = Plan(
        ui.configint(b'warmserver', b'workers'),
        ui.configint(b'warmserver', b'spare'),
    )
    if plan.workers < 1:
        raise SettingError('warmserver.workers must be at least 1')
    if plan.spare < 0:
        raise SettingError('warmserver.spare must be at least 0')
    return plan


def _generation(ui: Any, hgrc: bytes, told: list[int]) -> int:
    """Be one generation of the server."""
    born, listening, leash = told
    for number in (listening, leash):
        os.set_inheritable(number, False)
    if not _is_built_alike(hgrc):
        return renewal.OUTDATED
    os.chdir('/')
    practice = os.path.join(state_folder(ui), 'warm', _PRACTICE)
    plan, limited = _plan(ui), limits.read(ui)
    root = edge.text(ui.config(b'fleet', b'root') or b'')
    shelf = Shelf(ui, root, ui.configint(b'warmserver', b'repos'))
    setup = worker.Setup(ui, hgrc, limited, practice, shelf)
    loaded = _import_all(ui, practice)
    if loaded:
        _rehearse(ui, hgrc, practice)
    # What a session imports beyond that, it looks for as it is by then.
    importlib.invalidate_caches()
    marks = _marks(hgrc)
    if marks.changed_since(born) or time.time_ns() < born:
        # Something has changed while it was read, or the clock does not tell.
        return renewal.CHANGED
    rehearsal.recall(ui)
    gc.collect()
    gc.freeze()
    server = Server(
        setup,
        plan if loaded else Plan(plan.workers, 0),
        marks,
        socket.socket(fileno=listening),
        socket.socket(fileno=leash),
    )
    server.run()
    return 0


def _marks(hgrc: bytes) -> fresh.Marks:
    with fresh.reading() as configuration:
        uimod.ui.load()
    return fresh.Marks(
        {hgrc, *configuration, *fresh.modules(), *fresh.search_path()}
    )


def _import_all(ui: Any, practice: str) -> bool:
    """Import what a session will import; tell whether that is known."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        said: Any = None
        try:
            rehearsal.blind()
            rehearsal.prepare(ui)
            rehearsal.rehearse(ui, practice)
            said = rehearsal.loaded()
        except BaseException:  # noqa: BLE001 the administrator is told
            said = traceback.format_exc()
        finally:
            # Whoever was to read it may be gone.
            with suppress(OSError), open(writing, 'wb') as file:
                pickle.dump(said, file)
            os._exit(0)
    os.close(writing)
    with open(reading, 'rb') as file:
        data = file.read()
    os.waitpid(child, 0)
    names = pickle.loads(data)
    if isinstance(names, str):
        ui.warn(edge.local(names))
        ui.warn(b'warmserver: the rehearsal failed; sessions start slower\n')
        return False
    for name in set(names).difference(rehearsal.loaded()):
        # Compiled modules may add some that are in no file.
        with suppress(ImportError):
            rehearsal.load(name)
    return True


def _rehearse(ui: Any, hgrc: bytes, practice: str) -> None:
    with rehearsal.unheard():
        worker.enter(hgrc, {b'SSH_ORIGINAL_COMMAND': b'help'})
        for _time in range(rehearsal.TIMES):
            rehearsal.rehearse(ui, practice)
