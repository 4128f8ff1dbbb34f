"""The state of a fleet: from facts to ``--json`` and to tables.

The keys of ``--json`` are described for users in the help of the command,
``hgfleet help status``.
"""

from __future__ import annotations

import datetime
from typing import Any

from .course import State
from .facts import Checks, Facts, NodeFacts, RepoFacts
from .plan import DAEMON
from .running import Seen


def document(facts: Facts) -> dict[str, Any]:
    """Return what ``--json`` prints."""
    return {
        'up': facts.up,
        'unread': facts.unread,
        'nodes': [_node(one, facts) for one in facts.nodes],
        'repos': [_repo(one) for one in facts.repos],
    }


def _node(facts: NodeFacts, fleet: Facts) -> dict[str, Any]:
    lags = (
        max(0, end - facts.applied.get(partition, 0))
        for partition, end in fleet.ends.items()
    )
    seconds = facts.lag_seconds
    parts = [_part(one, fleet.up) for one in facts.parts]
    daemons = [one['pid'] for one in parts if one['kind'] == DAEMON]
    return {
        'name': facts.node.name,
        'role': facts.node.role,
        'url': facts.node.url,
        'ssh': facts.node.ssh,
        'offset': sum(facts.applied.values()),
        'lag_entries': None if fleet.unread else sum(lags),
        'lag_seconds': None if seconds is None else round(seconds, 3),
        'lease': None if facts.lease is None else round(facts.lease, 3),
        'serving': facts.serving,
        'pid': daemons[0] if daemons else None,
        'restarts': sum(one['restarts'] for one in parts),
        'quarantined': list(facts.quarantined),
        'fenced': facts.fenced,
        **_checks(facts.checks),
        'parts': parts,
    }


def _checks(checks: Checks) -> dict[str, Any]:
    return {
        'compared': _when(checks.compared),
        'verified': _when(checks.verified),
        'reasons': dict(checks.reasons),
        'kept': list(checks.kept),
    }


def _when(seconds: float | None) -> str | None:
    return None if seconds is None else _moment(seconds)


def _part(seen: Seen, up: bool) -> dict[str, Any]:
    running = up and seen.process is not None
    return {
        'name': seen.name,
        'kind': seen.kind,
        'state': seen.state if up else State.STOPPED.value,
        'pid': seen.process.pid if running and seen.process else None,
        'restarts': seen.restarts,
        'since': seen.since,
        'exit': seen.exit,
    }


def _repo(facts: RepoFacts) -> dict[str, Any]:
    push = facts.last_push
    return {
        'name': facts.name,
        'seq': facts.applied.state.seq,
        'heads': facts.heads,
        'visible_heads': facts.visible_heads,
        'last_push': _moment(push.time) if push else None,
        'last_user': push.user if push else None,
    }


def _moment(seconds: float) -> str:
    utc = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return utc.strftime('%Y-%m-%dT%H:%M:%SZ')


def complaints(said: dict[str, Any], repositories: bool = True) -> list[str]:
    """Return what is wrong, one line each, for ``status --check``.

    Without ``repositories``, only of nodes and their parts.
    """
    found = [f'the ledger: {said["unread"]}'] if said['unread'] else []
    if not said['up']:
        return ['the fleet is not up', *found]
    for node in said['nodes']:
        for part in node['parts']:
            if part['pid'] is None:
                found.append(f'{part["name"]} is {part["state"]}')
        if not node['serving'] and not node['fenced']:
            found.append(f'{node["name"]} does not serve')
        if node['fenced']:
            found.append(f'{node["name"]} is fenced: it takes no pushes')
        found += [
            _not_served(node, repo)
            for repo in sorted({*node['quarantined'], *node['reasons']})
            if repositories
        ]
    return found


def _not_served(node: dict[str, Any], repo: str) -> str:
    reason = node['reasons'].get(repo, '')
    said = f'{node["name"]} cannot follow {repo}'
    return f'{said} ({reason.removeprefix(f"{repo}: ")})' if reason else said


def tables(said: dict[str, Any]) -> list[str]:
    """Return the lines for people."""
    nodes = [['node', 'role', 'serves', 'offset', 'lag', 'lease', 'where']]
    parts = [['part', 'state', 'pid', 'restarts']]
    for node in said['nodes']:
        nodes.append(_node_row(node))
        parts += [
            [one['name'], one['state'], one['pid'], one['restarts']]
            for one in node['parts']
        ]
    repos = [['repository', 'seq', 'heads', 'visible', 'last push', 'by']]
    for repo in said['repos']:
        repos.append(
            [repo[key] for key in ('name', 'seq', 'heads', 'visible_heads')]
            + [repo['last_push'], repo['last_user']]
        )
    lines = []
    for table in (nodes, parts, repos):
        if len(table) > 1:
            lines += [*aligned(table), '']
    problems = [f'attention: {one}' for one in complaints(said)]
    return [*lines, *problems] if problems else lines[:-1]


def _node_row(node: dict[str, Any]) -> list[Any]:
    lag = node['lag_entries']
    if lag:
        lag = f'{lag} ({node["lag_seconds"]:.1f} s)'
    lease = node['lease']
    return [
        node['name'],
        node['role'],
        'yes' if node['serving'] else 'no',
        node['offset'],
        lag,
        None if lease is None else f'{lease:.1f} s',
        node['url'] or node['ssh'],
    ]


def aligned(rows: list[list[Any]]) -> list[str]:
    """Return the rows as lines of columns; None is shown as ``-``."""
    cells = [['-' if one is None else str(one) for one in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        '  '.join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in cells
    ]
