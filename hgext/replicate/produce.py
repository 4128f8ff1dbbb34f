"""Producing: every transaction on a hosted repository becomes one entry.

The class below is mixed into each repository under ``fleet.root``.  When an
outermost transaction opens, the node first catches up with the ledger for
this repository, or refuses.  When it closes, after the last vote and before
anything of it can be seen, its whole content is published; only then does
Mercurial go on to close it.

What the ledger cannot express (stripping, rollback, censoring) is refused.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

from mercurial import error
from mercurial.utils import stringutil

from hgext3rd.pushlog import store as pushlog

from ..fleet import auditing, edge, failpoint
from ..fleet.core.applied import Applied
from ..fleet.core.entry import Entry, Kind, Payload
from ..fleet.core.errors import (
    BlobUnavailable,
    Diverged,
    Inexpressible,
    LedgerError,
    NameRefused,
    Quarantined,
    Superseded,
)
from ..fleet.core.mending import Cause
from . import boot, digest, payload
from .follow import catch_up
from .node import Hosted
from .perform import as_push, record
from .publish import fenced, publish
from .unsynced import Mark

# Sorts after the names of all other validators: everybody has voted.
_LAST = b'~~fleet'

_REFUSED = {
    b'strip': 'removing changesets',
    b'censor': 'censoring',
    b'rollback': 'rollback',
}


def hosting(repo: Any, hosted: Hosted) -> None:
    """Make ``repo`` publish what changes in it."""

    class hostedrepo(repo.__class__):  # type: ignore[misc]
        def transaction(self, desc: bytes, report: Any = None) -> Any:
            unfi = self.unfiltered()
            if unfi._fleet_applying or self.currenttransaction() is not None:
                return super().transaction(desc, report)
            with edge.refusing(unfi.ui):
                begin(unfi, hosted, desc)
            tr = super().transaction(desc, report)
            tr.addvalidator(_LAST, lambda tr: _commit(unfi, hosted, tr))
            return tr

        def hook(self, name: bytes, throw: bool = False, **args: Any) -> Any:
            # Applying an entry repeats what was checked when it was made.
            if self.unfiltered()._fleet_applying:
                return None
            return super().hook(name, throw, **args)

        def rollback(self, *args: Any, **opts: Any) -> Any:
            with edge.refusing():
                raise _inexpressible(hosted, b'rollback')

    repo._fleet = hosted
    repo._fleet_identity = hosted.identity()
    repo._fleet_applying = False
    repo.__class__ = hostedrepo


def begin(repo: Any, hosted: Hosted, desc: bytes) -> None:
    """Prepare the repository, whose lock is held, for a new transaction.

    Raises Inexpressible, Doubted, Quarantined, Fenced, or LedgerUnavailable.
    """
    if desc in _REFUSED:
        raise _inexpressible(hosted, desc)
    if hosted.node.settings.role != 'primary':
        raise Inexpressible(
            f'{hosted.name} cannot be changed on {hosted.node.settings.node}'
            ', which is a mirror',
            'push to a primary over SSH',
        )
    boot.guard(hosted)
    mark = Mark(hosted)
    repo._afterlock(lambda _success: mark.close())
    if repo.svfs.exists(b'journal'):
        repo.ui.warn(b'rolling back what a killed process left behind\n')
        repo.recover()
    refused = hosted.refused()
    if refused is not None and refused.cause is Cause.DAMAGED:
        raise Quarantined(
            f'{hosted.name} cannot be changed on {hosted.node.settings.node}: '
            f'{refused.reason}',
            'it is being made anew; try again',
        )
    applied = catch_up(hosted, repo)
    if hosted.identity() != repo._fleet_identity:
        # What this process has opened has another hgrc, or is gone.
        raise Superseded(
            f'{hosted.name} has just been configured or made anew',
            'pull and push again',
        )
    state = applied.state
    if hosted.node.settings.node in state.fenced:
        raise fenced(hosted)
    if not state.exists:
        raise NameRefused(
            f'{hosted.name} is not a repository of this fleet',
            'make it with "hgfleet repo create"',
        )
    _check_digest(repo, hosted, state.digest or digest.EMPTY, state.seq)
    repo._fleet_applied = applied
    failpoint.hit('produce.begun')


def _check_digest(repo: Any, hosted: Hosted, stated: str, seq: int) -> None:
    """Raise Diverged unless the repository is what its last entry states.

    Publishing on top of anything else would lead all other nodes astray.
    """
    if digest.of(repo) == stated:
        return
    # What was read before the lock was taken may be of a moment that a crash
    # has undone, and Mercurial does not always notice within a second.
    repo.invalidate(clearfilecache=True)
    actual = digest.of(repo)
    if actual != stated:
        raise Diverged(
            f'{hosted.name} on {hosted.node.settings.node} is not what entry '
            f"{seq} made it: it was changed behind the ledger's back "
            f'(digest {actual[:12]}, not {stated[:12]})',
            'let an administrator rebuild it: see "hg help replicate::rebuild"',
        )


def _inexpressible(hosted: Hosted, desc: bytes) -> Inexpressible:
    return Inexpressible(
        f'{_REFUSED[desc]} is not possible in {hosted.name}: '
        'the ledger only adds',
        'hide changesets with obsolescence markers instead',
    )


def _commit(repo: Any, hosted: Hosted, tr: Any) -> None:
    if payload.is_empty(repo, tr):
        return
    applied: Applied = repo._fleet_applied
    start = tr.changes[b'origrepolen']
    with edge.refusing(repo.ui):
        entry = _entry(repo, hosted, tr, applied)
        if entry.changesets:
            pushlog.record(repo, tr, as_push(entry, start))
        judged = publish(hosted, applied.state, entry)
    what = f'entry {entry.seq}, changesets: {entry.changesets}'
    allowed = auditing.ALLOWED
    auditing.told(repo.ui, 'push', allowed, repo=hosted.name, what=what)
    number = b'%d' % entry.seq
    name = edge.local(hosted.name)

    ended: list[bool] = []

    def unlocked(_success: bool) -> None:
        # Aborted, or left as it was because the disk was full at the end.
        if not ended:
            repo.ui.warn(
                b'%s: this change is in the ledger as entry %s, but could not '
                b'be completed here; it will be; pull before trying again\n'
                % (name, number)
            )

    # Before everybody else's, which may fail.
    tr.addpostclose(b'-fleet', lambda _tr: ended.append(True))
    repo._afterlock(unlocked)
    record(repo, tr, applied.after(judged.state, None, 0))
    # By now all but the end of the journal is written; and then that too.
    tr.addfinalize(_LAST, lambda _tr: failpoint.hit('produce.finalized'))
    tr.addpostclose(b'~failpoint', lambda _: failpoint.hit('produce.closed'))
    if hosted.node.settings.wait == 'visible':
        offset = judged.record.offset
        tr.addpostclose(
            _LAST,
            lambda _tr: repo._afterlock(
                lambda _success: _await_mirrors(repo.ui, hosted, offset)
            ),
        )


def _await_mirrors(ui: Any, hosted: Hosted, offset: int) -> None:
    from . import visible

    try:
        seen = visible.wait(hosted, offset)
    except LedgerError as problem:
        ui.warn(edge.local(f'{problem}\n'))
        seen = False
    if not seen:
        ui.warn(
            b'the push is recorded and safe, but not every mirror shows it '
            b'yet\n'
        )


def _entry(repo: Any, hosted: Hosted, tr: Any, applied: Applied) -> Entry:
    state = applied.state
    added = len(repo.changelog) - tr.changes[b'origrepolen']
    now = int(hosted.node.clock.wall() * 1000)
    return Entry(
        kind=Kind.PUSH,
        repo=hosted.name,
        seq=state.seq + 1,
        prev=state.seq,
        node=hosted.node.settings.node,
        user=auditing.user(repo.ui),
        # A clock that is set back must not reorder the pushlog.
        time=max(now, state.time),
        push_id=state.push_id + (1 if added else 0),
        changesets=added,
        # First, since it refuses what cannot be kept.
        payload=_stored(hosted, payload.chunks(repo, tr)),
        digest=digest.of(repo),
        source=edge.text(tr.hookargs.get(b'txnname', b'')),
    )


def _stored(hosted: Hosted, chunks: Iterable[bytes]) -> Payload:
    """Return the payload, which is put into the blob store when large."""
    limit = hosted.node.settings.inline_limit
    source = iter(chunks)
    held: list[bytes] = []
    size = 0
    for chunk in source:
        held.append(chunk)
        size += len(chunk)
        if size > limit:
            failpoint.hit('produce.before-blob')
            try:
                blob = hosted.node.blobs.put(itertools.chain(held, source))
            except BlobUnavailable as problem:
                raise BlobUnavailable(
                    f'{hosted.name}: {problem}', problem.hint
                ) from None
            failpoint.hit('produce.after-blob')
            return Payload(blob.sha256, blob.size)
    return Payload.of(b''.join(held))


def refuse_strip(orig: Any, ui: Any, repo: Any, *args: Any, **opts: Any) -> Any:
    """Wrap repair.strip: in a hosted repository nothing is removed."""
    hosted = getattr(repo.unfiltered(), '_fleet', None)
    if hosted is None:
        return orig(ui, repo, *args, **opts)
    with edge.refusing():
        raise _inexpressible(hosted, b'strip')


def unbundle(orig: Any, repo: Any, *args: Any) -> Any:
    """Wrap exchange.unbundle: what the client saw may be gone for a moment.

    A process that is killed while it closes a transaction leaves changesets
    which can be read, and which the next process takes away before it
    applies their entry once more.
    """
    try:
        return orig(repo, *args)
    except error.LookupError as problem:
        if getattr(repo.unfiltered(), '_fleet', None) is None:
            raise
        raced = error.PushRaced(
            b'repository changed while pushing - please pull and try again '
            b'(%s)' % stringutil.forcebytestr(problem)
        )
        # By these, Mercurial answers in the form that the client expects.
        for name in ('duringunbundle2', '_replycaps', '_bundle2salvagedoutput'):
            if hasattr(problem, name):
                setattr(raced, name, getattr(problem, name))
        raise raced from problem


def trusted_only(orig: Any, server: Any, *args: Any) -> Any:
    """Wrap sshserver.serveuntil: nothing doubted is served.

    A power cut may have taken any part of it.
    """
    repo = server._repo
    hosted = getattr(repo.unfiltered(), '_fleet', None) if repo else None
    if hosted is not None:
        with edge.refusing():
            boot.guard(hosted)
    return orig(server, *args)


def pinned_revisions(orig: Any, repo: Any) -> Any:
    """Wrap repoview.pinnedrevs, for readers while a push arrives.

    To load the bookmarks is to load the changelog anew.  What looks up their
    changesets in the one from before may not find them.
    """
    repo.unfiltered()._bookmarks  # noqa: B018 loaded by this
    return orig(repo)
