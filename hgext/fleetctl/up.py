"""Bringing a fleet up.

Everything that can be wrong is looked for before anything is started: a
missing program, a folder of a newer version, another supervisor, a port
that is taken.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import replace

from ..fleet.core.barrier import PRIMARY
from ..fleet.core.errors import FleetError, SettingError
from ..replicate import members
from . import (
    founding,
    keeper,
    lock,
    plan,
    process,
    repos,
    running,
    sockets,
    text,
)
from .detach import Foreground, detach
from .layout import Layout
from .opening import DemoOpening
from .plan import Fleet, Node, Tools, Wishes
from .running import Leftovers, Running
from .supervise import Supervisor

FAILED = 255
_GRACE = 5.0


def up(layout: Layout, wishes: Wishes, tools: Tools, detached: bool) -> int:
    """Run a fleet until it is told to stop; return the exit code.

    With ``detached`` it goes on running in the background when this
    returns.  Raises FleetError when nothing was started.
    """
    os.umask(0o077)
    held = None
    is_old = founding.is_fleet(layout)
    if is_old:
        founding.require_own(layout)
        held = lock.hold(layout)
        left = Leftovers(set(running.read(layout).processes()))
        process.finish(left, _GRACE)
    record = plan.settle(wishes, founding.record(layout))
    nodes = assign(plan.nodes(record))
    with held or lock.hold(layout):
        if not is_old:
            _say(f'making a fleet in {layout.root}')
        fleet = Fleet(
            layout,
            replace(record, ports=plan.ports(nodes)),
            tuple(nodes),
            tools,
            plan.environment(os.environ),
        )
        ledger = _prepare(fleet)
        names = ', '.join(f'{one.name} (port {one.port})' for one in nodes)
        _say(f'starting {names}')
        return _start(fleet, ledger, detached)


def _prepare(fleet: Fleet) -> str:
    """Make and check what the parts need; return the ledger's URL."""
    layout = fleet.layout
    founding.found(layout)
    founding.furnish(fleet, pwd.getpwuid(os.geteuid()).pw_name)
    founding.require_ledger(layout)
    founding.prepare_sshd(fleet)
    found = [repos.settings_of(layout, one.name) for one in fleet.nodes]
    members.leases(found[0].ledger)
    founding.remember(layout, fleet.record)
    return found[0].ledger


def _start(fleet: Fleet, ledger: str, detached: bool) -> int:
    def start(ground: Foreground) -> int:
        # Who reads that may tell the keeper to stop before it listens.
        signal.pthread_sigmask(signal.SIG_BLOCK, keeper.AWAITED)
        now = Running(keeper=process.identify(os.getpid()))
        running.write(fleet.layout, now)
        return keeper.keep(
            lambda: _supervise(fleet, ledger, ground.ready), ground.leave
        )

    if detached:
        return detach(fleet.layout.log('up'), start)
    return start(Foreground())


def assign(nodes: list[Node]) -> list[Node]:
    """Return the nodes with their ports; SettingError if one is taken."""
    wanted = [port for node in nodes for port in (node.port, node.ready)]
    wanted = [port for port in wanted if port]
    given = []
    for node in nodes:
        primary = node.role == PRIMARY
        option = '--ssh-port' if primary else '--http-port'
        port = _port(node.name, option, node.port, node.liked, wanted)
        ready = 0
        if primary:
            own, liked = node.ready, node.ready_liked
            ready = _port(node.name, '--ready-port', own, liked, wanted)
        given.append(replace(node, port=port, ready=ready))
    return given


def _port(
    node: str, option: str, port: int, liked: int, wanted: list[int]
) -> int:
    """Return the port for a node; ``wanted`` are those of all nodes."""
    if port and wanted.count(port) > 1:
        raise SettingError(
            f'port {port} is wanted for {node} and for another node',
            'choose --ssh-port, --http-port and --ready-port farther from '
            'each other',
        )
    if port and not sockets.is_free(port):
        raise SettingError(
            f'port {port}, for {node}, is taken',
            f'stop what listens there, or choose another with {option} '
            '(0: any free one)',
        )
    if not port:
        fit = liked and liked not in wanted and sockets.is_free(liked)
        port = liked if fit else sockets.choose(wanted)
        wanted.append(port)
    return port


def _supervise(fleet: Fleet, ledger: str, at_ready: Callable[[], None]) -> int:
    def ready() -> None:
        record = replace(fleet.record, founded=True)
        founding.remember(fleet.layout, record)
        for line in text.ready(fleet, *_typed(fleet.tools)):
            _say(line)
        at_ready()

    try:
        opening = DemoOpening(
            fleet, lambda: members.leases(ledger), _say, ready
        )
        parts = plan.parts(fleet, ledger)
        Supervisor(fleet.layout, parts, _say).run(opening)
    except FleetError as problem:
        hint = f'({problem.hint})\n' if problem.hint else ''
        sys.stderr.write(f'abort: {problem}\n{hint}')
        sys.stderr.flush()
        return FAILED
    _say('stopped')
    return 0


def _typed(tools: Tools) -> tuple[str, str]:
    """Return hg and hgfleet as a person here would type them."""
    hgfleet = os.path.join(os.path.dirname(tools.hg), 'hgfleet')
    near = shutil.which('hgfleet')
    if near and os.path.realpath(near) == os.path.realpath(hgfleet):
        hgfleet = 'hgfleet'
    return 'hg' if shutil.which('hg') else tools.hg, hgfleet


def _say(line: str) -> None:
    # When nobody reads it any more, the fleet goes on.
    with contextlib.suppress(OSError):
        print(line, flush=True)
