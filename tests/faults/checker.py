"""The comparison: what was wished and told, the ledger, and every node.

:func:`check` gets what the workers noted, the ledger as ``book`` reads it,
and what stock Mercurial sees on every node, and returns what does not fit.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from .book import Book, Page
from .client import Verdict
from .picture import Picture
from .pusher import Attempt
from .schedule import Deed, Fault

_PUSH = struct.Struct('>IIIIqQ')


class Kind(enum.Enum):
    """What is wrong."""

    LOST = 'lost'
    DOUBLED = 'doubled'
    DIVERGENT = 'divergent'
    EARLY = 'early'
    OTHER = 'other'


@dataclass(frozen=True)
class Finding:
    """Something that must never be."""

    kind: Kind
    what: str

    def __str__(self) -> str:
        return f'{self.kind.value}: {self.what}'


@dataclass(frozen=True)
class Evidence:
    """All that is known after a run.

    ``pictures`` are by repository and node, None where there is none there;
    ``applied`` is the number of the last applied entry by the same keys.
    ``parents`` are those of every changeset that was pushed; ``publishing``
    are the repositories in which every changeset is public.  With ``races``
    a push may be refused because another one came first.
    """

    book: Book
    attempts: list[Attempt]
    parents: Mapping[str, str]
    pictures: Mapping[str, Mapping[str, Picture | None]]
    applied: Mapping[str, Mapping[str, int]]
    publishing: frozenset[str] = frozenset()
    races: bool = False


def check(seen: Evidence) -> list[Finding]:
    """Return everything that does not fit."""
    found = [*_told(seen), *_entries(seen)]
    for repo in sorted(seen.pictures):
        found += _alike(seen, repo)
        found += _as_stated(seen, repo)
        found += _replayed(seen, repo)
        found += _wishes(seen, repo)
    return found


def check_ledger(seen: Evidence) -> list[Finding]:
    """Return what does not fit, whatever the transactions contained."""
    found = [*_entries(seen)]
    for repo in sorted(seen.pictures):
        found += _alike(seen, repo)
        found += _as_stated(seen, repo)
        found += _wishes(seen, repo)
    return found


def _told(seen: Evidence) -> Iterator[Finding]:
    """What clients were told must be allowed, and nobody is left hanging."""
    for one in seen.attempts:
        allowed = {Verdict.DONE}
        if seen.races or one.action.deed is Deed.ARRANGE:
            allowed.add(Verdict.RETRY)
        if one.hit:
            allowed.add(Verdict.UNKNOWN)
        if one.disturbed:
            allowed |= {Verdict.RETRY, Verdict.UNKNOWN, Verdict.REFUSED}
        if one.verdict not in allowed or 'Traceback' in one.said:
            yield Finding(
                Kind.OTHER,
                f'{one.session}, {one.action.deed.value} in {one.repo}, with '
                f'{one.action.fault.value} (hit: {one.hit}, disturbed: '
                f'{one.disturbed}), was told: {one.said.strip()}',
            )


def _entries(seen: Evidence) -> Iterator[Finding]:
    """Told it is done: one entry; told it is not: none; never two."""
    for one in seen.attempts:
        valid = [page for page in seen.book.by_user(one.session) if page.valid]
        where = f'{one.session} in {one.repo}'
        if len(valid) > 1:
            numbers = [page.seq for page in valid]
            yield Finding(Kind.DOUBLED, f'{where} has the entries {numbers}')
        refused = one.verdict in (Verdict.RETRY, Verdict.REFUSED)
        if refused and valid:
            yield Finding(
                Kind.DOUBLED,
                f'{where} was refused, and is entry {valid[0].seq}',
            )
        if one.verdict is Verdict.DONE and one.added and not valid:
            yield Finding(
                Kind.LOST,
                f'{where} added {one.added} changesets, and has no entry',
            )


def _alike(seen: Evidence, repo: str) -> Iterator[Finding]:
    """All nodes hold the same, at the ledger's last entry."""
    last = seen.book.last(repo)
    for node, seq in sorted(seen.applied[repo].items()):
        if seq != last:
            kind = Kind.LOST if seq < last else Kind.DOUBLED
            yield Finding(
                kind, f'{node} is at entry {seq} of {repo}, of {last}'
            )
    pictures = sorted(seen.pictures[repo].items())
    first, model = pictures[0]
    for node, picture in pictures[1:]:
        if picture != model:
            yield Finding(
                Kind.DIVERGENT,
                f'{repo} differs between {first} and {node}: '
                f'{_difference(model, picture)}',
            )


def _difference(one: Picture | None, two: Picture | None) -> str:
    if one is None or two is None:
        return 'one of them does not have it'
    names = (
        name
        for name in Picture.__dataclass_fields__
        if getattr(one, name) != getattr(two, name)
    )
    if one.nodes == two.nodes:
        return ', '.join(names)
    apart = set(one.nodes) ^ set(two.nodes)
    return ', '.join(names) + f'; not on both: {sorted(apart) or "(order)"}'


def _as_stated(seen: Evidence, repo: str) -> Iterator[Finding]:
    """Each node is what the ledger's last entry says."""
    entries = seen.book.present(repo)
    exists = seen.book.exists(repo)
    hgrc = [e.text for e in entries if e.kind in ('create', 'config')]
    digests = [entry.digest for entry in entries if entry.digest]
    for node, picture in sorted(seen.pictures[repo].items()):
        where = f'{repo} on {node}'
        if picture is None:
            if exists:
                yield Finding(Kind.LOST, f'{where} is not there')
            continue
        if not exists:
            yield Finding(Kind.DIVERGENT, f'{where} should not exist')
            continue
        if picture.hgrc != hgrc[-1]:
            yield Finding(Kind.DIVERGENT, f'{where} has another hgrc')
        if digests and picture.digest() != digests[-1]:
            yield Finding(
                Kind.DIVERGENT,
                f'{where} has the digest {picture.digest()}; entry '
                f'{entries[-1].seq} states {digests[-1]}',
            )
        log, pushers = pushlog(entries)
        if (picture.pushlog, picture.pushers) != (log, pushers):
            yield Finding(
                _amount(len(picture.pushlog), len(log)),
                f'the pushlog of {where} has '
                f'{len(picture.pushlog) // _PUSH.size} pushes; the ledger '
                f'has {len(log) // _PUSH.size}',
            )


def pushlog(entries: Iterable[Page]) -> tuple[bytes, bytes]:
    """Return the two files that the entries of a repository lead to."""
    users: list[str] = []
    records: list[bytes] = []
    first = 0
    for entry in entries:
        if not entry.changesets:
            continue
        if entry.user not in users:
            users.append(entry.user)
        records.append(
            _PUSH.pack(
                len(records) + 1,
                first,
                entry.changesets,
                users.index(entry.user),
                entry.time,
                0,
            )
        )
        first += entry.changesets
    return b''.join(records), ''.join(f'{u}\n' for u in users).encode()


def _replayed(seen: Evidence, repo: str) -> Iterator[Finding]:
    """The changesets are those that the entries brought, in that order."""
    wishes = {one.session: one.wish for one in seen.attempts}
    expected: dict[str, int] = {}
    for entry in seen.book.present(repo):
        wish = wishes.get(entry.user)
        if wish is None or entry.kind != 'push':
            continue
        brought = [
            node
            for head in wish.heads
            for node in _ancestry(head, seen.parents)
            if node not in expected
        ]
        if len(brought) != entry.changesets:
            yield Finding(
                Kind.DOUBLED if entry.changesets else Kind.LOST,
                f'entry {entry.seq} of {repo} by {entry.user} states '
                f'{entry.changesets} changesets; {len(brought)} were new',
            )
        expected.update((node, entry.seq) for node in brought)
    for node, picture in sorted(seen.pictures[repo].items()):
        if picture is None or picture.nodes == list(expected):
            continue
        missing = sorted({expected[n] for n in expected.keys() - picture.nodes})
        extra = set(picture.nodes) - expected.keys()
        yield Finding(
            _amount(len(picture.nodes), len(expected)),
            f'{repo} on {node} lacks changesets of the entries {missing} '
            f'and has {len(extra)} more; {len(expected)} are expected, in '
            'the order of the entries',
        )


def _ancestry(node: str, parents: Mapping[str, str]) -> list[str]:
    line = []
    while node:
        line.append(node)
        node = parents[node]
    return line[::-1]


def _wishes(seen: Evidence, repo: str) -> Iterator[Finding]:
    """What was told to be done can be seen on every node."""
    attempts = [
        one
        for one in seen.attempts
        if one.repo == repo and one.action.deed is not Deed.ARRANGE
    ]
    done = [one for one in attempts if one.verdict is Verdict.DONE]
    bookmarks = _bookmarks(attempts)
    for node, picture in sorted(seen.pictures[repo].items()):
        if picture is None:
            continue
        where = f'{repo} on {node}'
        for one, lacking in _lacking(picture, done):
            yield Finding(
                Kind.LOST, f'{where} lacks, of {one.session}: {lacking}'
            )
        drafts = [one for one in picture.changesets if one.phase != 'public']
        if repo in seen.publishing and drafts:
            yield Finding(Kind.DIVERGENT, f'{where} has drafts')
        actual = picture.bookmarks()
        for name, allowed in bookmarks.items():
            if actual.get(name) not in allowed:
                yield Finding(
                    Kind.LOST,
                    f'the bookmark {name} of {where} is at '
                    f'{actual.get(name)}, not at one of {allowed}',
                )


def _lacking(
    picture: Picture, done: list[Attempt]
) -> Iterator[tuple[Attempt, list[str]]]:
    phases = {one.node: one.phase for one in picture.changesets}
    markers = {tuple(line.split()[:2]) for line in picture.markers}
    for one in done:
        wish = one.wish
        lacking = [head for head in wish.heads if head not in phases]
        if wish.public and phases.get(wish.public) != 'public':
            lacking.append(f'the phase of {wish.public}')
        if wish.marker and wish.marker not in markers:
            lacking.append(f'the marker {wish.marker}')
        if lacking:
            yield one, lacking


def _bookmarks(attempts: list[Attempt]) -> dict[str, list[str | None]]:
    """Return where each bookmark may be: as last told, or tried later."""
    allowed: dict[str, list[str | None]] = {}
    for one in attempts:
        if one.wish.bookmark:
            name, target = one.wish.bookmark
            if one.verdict is Verdict.DONE:
                allowed[name] = []
            allowed.setdefault(name, [None]).append(target)
    return allowed


def _amount(actual: int, expected: int) -> Kind:
    if actual < expected:
        return Kind.LOST
    return Kind.DOUBLED if actual > expected else Kind.DIVERGENT


def tally(attempts: Iterable[Attempt]) -> dict[tuple[Deed, Verdict], int]:
    """Return how often each deed had each verdict."""
    counts: dict[tuple[Deed, Verdict], int] = {}
    for one in attempts:
        key = (one.action.deed, one.verdict)
        counts[key] = counts.get(key, 0) + 1
    return counts


def unharmed(attempts: Iterable[Attempt]) -> int:
    """Return how many attempts were done although somebody was killed."""
    return sum(
        one.verdict is Verdict.DONE and one.action.fault is not Fault.NONE
        for one in attempts
    )
