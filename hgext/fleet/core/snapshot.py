"""Snapshots: which there are, which to keep, and which to start from.

A snapshot is a whole repository as it was after one of its entries, in one
blob.  The *index* of a repository names its snapshots that are kept; it is a
record (JSON) in the repository's own stream of entries, under the key
:func:`key`, and the last one counts.  No name of a repository begins like
that key, so the fold never reads it.

A snapshot states two positions:

``applied.state.position``
    all records of the repository below it are in the snapshot, or did not
    count.  It grows, with a new index, while the repository does not change,
    so that the ledger may forget what is older.
``floor``
    what may be shown from here on is known.  Before it, nothing is: the
    node that made the snapshot had forgotten its steps (``core/applied.py``),
    or is one that notes none.

A repository that was deleted has a snapshot without a blob: its sequence
numbers go on when one of that name is made again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from . import applied as records
from .applied import Applied, Step
from .errors import EntryUnreadable
from .ledger import RepoState

VERSION = 1
PREFIX = '!snapshot/'

KEEP = 2
"""How many snapshots of a repository are kept."""

AHEAD = 50
LARGE = 1 << 20
"""A snapshot is used that is so many entries ahead, or has so many bytes."""


@dataclass(frozen=True)
class Snapshot:
    """A repository after the entry ``seq``.

    ``time`` is when it was made, in milliseconds since 1970, and ``node`` by
    whom.  ``blob`` is the SHA-256 of its bytes, of which there are ``size``;
    None when the repository was deleted.
    """

    applied: Applied
    floor: int
    time: int
    node: str
    blob: str | None = None
    size: int = 0

    @property
    def state(self) -> RepoState:
        """What the ledger said by then."""
        return self.applied.state

    @property
    def seq(self) -> int:
        """The number of the last entry that is in it."""
        return self.applied.state.seq


@dataclass(frozen=True)
class Index:
    """The snapshots of a repository, the newest first.

    ``dropped`` are the blobs of those that were kept until this index: they
    are removed after it was written, and once more before the next one is,
    in case somebody was killed in between.
    """

    repo: str
    snapshots: tuple[Snapshot, ...] = ()
    dropped: tuple[str, ...] = ()


def key(repo: str) -> str:
    """Return the key under which the index of a repository is filed."""
    return PREFIX + repo


def owner(key: str) -> str:
    """Return the repository of a record with this key, index or entry."""
    return key.removeprefix(PREFIX)


def made(applied: Applied, time: int, node: str) -> Snapshot:
    """Return the snapshot, still without its blob, of what was applied.

    The sums are of files of this one copy.
    """
    applied = replace(applied, sums={})
    tail = applied.tail
    floor = tail[0].offset if tail else applied.state.position
    return Snapshot(applied, floor, time, node)


def reaching(snapshot: Snapshot, state: RepoState) -> Snapshot:
    """Return the snapshot as one that goes up to ``state``.

    ``state`` has the same last entry, and more records folded in.
    """
    if state.seq != snapshot.seq or state.position < snapshot.state.position:
        return snapshot
    return replace(snapshot, applied=replace(snapshot.applied, state=state))


def added(index: Index, snapshot: Snapshot, keep: int = KEEP) -> Index:
    """Return the index with one more snapshot, and without the oldest.

    Of two snapshots after the same entry only the newer is kept.
    """
    others = [one for one in index.snapshots if one.seq != snapshot.seq]
    kept = (snapshot, *others)[:keep]
    blobs = {one.blob for one in kept}
    return Index(
        index.repo,
        kept,
        tuple(
            one.blob
            for one in index.snapshots
            if one.blob and one.blob not in blobs
        ),
    )


def usable(index: Index, state: RepoState, start: int = 0) -> list[Snapshot]:
    """Return what a node in ``state`` could go on from, the best first.

    ``start`` is the position from which on the ledger can be read.
    """
    found = [
        one
        for one in index.snapshots
        if one.seq >= state.seq and one.state.position >= start
    ]
    return sorted(found, key=lambda one: one.seq, reverse=True)


def worthwhile(snapshot: Snapshot, state: RepoState) -> bool:
    """Tell whether applying the entries up to it would take longer."""
    ahead = snapshot.seq - state.seq
    return ahead >= AHEAD or (ahead > 0 and snapshot.size >= LARGE)


def resumed(snapshot: Snapshot, shows: bool) -> Applied:
    """Return what a node has applied that starts from the snapshot.

    A node that shows repositories does not show this one to readers who are
    not to see what is at or after its floor.
    """
    if not shows:
        return Applied(snapshot.state)
    nothing = Step(
        offset=snapshot.floor - 1,
        seq=0,
        push_id=0,
        revisions=0,
        markers=0,
        exists=False,
    )
    return Applied(snapshot.state, (nothing, *snapshot.applied.tail))


def settled(
    indexes: Iterable[Index],
    states: Mapping[int, RepoState],
    keep: int = KEEP,
) -> tuple[Snapshot, ...]:
    """Return the snapshots that can be used with a copy of the ledger.

    ``indexes`` are all that there were of a repository, and ``states`` says
    how it is after each entry that the copy has.  Steps are left behind: in
    the copy nobody has shown anything.
    """
    found = {}
    for index in indexes:
        for one in index.snapshots:
            state = states.get(one.seq)
            if state is not None and state.digest == one.state.digest:
                applied = Applied(state)
                found[one.seq] = replace(
                    one, applied=applied, floor=state.position
                )
    return tuple(found[seq] for seq in sorted(found, reverse=True)[:keep])


def encode(index: Index) -> bytes:
    """Return the bytes of the index's record."""
    body = {
        'version': VERSION,
        'repo': index.repo,
        'snapshots': [_out(one) for one in index.snapshots],
        'dropped': list(index.dropped),
    }
    return json.dumps(body, sort_keys=True, separators=(',', ':')).encode()


def decode(key: str, value: bytes) -> Index:
    """Return the index that a record holds; EntryUnreadable if it is none."""
    try:
        body = json.loads(value)
        if body['version'] != VERSION or PREFIX + body['repo'] != key:
            raise ValueError(f'version {body["version"]!r} of {body["repo"]!r}')
        return Index(
            str(body['repo']),
            tuple(_in(one) for one in body['snapshots']),
            tuple(str(one) for one in body['dropped']),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise _unreadable(key, problem) from None
    except (RecursionError, EntryUnreadable) as problem:
        raise _unreadable(key, problem) from None


def describe(repo: str, snapshot: Snapshot) -> bytes:
    """Return what a snapshot's blob says about itself (JSON)."""
    body = {'version': VERSION, 'repo': repo, **_out(snapshot)}
    return json.dumps(body, sort_keys=True, separators=(',', ':')).encode()


def described_time(data: bytes) -> int:
    """Return when a snapshot was made, by what its blob says about itself."""
    try:
        return _in(json.loads(data)).time
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise EntryUnreadable(f'this is no snapshot: {problem}') from None


def check_described(data: bytes, repo: str, snapshot: Snapshot) -> None:
    """Raise EntryUnreadable unless a blob is that snapshot of ``repo``."""
    stated: tuple[object, ...] = ()
    try:
        body = json.loads(data)
        found = _in(body)
        stated = (body['version'], body['repo'], found.seq, found.state.digest)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    state = snapshot.state
    if stated != (VERSION, repo, state.seq, state.digest):
        raise EntryUnreadable(
            f'blob {snapshot.blob} is not the snapshot of {repo} after entry '
            f'{state.seq}'
        )


def _unreadable(key: str, problem: Exception) -> EntryUnreadable:
    return EntryUnreadable(
        f'the list of snapshots {key[:240]!r} cannot be read: {problem}',
        'make a new one: hgfleet snapshot',
    )


def _out(snapshot: Snapshot) -> dict[str, Any]:
    return {
        'applied': records.encode(snapshot.applied).decode(),
        'floor': snapshot.floor,
        'time': snapshot.time,
        'node': snapshot.node,
        'blob': snapshot.blob,
        'size': snapshot.size,
    }


def _in(body: Any) -> Snapshot:
    blob, floor, time, size = (
        body[name] for name in ('blob', 'floor', 'time', 'size')
    )
    numbers = all(type(one) is int for one in (floor, time, size))
    if not numbers or not isinstance(blob, str | None):
        raise TypeError('floor, time, size, blob')
    return Snapshot(
        applied=records.decode(body['applied'].encode()),
        floor=floor,
        time=time,
        node=str(body['node']),
        blob=blob,
        size=size,
    )
