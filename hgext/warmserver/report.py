"""What becomes of a connection, and how that is counted and written down.

The server writes one line for each session, and for each connection that it
does not serve::

    session user=ann repo=tools/build outcome=served status=0 worker=spare
        seconds=0.213 cpu=0.018
    session user=ann repo=- outcome=stale worker=none detail="... changed"

(each is one line).  ``seconds`` counts from the request to the end, ``cpu`` is
what the worker has used in all, before the request too.  ``status`` is the
session's exit code, see ``hg help fleetpash``.  ``detail=borrowed`` says that
the session found markers in memory (``warmserver.repos``).
``outcome`` is one of:

``served``
    it was
``left``
    the forced command had gone on without the server, or away
``killed``
    the worker was killed, or crashed, while it served
``nonsense``
    what came was no request
``silent``
    nothing came in time, or too many others came meanwhile
``busy``
    all workers were busy for too long
``stale``
    a module or a configuration file has changed, or the forced command names
    another configuration than the server has
``foreign``
    somebody else's process has connected

All but the first three are declined, and no descriptor was touched.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

SERVED, LEFT, KILLED = 'served', 'left', 'killed'
NONSENSE, SILENT, BUSY = 'nonsense', 'silent', 'busy'
STALE, FOREIGN = 'stale', 'foreign'

BEGUN = (SERVED, LEFT, KILLED)
DECLINED = (NONSENSE, SILENT, BUSY, STALE, FOREIGN)
OUTCOMES = (*BEGUN, *DECLINED)

SPARE, FORKED, NONE = 'spare', 'forked', 'none'
BORROWED = 'borrowed'
"""The detail of a session that found its markers in memory."""

WORKERS = (SPARE, FORKED, NONE)

LONGEST = 300


@dataclass(frozen=True)
class Report:
    """What has become of one connection."""

    outcome: str
    user: str = ''
    repo: str = ''
    status: int | None = None
    detail: str = ''


def encode(report: Report) -> bytes:
    """Return the packet in which a worker says it to the server."""
    said = [report.outcome, report.user, report.repo, report.status]
    return json.dumps([*said, report.detail[:LONGEST]]).encode()


def decode(packet: bytes) -> Report:
    """Return what a worker has said; ValueError when it is no report."""
    outcome, user, repo, status, detail = json.loads(packet)
    if outcome not in OUTCOMES:
        raise ValueError(f'{outcome!r} is no outcome')
    return Report(outcome, user, repo, status, detail)


def line(report: Report, worker: str, seconds: float, cpu: float) -> str:
    """Return the line about a connection."""
    fields = {
        'user': report.user,
        'repo': report.repo,
        'outcome': report.outcome,
        'status': '' if report.status is None else str(report.status),
        'worker': worker,
        'seconds': f'{seconds:.3f}',
        'cpu': f'{cpu:.3f}',
        'detail': report.detail,
    }
    optional = {'status', 'detail'}
    return 'session ' + ' '.join(
        f'{name}={_word(value)}'
        for name, value in fields.items()
        if value or name not in optional
    )


def _word(value: str) -> str:
    """Return a value as one word; in quotes unless it is a plain one."""
    plain = value.isascii() and value.replace('/', '').isprintable()
    if plain and value and not set(value) & set(' "=\\'):
        return value
    return json.dumps(value) if value else '-'


class Counts:
    """How often each outcome was, and what it has cost."""

    def __init__(self, known: Mapping[str, float] | None = None) -> None:
        self._numbers = defaultdict[str, float](int, known or {})

    def add(
        self, report: Report, worker: str, seconds: float, cpu: float
    ) -> None:
        """Count one connection."""
        self._numbers[f'outcome.{report.outcome}'] += 1
        self._numbers[f'worker.{worker}'] += 1
        self._numbers['seconds'] += seconds
        self._numbers['cpu'] += cpu

    def numbers(self) -> dict[str, float]:
        """Return everything; ``Counts`` of that is the same."""
        return dict(self._numbers)

    def including(self, other: Counts) -> Counts:
        """Return the sum of both."""
        both = Counts(self._numbers)
        for name, number in other._numbers.items():
            both._numbers[name] += number
        return both
