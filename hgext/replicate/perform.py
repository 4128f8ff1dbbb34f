"""Performing: what each kind of valid entry does to this node.

An entry is never applied twice: the sequence number that a repository has
reached is written in the same transaction, or appears by the same rename,
as the change itself, and is read again under the repository's lock.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any, BinaryIO

from mercurial import error

from hgext3rd.pushlog import store as pushlog

from ..fleet import failpoint
from ..fleet.core import applied as records
from ..fleet.core.applied import Applied, Step
from ..fleet.core.entry import Entry, Kind, check_inline
from ..fleet.core.errors import (
    BlobCorrupt,
    Diverged,
    EntryUnreadable,
    Quarantined,
)
from ..fleet.core.ledger import Judged
from ..fleet.edge import text
from . import digest, lifecycle, payload, sums, unsynced
from .node import Hosted
from .opening import applying, open_repository


def perform(
    hosted: Hosted, judged: Judged, applied: Applied, repo: Any = None
) -> Applied:
    """Apply a valid entry; return how far the repository has come.

    ``repo`` is the open repository where the caller has one.  Raises
    Quarantined when the entry cannot be applied, with nothing changed, and
    error.LockHeld when somebody else has the repository's lock.
    """
    entry = judged.entry
    assert entry is not None
    action = _ACTIONS.get(entry.kind)
    try:
        if action is None:
            raise EntryUnreadable(
                f'this version cannot apply entries of kind {entry.kind.value}',
                'upgrade hgfleet on this node',
            )
        with unsynced.writing(hosted):
            return action(hosted, judged, applied, repo)
    except error.LockHeld:
        raise
    except Exception as problem:
        now = hosted.applied()
        if now.state.seq >= entry.seq and not hosted.unfinished:
            # Another process of this node was faster.
            return now
        raise Quarantined(
            f'{hosted.name}: entry {entry.seq} (offset '
            f'{judged.record.offset} of {hosted.stream}) cannot be applied: '
            f'{_said(problem)}',
            getattr(problem, 'hint', None) or 'run "hgfleet status"',
        ) from problem


def _said(problem: Exception) -> str:
    if isinstance(problem, error.Error):
        return text(b' '.join(_as_bytes(one) for one in problem.args))
    return str(problem) or type(problem).__name__


def _as_bytes(argument: object) -> bytes:
    if isinstance(argument, bytes):
        return argument
    return str(argument).encode()


def record(repo: Any, tr: Any, applied: Applied) -> Applied:
    """Have the transaction write how far the repository has come.

    Returns the record, with the sums of what is written by now.
    """
    now = replace(applied, sums=sums.take(text(repo.path), applied.sums))
    data = records.encode(now)
    # After finalisation: with it, the file would be lost in a transaction
    # that has passed its pre-finalisation stage already.
    tr.addfilegenerator(
        b'fleet-applied',
        (records.FILE.encode(),),
        lambda file: file.write(data),
        post_finalize=True,
    )
    return now


def _push(
    hosted: Hosted, judged: Judged, applied: Applied, repo: Any
) -> Applied:
    entry = judged.entry
    assert entry is not None
    if repo is None:
        repo = open_repository(hosted)
    with applying(repo) as unfi:
        now = hosted.applied()
        if now.state.seq >= entry.seq:
            return now
        before = len(unfi.changelog)
        markers = _size(unfi, b'obsstore')
        with unfi.transaction(b'fleet') as tr:
            _unpack(hosted, entry, unfi, tr)
            _check(entry, unfi, before)
            if entry.changesets:
                pushlog.record(unfi, tr, as_push(entry, before))
            step = None
            if hosted.node.shows:
                step = _step(judged, now, tr, before, markers)
            after = now.after(
                judged.state, step, hosted.node.barrier(hosted.partition)
            )
            after = record(unfi, tr, after)
            failpoint.hit('perform.before-close')
        failpoint.hit('perform.closed')
    return after


def as_push(entry: Entry, first: int) -> pushlog.Push:
    """Return the pushlog's record of an entry whose changesets start there."""
    return pushlog.Push(
        id=entry.push_id,
        user=entry.user,
        time=entry.time,
        first=first,
        count=entry.changesets,
    )


def _unpack(hosted: Hosted, entry: Entry, repo: Any, tr: Any) -> None:
    with _payload(hosted, entry) as file:
        try:
            payload.apply(repo, tr, file)
        except BlobCorrupt:
            raise
        except Exception:
            # Damage shows first as some error of the decoders: reading to
            # the end tells whether the bytes are as they should be.
            _drain(file)
            raise
        _drain(file)


def _payload(hosted: Hosted, entry: Entry) -> BinaryIO:
    stated = entry.payload
    if stated is None:
        raise EntryUnreadable('the entry has no payload')
    if stated.inline is not None:
        return io.BytesIO(check_inline(stated))
    return hosted.node.blobs.open(stated.sha256)


def _drain(file: BinaryIO) -> None:
    while file.read(1 << 20):
        pass


def _check(entry: Entry, repo: Any, before: int) -> None:
    added = len(repo.changelog) - before
    if added != entry.changesets:
        raise Diverged(
            f'the payload brought {added} new changesets where the entry '
            f'states {entry.changesets}',
            'rebuild the repository from the ledger',
        )
    actual = digest.of(repo)
    if actual != entry.digest:
        raise Diverged(
            f'the digest is {actual} where the entry states {entry.digest}',
            'rebuild the repository from the ledger',
        )


def _step(
    judged: Judged, now: Applied, tr: Any, before: int, markers: int
) -> Step:
    changes = tr.changes
    return Step(
        offset=judged.record.offset,
        seq=now.state.seq,
        push_id=now.state.push_id,
        revisions=before,
        markers=markers,
        bookmarks={
            payload.mark(name): old.hex() if old else None
            for name, (old, _new) in changes[b'bookmarks'].items()
        },
        phases=tuple(
            (revisions.start, revisions.stop, old)
            for revisions, (old, _new) in changes[b'phases']
            if old is not None and revisions.start < before
        ),
    )


def _size(repo: Any, name: bytes) -> int:
    try:
        size: int = repo.svfs.stat(name).st_size
    except FileNotFoundError:
        return 0
    return size


_ACTIONS: dict[Kind, Callable[[Hosted, Judged, Applied, Any], Applied]] = {
    Kind.CREATE: lifecycle.create,
    Kind.PUSH: _push,
    Kind.CONFIG: lifecycle.configure,
    Kind.DELETE: lifecycle.delete,
}
