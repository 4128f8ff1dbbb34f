"""What a node holds of a repository, as stock Mercurial sees it.

Nothing but a plain ``hg`` without extensions opens the repositories; only
the pushlog, which Mercurial does not know, is read as bytes.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from .fleet import Node
from .stock import Stock

_TEMPLATE = '{node} {p1node} {p2node} {phase}{bookmarks % " {bookmark}"}\n'
_PHASES = {'public': 0, 'draft': 1, 'secret': 2}


@dataclass(frozen=True)
class Changeset:
    """A changeset in the order of revisions."""

    node: str
    parents: tuple[str, ...]
    phase: str
    bookmarks: tuple[str, ...]


@dataclass(frozen=True)
class Picture:
    """A repository of a node; two of equal repositories are equal."""

    changesets: tuple[Changeset, ...]
    markers: tuple[str, ...]
    pushlog: bytes
    pushers: bytes
    hgrc: str | None

    @property
    def nodes(self) -> list[str]:
        """Return the changesets in the order of revisions."""
        return [one.node for one in self.changesets]

    def bookmarks(self) -> dict[str, str]:
        """Return the node of each bookmark."""
        return {
            name: one.node for one in self.changesets for name in one.bookmarks
        }

    def phase(self, node: str) -> str:
        """Return the phase of a changeset, or '' when there is none."""
        found = [one.phase for one in self.changesets if one.node == node]
        return found[0] if found else ''

    def digest(self) -> str:
        """Return the digest that the ledger should state for this."""
        phases = {one.node: _PHASES[one.phase] for one in self.changesets}
        inner = {node for one in self.changesets for node in one.parents}
        lines = [f'head {node}' for node in sorted(set(phases) - inner)]
        for name, node in sorted(
            self.bookmarks().items(), key=lambda item: item[0].encode()
        ):
            lines.append(f'bookmark {node} {name}')
        for phase in (1, 2):
            roots = [
                one.node
                for one in self.changesets
                if phases[one.node] == phase
                and all(phases[each] != phase for each in one.parents)
            ]
            lines += [f'phase {phase} {node}' for node in sorted(roots)]
        lines.insert(0, 'hgfleet digest 1')
        text = ''.join(f'{line}\n' for line in lines)
        return hashlib.sha256(text.encode()).hexdigest()


def take(hg: Stock, node: Node, repo: str) -> Picture | None:
    """Return what a node holds, or None when there is no repository."""
    path = node.root / repo
    if not (path / '.hg').is_dir():
        return None
    # Markers must not be warned about.
    evolving = ('--config', 'experimental.evolution=all')
    where = ('-R', str(path), *evolving)
    log = hg.ask(*where, 'log', '--hidden', '-r', 'all()', '-T', _TEMPLATE)
    store = path / '.hg' / 'store'
    markers = ''
    if (store / 'obsstore').exists():
        markers = hg.ask(*where, 'debugobsolete')
    return Picture(
        changesets=tuple(_changeset(line) for line in log.splitlines()),
        markers=tuple(sorted(markers.splitlines())),
        pushlog=_bytes(store / 'fleet-pushlog'),
        pushers=_bytes(store / 'fleet-pushlog-users'),
        hgrc=_text(path / '.hg' / 'hgrc'),
    )


def faults_of(hg: Stock, node: Node, repo: str) -> str:
    """Return what ``hg verify`` has against a repository, or ''."""
    path = node.root / repo
    if not (path / '.hg').is_dir():
        return ''
    status, said = hg.run('-R', str(path), 'verify')
    if status or re.search('warning|error|abandoned', said):
        return said
    return ''


def _changeset(line: str) -> Changeset:
    node, first, second, phase, *bookmarks = line.split(' ')
    parents = tuple(one for one in (first, second) if set(one) != {'0'})
    return Changeset(node, parents, phase, tuple(bookmarks))


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b''


def _text(path: Path) -> str | None:
    return path.read_text() if path.exists() else None
