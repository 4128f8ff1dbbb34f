"""Making the pushlog anew from the ledger.

The ledger's valid entries say who added how many changesets, and when.
Since revisions are numbered in the order of the ledger, that is all there is
to the pushlog, and what results has the same bytes on every node.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ..fleet import adapters, edge, settings
from ..fleet.core import applied, names
from ..fleet.core.entry import FENCE_KEY, Entry, Kind
from ..fleet.core.errors import FleetError, NameRefused
from ..fleet.core.ledger import RepoState, Verdict, fold
from ..fleet.files import replace as whole_and_synced
from ..fleet.files import sync_folder
from ..fleet.ports import Ledger
from . import store
from .store import Push


class NotRebuilt(FleetError):
    """The ledger does not say how this pushlog should be."""


def from_ledger(repo: Any) -> tuple[list[Push], bytes, bytes]:
    """Return the pushes as the ledger has them, and the bytes of both files.

    They are the pushes that this node has applied.  Raises NotRebuilt when
    they are not those that the repository has, and errors of the settings
    and the ledger.
    """
    unfi = repo.unfiltered()
    its = settings.read(repo.ui)
    name = hosted_name(edge.text(repo.root), its.root)
    log = adapters.open_ledger(its.ledger)
    try:
        stream = f'entries-{its.partition(name)}'
        found = pushes(_valid(log, stream, name, _reached(unfi, name)))
    finally:
        log.close()
    covered, revisions = found[-1].end if found else 0, len(unfi.changelog)
    if covered != revisions:
        raise NotRebuilt(
            f'{name}: the pushes in the ledger bring {covered} changesets, '
            f'but the repository has {revisions}',
            'this is no fault of the pushlog: see "hgfleet status"',
        )
    return (found, *files(name, found))


def hosted_name(path: str, root: str) -> str:
    """Return the name of the repository in the folder ``path``."""
    inside = os.path.relpath(os.path.realpath(path), os.path.realpath(root))
    try:
        return names.repository(inside)
    except NameRefused:
        raise NotRebuilt(
            f'{path} is not a repository of the fleet',
            f'those of this node are below {root}',
        ) from None


def pushes(entries: Iterable[Entry]) -> list[Push]:
    """Return the pushes that a repository's valid entries record.

    A repository that was deleted and made again begins anew.
    """
    found: list[Push] = []
    for entry in entries:
        if entry.kind is Kind.CREATE:
            found.clear()
        if entry.changesets:
            first = found[-1].end if found else 0
            found.append(
                Push(
                    entry.push_id,
                    entry.user,
                    entry.time,
                    first,
                    entry.changesets,
                )
            )
    return found


def files(name: str, found: Sequence[Push]) -> tuple[bytes, bytes]:
    """Return the bytes of the pushlog and of the users' file."""
    users: dict[str, int] = {}
    records = []
    last: Push | None = None
    for push in found:
        reason = store.refusal(last, push)
        if reason:
            raise NotRebuilt(
                f'{name}: the ledger has a push {push.id}, but {reason}'
            )
        user = users.setdefault(push.user, len(users))
        records.append(store.pack(push, user))
        last = push
    return b''.join(records), b''.join(map(store.line, users))


def replace(repo: Any, log: bytes, users: bytes) -> None:
    """Put the files in the place of the old ones; needs the store's lock.

    Whoever reads meanwhile, or after a crash or a power cut in between, finds
    the old pushlog, the new one, or none.
    """
    svfs = repo.unfiltered().svfs
    if svfs.tryread(store.USERS) != users:
        svfs.tryunlink(store.FILE)
        sync_folder(edge.text(svfs.join(b'')))
        _write(svfs, store.USERS, users)
    _write(svfs, store.FILE, log)


def _write(svfs: Any, name: bytes, data: bytes) -> None:
    whole_and_synced(edge.text(svfs.join(name)), data, sync=True)


def _reached(repo: Any, name: str) -> int:
    """Return the number of the last entry that this node has applied."""
    try:
        data = repo.svfs.read(applied.FILE.encode())
    except FileNotFoundError:
        raise NotRebuilt(
            f'{name} does not follow the ledger',
            'only a repository that the fleet has made can be rebuilt',
        ) from None
    return applied.decode(data).state.seq


def _valid(
    log: Ledger, stream: str, name: str, reached: int
) -> Iterator[Entry]:
    """Yield the valid entries of a repository, up to number ``reached``."""
    state = RepoState()
    while batch := log.read(stream, state.position, {name, FENCE_KEY}):
        for record in batch:
            judged = fold(state, record)
            state = judged.state
            if judged.verdict is Verdict.HALTED:
                break
            if judged.verdict is Verdict.VALID and judged.entry:
                yield judged.entry
                if state.seq == reached:
                    return
        if state.halted:
            break
    raise NotRebuilt(
        f'{name}: this node has applied entry {reached}, but in the ledger '
        f'({stream}) only entries up to {state.seq} can be read'
        + (f': {state.halted}' if state.halted else '')
    )
