"""What the warm server is doing, for people and for monitors.

``ask`` puts an administrator's command to the server of a node.  Its answer
to a question for its status is the JSON of ``master.Master``:

``pid``
    of the process that is watched
``handovers``
    how often the next server has taken over
``servers``
    those that there are: ``pid``, ``stage`` (``starting``, ``serving`` or
    ``draining``), ``since`` (seconds since 1970), ``memory`` (bytes, of it and
    all its workers, what is shared counted once), and how many workers are
    ``serving``, ``spare`` and ``rehearsing``
``counts``
    since the server was started: ``outcome.NAME`` and ``worker.NAME``, as
    ``report.py`` has them, ``seconds`` and ``cpu``
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from typing import Any

from ..fleet.adapters import unixsocket
from ..fleet.core.errors import FleetError
from . import report, request

_PATIENCE = 10.0
_ROOM = 200_000


class NotRunning(FleetError):
    """There is no warm server to ask."""


def ask(state: str, what: bytes) -> bytes:
    """Return the answer of the server whose node has the folder ``state``."""
    path = os.path.join(state, request.SOCKET)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
        link.settimeout(_PATIENCE)
        try:
            unixsocket.connect(link, path)
            link.send(what)
            answer = link.recv(_ROOM)
        except OSError as problem:
            raise NotRunning(
                f'cannot ask the warm server at {path}: '
                f'{problem.strerror or problem}',
                'is "hg warmserver::serve" running?',
            ) from None
    if not answer or answer.startswith(request.NO):
        raise NotRunning(f'the warm server at {path} does not answer')
    return answer


def read(state: str) -> dict[str, Any]:
    """Return the status of the server; raises NotRunning."""
    found: dict[str, Any] = json.loads(ask(state, request.STATUS))
    return found


def memory(pid: int) -> int:
    """Return the bytes of a process, what it shares divided among all."""
    try:
        with open(f'/proc/{pid}/smaps_rollup', encoding='ascii') as file:
            for line in file:
                if line.startswith('Pss:'):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def metrics(status: dict[str, Any]) -> Iterator[str]:
    """Yield the status as lines for Prometheus."""
    counts, servers = status['counts'], status['servers']

    def single(name: str, kind: str, value: float) -> Iterator[str]:
        yield f'# TYPE hgfleet_warm_{name} {kind}'
        yield f'hgfleet_warm_{name} {value:.12g}'

    yield '# TYPE hgfleet_warm_sessions_total counter'
    for outcome in report.OUTCOMES:
        value = counts.get(f'outcome.{outcome}', 0)
        yield f'hgfleet_warm_sessions_total{{outcome="{outcome}"}} {value}'
    yield '# TYPE hgfleet_warm_workers gauge'
    for stage in ('serving', 'spare', 'rehearsing'):
        value = sum(one.get(stage, 0) for one in servers)
        yield f'hgfleet_warm_workers{{stage="{stage}"}} {value}'
    yield from single('servers', 'gauge', len(servers))
    yield from single(
        'memory_bytes', 'gauge', sum(s['memory'] for s in servers)
    )
    yield from single('handovers_total', 'counter', status['handovers'])
    yield from single('seconds_total', 'counter', counts.get('seconds', 0))
    yield from single('cpu_seconds_total', 'counter', counts.get('cpu', 0))
