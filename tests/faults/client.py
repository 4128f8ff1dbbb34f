"""Stock Mercurial clients: their clones, and what they are told.

A client has no extension of the project and pushes over ``ssh://``; ``door``
takes the place of ssh.
"""

from __future__ import annotations

import enum
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from .fleet import DOOR, HG, PATIENCE, Fleet, Node
from .stock import Stock

PLANT = Path(__file__).with_name('plant.py')

_HGRC = f"""\
[ui]
username = client
ssh = {DOOR}
[experimental]
evolution = all
"""


class Verdict(enum.Enum):
    """What somebody who gave a command believes afterwards."""

    DONE = 'it is done'
    RETRY = 'refused: pull and push again'
    UNKNOWN = 'nobody said whether it is done'
    REFUSED = 'refused for another reason'


# What the words of a client, on all of its lines, mean; the first that
# match count.
_MEANINGS = (
    (Verdict.UNKNOWN, r'may still arrive|is in the ledger as entry'),
    (
        Verdict.RETRY,
        r'pull and push again|repository changed while pushing'
        r'|push creates new remote head|remote has heads'
        r'|exists already|there is no repository',
    ),
    (
        Verdict.UNKNOWN,
        r'stream ended unexpectedly|no suitable response from remote hg'
        r'|unexpected response|Killed|[Bb]roken pipe|premature EOF',
    ),
)


def verdict(status: int, said: str) -> Verdict:
    """Return what a client's exit status and words mean to its user.

    A push of nothing but bookmarks, phases or markers exits with 1, and one
    that is to remove a bookmark which is gone already with 2.
    """
    if status == 2 and 'does not exist on the local or remote' in said:
        return Verdict.DONE
    if status < 0:
        return Verdict.UNKNOWN
    for meaning, words in _MEANINGS:
        if status > 1 and re.search(words, said):
            return meaning
    failed = re.search(r'^(remote: )?abort: |failed!', said, re.MULTILINE)
    if status in (0, 1) and not failed:
        return Verdict.DONE
    return Verdict.REFUSED


def added(said: str) -> int:
    """Return how many changesets the server has told the client it added."""
    counts = re.findall(r'^remote: added (\d+) changesets?', said, re.M)
    return sum(int(count) for count in counts)


def environment(fleet: Fleet) -> dict[str, str]:
    """Return the environment of the clients of a fleet."""
    folder = fleet.folder / 'clients'
    hgrc = folder / 'hgrc'
    if not hgrc.exists():
        folder.mkdir(exist_ok=True)
        hgrc.write_text(_HGRC)
    return {**fleet.environment(), 'HGRCPATH': str(hgrc)}


def stock(fleet: Fleet) -> Stock:
    """Return a stock ``hg`` for what clients do at home."""
    plant = f'extensions.plant={PLANT}'
    return Stock(environment(fleet), fleet.folder, '--config', plant)


@dataclass
class Clone:
    """A client's clone of a repository, with its own line in it.

    ``line`` are the nodes of the line, ``at`` the last one that was pushed
    or tried.  ``pairs`` are the (old, new) children still to be rewritten,
    ``parents`` the parent of each node.
    """

    fleet: Fleet
    stock: Stock
    repo: str
    author: str
    seed: str
    line: list[str] = field(default_factory=list)
    at: int = 0
    pairs: list[tuple[int, str, str]] = field(default_factory=list)
    parents: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.path = self.fleet.folder / 'clients' / f'{self.author}-{self.repo}'
        self.stock.ask('init', str(self.path))
        self.plant(60)

    def plant(self, count: int) -> None:
        """Add to the line."""
        said = self.hg(
            *('plant', '--count', str(count), '--author', self.author),
            *('--seed', f'{self.seed}/{self.repo}'),
        )
        old = ''
        for each in said.splitlines():
            name, number, node = each.split()
            before = self.line[int(number) - 1] if int(number) else ''
            self.parents[node] = before
            if name == 'line':
                self.line.append(node)
            elif name == 'old':
                old = node
            else:
                self.pairs.append((int(number), old, node))

    def ahead(self, size: int) -> str:
        """Move on by ``size`` changesets of the line; return the node."""
        self.at += size
        if self.at >= len(self.line):
            self.plant(60)
        return self.line[self.at]

    def hg(self, *arguments: str) -> str:
        """Run a local command; return what it printed."""
        self._recover()
        return self.stock.ask('-R', str(self.path), *arguments)

    def _recover(self) -> None:
        """Undo what a push that was killed has left half noted here."""
        if (self.path / '.hg' / 'store' / 'journal').exists():
            self.stock.ask('-R', str(self.path), 'recover')

    def pushing(
        self, node: Node, session: str, *arguments: str, point: str = ''
    ) -> subprocess.Popen[str]:
        """Start a push to ``node``, which dies at ``point`` if given."""
        self._recover()
        door = self.fleet.door(node, session, point)
        return subprocess.Popen(
            [
                *(HG, '-R', str(self.path), 'push', *arguments),
                f'ssh://{node.name}/{self.repo}',
            ],
            env={**environment(self.fleet), **door},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors='surrogateescape',
        )

    def push(
        self, node: Node, session: str, *arguments: str
    ) -> tuple[Verdict, str]:
        """Push to ``node``; return the verdict and the client's words."""
        client = self.pushing(node, session, *arguments)
        said, _nothing = client.communicate(timeout=2 * PATIENCE)
        return verdict(client.returncode, said), said
