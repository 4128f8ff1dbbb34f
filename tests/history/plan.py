"""Decide the changesets: who does what when, on which branch.

Between two releases every changed file is changed once. The changes are cut
into runs that alternate between `default` and `stable`, and each run on
`stable` is merged into `default` at once. At the end `default` is frozen, that
is merged into `stable`, where the last fixes and the tag go; then `stable` is
merged back. So the branches never touch the same file between two merges, and
at every tag both hold exactly the release's files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from .changes import Change, changes, digest
from .trees import Release

DEFAULT = 'default'
STABLE = 'stable'
OTHER = {DEFAULT: STABLE, STABLE: DEFAULT}
TAGS = b'.hgtags'

DAY = 24 * 60 * 60
BEFORE_FIRST = 180 * DAY  # how long the first release was worked on

# Invented people and their offsets from UTC in seconds, as Mercurial counts
# them: positive to the west.
PEOPLE = (
    ('Ada Quill <ada@example.org>', 0),
    ('Bram Oosterling <bram@example.org>', -3600),
    ('Chidi Amaechi <chidi@example.org>', -3600),
    ('Dagný Jónsdóttir <dagny@example.org>', 0),
    ('Emre Çelik <emre@example.org>', -10800),
    ('Farid <farid@example.org>', -12600),
    ('Grete Löwe <grete@example.org>', -7200),
    ('hana@example.org', -32400),
    ('Iñaki Goñi <inaki@example.org>', -3600),
    ('June Whitlock <june@example.org>', 18000),
    ('Katya Orlova <katya@example.org>', -10800),
    ('Lucas Prado <lucas@example.org>', 10800),
)


@dataclass(frozen=True)
class Merge:
    """Merge the other branch, on which `paths` have changed."""

    paths: frozenset[bytes]


@dataclass(frozen=True)
class Tag:
    """Tag the branch's tip."""

    name: str


@dataclass(frozen=True)
class Step:
    """One changeset to be made on the tip of `branch`."""

    branch: str
    user: str
    date: tuple[int, int]  # seconds since the epoch, offset
    text: str
    action: Change | Merge | Tag


@dataclass(frozen=True)
class Part:
    """The steps that lead to one release."""

    version: str
    steps: tuple[Step, ...]


def history(releases: Iterable[Release]) -> Iterator[Part]:
    """The parts of the history that leads through `releases`, in order."""
    planner = Planner()
    last: Release | None = None
    for release in releases:
        if last is None:
            last = Release('', release.date - BEFORE_FIRST, {})
        todo = changes(last.tree, release.tree, release.version)
        drafts = list(planner.drafts(release.version, todo.first, todo.rest))
        span = release.date - last.date
        steps = (
            draft.step(last.date + span * number // len(drafts))
            for number, draft in enumerate(drafts, 1)
        )
        yield Part(release.version, tuple(steps))
        last = release


@dataclass(frozen=True)
class Draft:
    """A step that has no date yet."""

    branch: str
    author: int
    text: str
    action: Change | Merge | Tag

    def step(self, seconds: int) -> Step:
        user, offset = PEOPLE[self.author % len(PEOPLE)]
        return Step(
            self.branch, user, (seconds, offset), self.text, self.action
        )


@dataclass
class Planner:
    """Cuts the changes into runs; knows what each branch has not merged."""

    unmerged: dict[str, set[bytes]] = field(
        default_factory=lambda: {DEFAULT: set(), STABLE: set()}
    )
    opened: bool = False

    def drafts(
        self, version: str, first: tuple[Change, ...], rest: tuple[Change, ...]
    ) -> Iterator[Draft]:
        """The steps from the state before to the tagged `version`."""
        fixes = _size(version, -1, 3, 20)
        body, last = rest[:-fixes], rest[-fixes:]
        yield from self._run(DEFAULT, version, first)
        number = 0
        while body:
            branch = STABLE if number % 2 else DEFAULT
            low, high = (5, 35) if number % 2 else (25, 95)
            size = _size(version, number, low, high)
            run, body = body[:size], body[size:]
            yield from self._run(branch, version, run)
            if branch == STABLE:
                yield self._merge(DEFAULT, 'merge with stable', number)
            number += 1
        manager = digest(version, b'')[0]
        yield self._merge(STABLE, f'freeze for {version}', manager)
        yield from self._run(STABLE, version, last)
        self._note(STABLE, {TAGS})
        yield Draft(STABLE, manager, '', Tag(version))
        yield self._merge(DEFAULT, f'merge with stable: {version}', manager)

    def _run(
        self, branch: str, version: str, run: tuple[Change, ...]
    ) -> Iterator[Draft]:
        for change in run:
            self._note(branch, change.paths)
            author = _author(version, change.path)
            yield Draft(branch, author, _text(change, version), change)

    def _note(self, branch: str, paths: Iterable[bytes]) -> None:
        if branch == STABLE:
            self.opened = True
        if self.opened:
            self.unmerged[OTHER[branch]].update(paths)

    def _merge(self, branch: str, text: str, author: int) -> Draft:
        merge = Merge(frozenset(self.unmerged[branch]))
        self.unmerged[branch].clear()
        return Draft(branch, author, text, merge)


def _size(version: str, number: int, low: int, high: int) -> int:
    """A length for the run, between `low` and `high`."""
    drawn = int.from_bytes(digest(version, b'%d' % number)[:4], 'big')
    return low + drawn % (high - low + 1)


def _author(version: str, path: bytes) -> int:
    """Three people look after each folder; others with each release."""
    folder = path.rpartition(b'/')[0]
    return digest(version, folder)[0] + digest('author', path)[0] % 3


def _text(change: Change, version: str) -> str:
    """The description: a line, and for a longer file a remark."""
    folder, _, name = change.path.decode('utf-8').rpartition('/')
    area = folder.rpartition('/')[2] or 'root'
    if change.blob is None:
        return f'{area}: drop {name}'
    if change.source:
        source = change.source.decode('utf-8')
        return f'{area}: take over {name}\n\nIt was {source} until now.'
    verb = 'add' if change.new else 'change'
    subject = f'{area}: {verb} {name} for {version}'
    lines = change.blob.data.count(b'\n')
    if change.blob.binary or lines < 200:
        return subject
    return f'{subject}\n\nIt has {lines} lines now.'
