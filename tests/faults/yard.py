"""A fleet for tests that do one thing after another, and look closely."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field

from . import book, picture, poison
from .client import Clone, Verdict
from .fleet import Fleet, serves, until
from .stock import Stock


@dataclass
class Yard:
    """A fleet with one partition, and a client of it."""

    fleet: Fleet
    hg: Stock
    clones: dict[str, Clone] = field(default_factory=dict)
    pushes: int = 0
    guard: threading.Lock = field(default_factory=threading.Lock)

    def create(self, repo: str) -> None:
        """Make a repository with one push in it."""
        self.fleet.create(repo)
        self.clones[repo] = Clone(self.fleet, self.hg, repo, 'w', 'yard')
        self.pushed(repo)

    def push(
        self, repo: str, through: str = 'p1', size: int = 1
    ) -> tuple[Verdict, str]:
        """Push the next changesets of a repository; return what was told."""
        with self.guard:
            self.pushes += 1
            session = f'{through}.{self.pushes}'
        clone = self.clones[repo]
        node = self.fleet.nodes[through]
        return clone.push(node, session, '-r', clone.ahead(size))

    def pushed(self, repo: str, through: str = 'p1', size: int = 1) -> None:
        """Push, and be told that it is done."""
        verdict, said = self.push(repo, through, size)
        assert verdict is Verdict.DONE, said

    def refused(self, repo: str, through: str = 'p1') -> str:
        """Push in vain; return the reason that the client is told."""
        before = self.entries(repo)
        verdict, said = self.push(repo, through)
        assert verdict is Verdict.REFUSED, said
        assert 'Traceback' not in said, said
        assert self.entries(repo) == before, 'it got into the ledger'
        self.clones[repo].at -= 1
        return said

    def refused_at_last(self, repo: str) -> str:
        """Push until that is refused; return the reason."""
        for _try in range(20):
            verdict, said = self.push(repo)
            if verdict is not Verdict.DONE:
                assert verdict is Verdict.REFUSED, said
                assert 'Traceback' not in said, said
                self.clones[repo].at -= 1
                return said
        raise AssertionError(f'pushes to {repo} are not refused')

    def entries(self, repo: str) -> int:
        """Return how many records of a repository there are, of any kind."""
        rows = book.records(self.fleet.source)
        return sum(key == repo for _stream, _offset, key, _value in rows)

    def aside(self, repo: str, name: str) -> str:
        """Wait until a node has put a repository aside; return the reason."""
        node = self.fleet.nodes[name]
        until(
            f'{name} does not put {repo} aside',
            lambda: bool(node.quarantined(repo)),
        )
        return node.quarantined(repo)

    def equal(self, repo: str) -> None:
        """Wait until all nodes have what the ledger has, and are equal."""
        last = book.read(self.fleet.source, repo).last(repo)
        self.fleet.reached(repo, last)
        found = {
            name: picture.take(self.hg, node, repo)
            for name, node in self.fleet.nodes.items()
        }
        model = found['p1']
        assert model is not None
        tip = self.clones[repo].line[self.clones[repo].at]
        assert tip in model.nodes, f'{repo}: the last push is lost'
        for name, one in found.items():
            assert one == model, f'{repo} differs between p1 and {name}'
            words = picture.faults_of(self.hg, self.fleet.nodes[name], repo)
            assert words == '', f'{repo} on {name}: {words}'

    def shown(self, name: str) -> int:
        """Return up to where a mirror may show its only partition."""
        body = json.loads(self.fleet.nodes[name].shown.read_bytes())
        return int(body['positions']['0'])

    def shows(self, repo: str, *names: str) -> None:
        """Wait until mirrors (all, without names) show a repository's last."""
        _stream, offset, _value = poison.last(self.fleet, repo)
        for node in self.fleet.mirrors:
            if not names or node.name in names:
                until(
                    f'{node.name} does not show {repo} up to {offset}',
                    lambda n=node: (  # type: ignore[misc]
                        serves(n) and self.shown(n.name) > offset
                    ),
                )
