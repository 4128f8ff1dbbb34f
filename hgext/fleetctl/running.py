"""What runs at the moment, written down for ``status`` and ``down``.

The supervisor writes ``run/parts.json`` at every change.  Whoever reads it
trusts no pid in it without looking at the process, see ``process.py``.  The
file counts only beside the lock that its writer held: in a copy of the folder
it tells of another fleet, which may well run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ..fleet import files
from .course import State
from .layout import Layout
from .process import Process, boot_id, descendants, is_alive


@dataclass(frozen=True)
class Seen:
    """One part as the supervisor saw it last.

    ``since`` is its last start, in seconds since 1970; ``exit`` the last
    exit code (minus the number of a signal), None when it never ended.
    """

    name: str
    node: str
    kind: str
    state: str
    process: Process | None
    restarts: int
    since: float
    exit: int | None = None


@dataclass(frozen=True)
class Running:
    """The content of the file: the two watchers, and the parts."""

    keeper: Process | None = None
    supervisor: Process | None = None
    parts: tuple[Seen, ...] = ()

    def processes(self) -> list[Process]:
        """Return everything in it that has a pid."""
        some = [one.process for one in self.parts]
        return [one for one in (self.keeper, self.supervisor, *some) if one]

    def stopped(self) -> Running:
        """Return what is to be written when nothing of it runs any more."""
        parts = [
            replace(one, process=None, state=State.STOPPED.value)
            for one in self.parts
        ]
        return Running(parts=tuple(parts))


@dataclass
class Leftovers:
    """Finds what is alive of these processes, and what they started.

    Once seen, a process is remembered: its parent may end before it.
    """

    known: set[Process] = field(default_factory=set)

    def __call__(self) -> Iterable[Process]:
        """Return the processes that are left."""
        self.known = {one for one in self.known if is_alive(one)}
        self.known.update(descendants(one.pid for one in self.known))
        return self.known


def write(layout: Layout, running: Running) -> None:
    """Replace the file."""
    body = {
        'boot': boot_id(),
        'lock': _lock(layout),
        'keeper': _out(running.keeper),
        'supervisor': _out(running.supervisor),
        'parts': [
            {
                'name': one.name,
                'node': one.node,
                'kind': one.kind,
                'state': one.state,
                'process': _out(one.process),
                'restarts': one.restarts,
                'since': round(one.since, 3),
                'exit': one.exit,
            }
            for one in running.parts
        ],
    }
    data = json.dumps(body, indent=1).encode() + b'\n'
    files.replace(layout.running, data)


def read(layout: Layout) -> Running:
    """Return the content; empty when it is missing, or of another boot or
    another folder."""
    here = _lock(layout)
    try:
        body = json.loads(files.read(layout.running) or b'{}')
        if body.get('boot') != boot_id() or body.get('lock', here) != here:
            return Running()
        return Running(
            _in(body['keeper']),
            _in(body['supervisor']),
            tuple(_part(one) for one in body['parts']),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Running()


def _lock(layout: Layout) -> list[int]:
    """Return what tells the lock of this folder from that of a copy."""
    try:
        stat = os.stat(layout.lock)
    except OSError:
        return []
    return [stat.st_dev, stat.st_ino]


def _part(body: Mapping[str, object]) -> Seen:
    restarts, since, code = body['restarts'], body['since'], body['exit']
    if not isinstance(restarts, int) or not isinstance(since, int | float):
        raise TypeError('restarts, since')
    if not isinstance(code, int | None):
        raise TypeError('exit')
    return Seen(
        name=str(body['name']),
        node=str(body['node']),
        kind=str(body['kind']),
        state=str(body['state']),
        process=_in(body['process']),
        restarts=restarts,
        since=float(since),
        exit=code,
    )


def _out(process: Process | None) -> list[int] | None:
    return [process.pid, process.start] if process else None


def _in(stated: object) -> Process | None:
    if stated is None:
        return None
    if not isinstance(stated, list):
        raise TypeError('process')
    pid, start = stated
    return Process(int(pid), int(start))
