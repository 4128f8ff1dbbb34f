"""Transactions with a few things in them, chosen by chance."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from mercurial import context, phases


class Change:
    """One transaction; ``names`` are the bookmarks that it may move."""

    names: tuple[str, ...] = ('@', 'é', 'a/b c')

    def __init__(self, repo: Any, chance: random.Random) -> None:
        self.repo = repo.unfiltered()
        self.chance = chance

    def make(self) -> list[bytes] | None:
        """Do it; what Mercurial refuses to do in it is left out.

        Returns the new changesets, or None when nothing has changed at all.
        """
        can = [
            self.commit,
            self.commit,
            self.again,
            self.merge,
            self.secret,
            self.publish,
            self.retract,
            self.bookmark,
            self.obsolete,
            self.prune,
        ]
        with self.repo.lock(), self.repo.transaction(b'test') as tr:
            before = self._content()
            first = len(self.repo)
            for _ in range(self.chance.randint(1, 5)):
                self.chance.choice(can)(tr)
            changed = self._content() != before
            made = range(first, len(self.repo))
            nodes = [bytes(self.repo[rev].node()) for rev in made]
        return nodes if changed else None

    def _content(self) -> object:
        repo = self.repo
        return (
            [repo[rev].phase() for rev in range(len(repo))],
            dict(repo._bookmarks),
            len(repo.obsstore),
        )

    def some(self) -> bytes:
        rev = self.chance.randrange(-1, len(self.repo))
        return bytes(self.repo[rev].node())

    def _real(self, nodes: Iterable[bytes]) -> list[bytes]:
        return sorted(set(nodes) - {self.repo.nullid})

    def _commit(self, parents: tuple[bytes, bytes | None]) -> bytes:
        chance = self.chance
        paths = [b'a', b'b/c', b'd \xe4']
        path = chance.choice(paths)
        content = b'%d' % chance.randrange(10**9)

        def file(repo: Any, ctx: Any, name: bytes) -> Any:
            return context.memfilectx(repo, ctx, name, content)

        made = context.memctx(
            self.repo,
            parents,
            b'text \xc3\xa4',
            [path],
            file,
            user=b'ann',
            date=(chance.randrange(10**9), 3600),
            extra={b'branch': chance.choice([b'default', b'stable'])},
        )
        return bytes(made.commit())

    def commit(self, tr: Any, count: int = 0) -> None:
        for _ in range(count or self.chance.randint(1, 3)):
            self._commit((self.some(), None))

    def again(self, tr: Any) -> None:
        """Commit what is there already: Mercurial finds the same node."""
        found = self.repo[self.some()]
        if len(found.files()) != 1 or len(found.parents()) != 1:
            return

        def file(repo: Any, ctx: Any, name: bytes) -> Any:
            return context.memfilectx(repo, ctx, name, found[name].data())

        made = context.memctx(
            self.repo,
            (found.p1().node(), None),
            found.description(),
            found.files(),
            file,
            user=found.user(),
            date=found.date(),
            extra=found.extra(),
        ).commit()
        assert made == found.node()

    def merge(self, tr: Any) -> None:
        one, two = self.some(), self.some()
        if len(self._real({one, two})) == 2:
            self._commit((one, two))

    def secret(self, tr: Any) -> None:
        node = self._commit((self.some(), None))
        phases.retractboundary(self.repo, tr, phases.secret, [node])

    def publish(self, tr: Any) -> None:
        nodes = self._real([self.some()])
        phases.advanceboundary(self.repo, tr, phases.public, nodes)

    def retract(self, tr: Any) -> None:
        to = self.chance.choice([phases.draft, phases.secret])
        phases.retractboundary(self.repo, tr, to, self._real([self.some()]))

    def move(self, tr: Any, phase: int) -> None:
        nodes = self._real([self.some()])
        phases.advanceboundary(self.repo, tr, phase, nodes)
        phases.retractboundary(self.repo, tr, phase, nodes)

    def bookmark(self, tr: Any) -> None:
        changes: list[tuple[bytes, bytes | None]] = []
        for name in self.names:
            node = self.some()
            if self.chance.random() < 0.3:
                changes.append((name.encode(), None))
            elif self._real([node]):
                changes.append((name.encode(), node))
        self.repo._bookmarks.applychanges(self.repo, tr, changes)

    def obsolete(self, tr: Any) -> None:
        found = self._real({self.some() for _ in range(3)})
        if found:
            self._mark(tr, found[0], found[1:])

    def prune(self, tr: Any) -> None:
        # Of what nobody here has, too.
        self._mark(tr, self.chance.randbytes(20), [])

    def _mark(self, tr: Any, old: bytes, new: list[bytes]) -> None:
        date = (self.chance.randrange(10**9), 0)
        self.repo.obsstore.create(
            tr, old, tuple(new), metadata={b'k': b'v'}, date=date
        )
