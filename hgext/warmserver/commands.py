"""The commands by which an administrator speaks to the warm server."""

from __future__ import annotations

import time
from typing import Any

from mercurial import encoding

from ..fleet import edge
from . import report, request
from . import status as statuses
from .chg import status as chgstatus
from .start import state_folder

_STAGES = ('serving', 'spare', 'rehearsing')


def status(ui: Any, **opts: Any) -> int:
    """Write what the server is doing."""
    if opts.pop('chg', None):
        return _status_of_chg(ui, opts)
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


def _status_of_chg(ui: Any, opts: dict[str, Any]) -> int:
    found = chgstatus.servers(chgstatus.place(encoding.environ))
    chosen = {name.encode(): value for name, value in opts.items()}
    with ui.formatter(b'warmserver-chg', chosen) as fm:
        for one in found:
            fm.startitem()
            fm.data(since=one.since)
            fm.write(b'pid', b'server %d', one.pid)
            fm.write(b'key', b' (%s): ', edge.local(one.key))
            fm.write(b'requests', b'%d requests, ', one.requests)
            fm.write(b'workers', b'%d workers, ', one.workers)
            fm.write(b'idle', b'%d of them idle\n', one.idle)
    return 0 if found else 1


def _servers(fm: Any, known: dict[str, Any]) -> None:
    fm.startitem()
    fm.data(pid=known['pid'])
    nested = fm.nested(b'servers')
    for one in known['servers']:
        nested.startitem()
        names = ('pid', 'since', 'memory', *_STAGES)
        nested.data(
            stage=edge.local(one['stage']),
            **{name: one.get(name, 0) for name in names},
        )
        nested.plain(edge.local(_line(one)))
    nested.end()
    if not known['servers']:
        fm.plain(b'no server\n')


def _line(one: dict[str, Any]) -> str:
    workers = [f'{one[stage]} {stage}' for stage in _STAGES if one.get(stage)]
    return (
        f'server {one["pid"]}: {one["stage"]} '
        f'for {max(0, time.time() - one["since"]):.0f} s, '
        f'{one["memory"] / 1e6:.0f} MB, '
        f'workers: {", ".join(workers) or "none"}\n'
    )


def _counts(fm: Any, known: dict[str, Any]) -> None:
    counts = known['counts']

    def said(names: tuple[str, ...], kind: str) -> str:
        every = {name: int(counts.get(f'{kind}.{name}', 0)) for name in names}
        shown = [f'{number} {name}' for name, number in every.items() if number]
        return ', '.join(shown) or 'none'

    listed = {edge.local(name): value for name, value in counts.items()}
    fm.data(counts=fm.formatdict(listed, key=b'name', value=b'count'))
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
