"""The commands by which an administrator speaks to the warm server."""

from __future__ import annotations

import time
from typing import Any

from ..fleet import edge
from . import report, request
from . import status as statuses
from .start import state_folder


def status(ui: Any, **opts: Any) -> int:
    """Write what the server is doing."""
    known = statuses.read(state_folder(ui))
    if opts.get('metrics'):
        for line in statuses.metrics(known):
            ui.write(edge.local(line + '\n'))
        return 0
    chosen = {name.encode(): value for name, value in opts.items()}
    with ui.formatter(b'warmserver-status', chosen) as fm:
        _servers(fm, known)
        _counts(fm, known)
    return 0


def _servers(fm: Any, known: dict[str, Any]) -> None:
    stages = ('serving', 'spare', 'rehearsing')
    fm.startitem()
    fm.data(pid=known['pid'], servers=known['servers'])
    for one in known['servers']:
        workers = ', '.join(
            f'{one[stage]} {stage}' for stage in stages if one.get(stage)
        )
        age = max(0, time.time() - one['since'])
        fm.plain(
            edge.local(
                f'server {one["pid"]}: {one["stage"]} for {age:.0f} s, '
                f'{one["memory"] / 1e6:.0f} MB, '
                f'workers: {workers or "none"}\n'
            )
        )
    if not known['servers']:
        fm.plain(b'no server\n')


def _counts(fm: Any, known: dict[str, Any]) -> None:
    counts = known['counts']

    def said(names: tuple[str, ...], kind: str) -> str:
        every = {name: int(counts.get(f'{kind}.{name}', 0)) for name in names}
        shown = [f'{number} {name}' for name, number in every.items() if number]
        return ', '.join(shown) or 'none'

    fm.data(counts=counts)
    fm.plain(edge.local(f'sessions: {said(report.BEGUN, "outcome")}\n'))
    fm.plain(edge.local(f'declined: {said(report.DECLINED, "outcome")}\n'))
    fm.plain(edge.local(f'by workers: {said(report.WORKERS, "worker")}\n'))
    fm.write(b'handovers', b'handovers: %d\n', known['handovers'])


def reload(ui: Any) -> int:
    """Have the next server take over."""
    statuses.ask(state_folder(ui), request.RELOAD)
    return 0


def stop(ui: Any) -> int:
    """Stop the server."""
    statuses.ask(state_folder(ui), request.STOP)
    return 0
