"""A watcher who looks at all mirrors while things are killed.

It notes what every mirror may show and what every mirror has applied, in an
order that cannot make a sound fleet look wrong: first what is shown, then
which mirrors still serve, then which repositories each of them has put
aside, and last what they have applied.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from .book import Book
from .fleet import Fleet, Node, serves

PACE = 0.02


@dataclass(frozen=True)
class Glance:
    """What was seen at one moment.

    ``shown`` is by mirror and partition, ``applied`` by mirror and
    repository: (sequence number, position).  ``aside`` are the (mirror,
    repository) pairs in quarantine, ``open`` those with a transaction that
    may yet be rolled back; ``serving`` are the mirrors that may answer.
    """

    moment: float
    shown: dict[str, dict[int, int]]
    serving: frozenset[str]
    aside: frozenset[tuple[str, str]]
    applied: dict[str, dict[str, tuple[int, int]]]
    open: frozenset[tuple[str, str]] = frozenset()


@dataclass
class Watcher:
    """A thread that glances; a context manager that ends it."""

    fleet: Fleet
    repos: list[str]
    glances: list[Glance] = field(default_factory=list)
    problem: Exception | None = None
    looked: int = 0

    def __enter__(self) -> Watcher:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_problem: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(PACE):
            try:
                self._note(glance(self.fleet.mirrors, self.repos))
            except Exception as problem:  # noqa: BLE001 told to the checker
                self.problem = problem
                return

    def _note(self, glance: Glance) -> None:
        self.looked += 1
        if self.glances:
            last = self.glances[-1]
            if replace(last, moment=glance.moment) == glance:
                return
        self.glances.append(glance)


def glance(mirrors: Sequence[Node], repos: Sequence[str]) -> Glance:
    """Look once."""
    shown = {node.name: positions(node) for node in mirrors}
    serving = frozenset(node.name for node in mirrors if serves(node))
    aside = frozenset(
        (node.name, repo)
        for node in mirrors
        for repo in repos
        if node.quarantined(repo)
    )
    before = _open(mirrors, repos)
    applied = {
        node.name: {repo: _applied(node, repo) for repo in repos}
        for node in mirrors
    }
    opened = before | _open(mirrors, repos)
    return Glance(time.monotonic(), shown, serving, aside, applied, opened)


def _open(
    mirrors: Sequence[Node], repos: Sequence[str]
) -> frozenset[tuple[str, str]]:
    return frozenset(
        (node.name, repo)
        for node in mirrors
        for repo in repos
        if node.unfinished(repo)
    )


def positions(node: Node) -> dict[int, int]:
    """Return up to where a mirror may show each partition."""
    try:
        body = json.loads(node.shown.read_bytes())
    except FileNotFoundError:
        return {}
    return {int(p): int(n) for p, n in body['positions'].items()}


def _applied(node: Node, repo: str) -> tuple[int, int]:
    body = node.applied(repo)
    seq, position = body['seq'], body['position']
    assert isinstance(seq, int)
    assert isinstance(position, int)
    return seq, position


def early(glances: list[Glance], book: Book) -> Iterator[str]:
    """Yield what was shown by one mirror and not applied by a live one."""
    places: dict[tuple[int, str], list[int]] = {}
    for page in book.pages:
        if page.valid:
            partition = int(page.stream.rpartition('-')[2])
            places.setdefault((partition, page.repo), []).append(page.offset)
    for glance in glances:
        for mirror, positions in sorted(glance.shown.items()):
            for (partition, repo), offsets in places.items():
                upto = positions.get(partition, 0)
                last = max((o for o in offsets if o < upto), default=-1)
                for other in _behind(glance, repo, last):
                    yield (
                        f'{mirror} shows {repo} up to offset {last}, while '
                        f'{other} serves and is at '
                        f'{glance.applied[other][repo]}'
                    )


def _behind(glance: Glance, repo: str, last: int) -> Iterator[str]:
    for other in sorted(glance.serving):
        position = glance.applied[other].get(repo, (0, last + 1))[1]
        if position <= last and (other, repo) not in glance.aside:
            yield other


def backward(glances: list[Glance]) -> Iterator[str]:
    """Yield what was lower in one glance than in the one before."""
    for old, new in itertools.pairwise(glances):
        for mirror in old.applied:
            for repo, (seq, _position) in old.applied[mirror].items():
                now = new.applied[mirror][repo][0]
                if now < seq and (mirror, repo) not in old.open:
                    yield f'{mirror} had entry {seq} of {repo}, then {now}'
            for partition, position in old.shown[mirror].items():
                now = new.shown[mirror].get(partition, 0)
                if now < position:
                    yield (
                        f'{mirror} showed partition {partition} up to '
                        f'{position}, then to {now}'
                    )
