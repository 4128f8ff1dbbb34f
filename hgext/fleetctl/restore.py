"""A fleet as it was at a moment, in a new folder.

The new folder has a ledger with the entries that counted until then, the
blobs that they and their snapshots need, and what the operator had set up:
users, rules, keys, settings.  The next ``hgfleet up`` makes the rest.

It is filled under another name (``NEWDIR.unfinished``), so a folder of that
name is whole.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from mercurial import ui as uimod

from ..fleet import adapters, edge, files, settings, webaccess
from ..fleet.core import snapshot as snapshots
from ..fleet.core.entry import Entry
from ..fleet.core.errors import (
    BlobError,
    BlobUnavailable,
    EntryUnreadable,
    SettingError,
)
from ..fleet.core.past import Moment, Selection
from ..fleet.core.snapshot import PREFIX, Index
from ..fleet.ports import Blobs, Ledger, Record
from ..fleet.settings import Settings
from . import founding
from .layout import Layout

_UNFINISHED = '.unfinished'
_PIECE = 1 << 20


@dataclass
class Restored:
    """What was restored; ``halted`` as in core/past.py."""

    entries: int
    repos: int
    halted: dict[str, str]


class Copy:
    """Copies what is kept of a ledger, and the blobs that it needs."""

    def __init__(
        self, source: tuple[Ledger, Blobs], target: tuple[Ledger, Blobs]
    ) -> None:
        self._from, self._blobs_from = source
        self._to, self._blobs_to = target
        self.done = Restored(0, 0, {})

    def partition(self, stream: str, moment: Moment) -> None:
        """Copy one stream of entries.

        Raises OutOfReach when the ledger has forgotten its beginning.
        """
        selection = Selection(moment)
        indexes: dict[str, list[Index]] = {}
        records = self._noting(stream, indexes)
        for record, entry in selection.keep(records):
            if entry is not None:
                self._bring(record, entry)
            self._to.append(stream, record.key, record.value)
        for repo, states in selection.states.items():
            self.done.entries += len(states)
            self.done.repos += max(states.items())[1].exists
            found = snapshots.settled(indexes.get(repo, ()), states)
            kept = tuple(one for one in found if self._have(one.blob))
            if kept:
                index = Index(repo, kept)
                key = snapshots.key(repo)
                self._to.append(stream, key, snapshots.encode(index))
        self.done.halted.update(selection.halted)

    def _noting(
        self, stream: str, indexes: dict[str, list[Index]]
    ) -> Iterator[Record]:
        """Yield the records of a stream; note the lists of snapshots."""
        for record in everything(self._from, stream):
            if record.key.startswith(PREFIX):
                with contextlib.suppress(EntryUnreadable):
                    index = snapshots.decode(record.key, record.value)
                    indexes.setdefault(index.repo, []).append(index)
            yield record

    def _bring(self, record: Record, entry: Entry) -> None:
        payload = entry.payload
        if payload is None or payload.inline is not None:
            return
        try:
            self._copy(payload.sha256)
        except BlobError as problem:
            raise type(problem)(
                f'entry {entry.seq} of {entry.repo} (offset {record.offset}) '
                f'cannot be restored: {problem}',
                problem.hint,
            ) from None

    def _have(self, blob: str | None) -> bool:
        """Bring the blob of a snapshot, if there is any; tell if it is."""
        try:
            if blob is not None:
                self._copy(blob)
        except BlobError:
            return False
        return True

    def _copy(self, sha256: str) -> None:
        if self._blobs_to.has(sha256):
            return
        with self._blobs_from.open(sha256) as file:
            stored = self._blobs_to.put(iter(lambda: file.read(_PIECE), b''))
        if stored.sha256 != sha256:
            raise BlobUnavailable(f'blob {sha256} is another one')


def everything(ledger: Ledger, stream: str) -> Iterator[Record]:
    """Yield all records of a stream; LedgerUnavailable if one is missing."""
    position = 0
    while batch := ledger.read(stream, position):
        yield from batch
        position = batch[-1].offset + 1


def restore(
    source: Layout,
    target: Layout,
    moment: Callable[[Ledger, Settings], Moment],
    progress: Callable[[int, int], None],
) -> Restored:
    """Make ``target`` what ``source`` was; SettingError when it exists.

    ``progress`` is told how many of how many partitions are done.
    """
    if os.path.lexists(target.root):
        raise SettingError(
            f'{target.root} exists already', 'name a folder that does not'
        )
    os.umask(0o077)
    founding.require(source)
    its = settings_of(source)
    part = Layout(target.root + _UNFINISHED)
    if os.path.isdir(part.root) and founding.is_fleet(part):
        shutil.rmtree(part.root)
    with contextlib.closing(adapters.open_ledger(its.ledger)) as ledger:
        upto = moment(ledger, its)
        _furnish(source, part)
        with contextlib.closing(adapters.open_ledger(part.ledger)) as copied:
            copy = Copy(
                (ledger, adapters.open_blobs(its.blobs)),
                (copied, adapters.open_blobs(part.blobs)),
            )
            for partition in range(its.partitions):
                progress(partition, its.partitions)
                copy.partition(f'entries-{partition}', upto)
    files.sync_system(part.root)
    os.rename(part.root, target.root)
    files.sync_folder(os.path.dirname(target.root))
    return copy.done


def settings_of(layout: Layout) -> Settings:
    """Return the settings of a fleet, which may be a backup without nodes.

    Raises SettingError when its ledger is not in the folder: a fleet that
    is restored would then write to that of the fleet that it was made from.
    """
    ui = uimod.ui()
    settings.declare(ui)
    if os.path.exists(layout.local):
        ui.readconfig(edge.local(layout.local), trust=True)
    for item, value in (('ledger', layout.ledger), ('blobs', layout.blobs)):
        stated = ui.config(b'fleet', item.encode()) or b''
        if stated and edge.text(stated) != value:
            raise SettingError(
                f'{layout.local} sets [fleet] {item}; only a fleet whose '
                'ledger and blobs are in its folder can be restored',
            )
    node = layout.node('restored')
    for item, value in (
        ('node', 'restored'),
        ('root', node.repos),
        ('state', node.state),
        ('ledger', layout.ledger),
        ('blobs', layout.blobs),
    ):
        ui.setconfig(b'fleet', item.encode(), edge.local(value))
    return settings.read(ui)


def _furnish(source: Layout, target: Layout) -> None:
    """Make the folder, with what the operator had set up."""
    founding.claim(target)
    for old, new in (
        *_settings(source, target),
        (source.users, target.users),
        (source.host_key, target.host_key),
        (f'{source.host_key}.pub', f'{target.host_key}.pub'),
        (source.client_key, target.client_key),
        (f'{source.client_key}.pub', f'{target.client_key}.pub'),
    ):
        if os.path.exists(old):
            os.makedirs(os.path.dirname(new), exist_ok=True)
            shutil.copy2(old, new)
    # With "demo" there would be an entry that is not of the past.
    known = replace(founding.record(source), founded=True)
    founding.remember(target, known)
    founding.found(target)


def _settings(source: Layout, target: Layout) -> Iterator[tuple[str, str]]:
    """Yield the files of settings that are in the folder, and the new ones.

    What they include is among them: a rule that is missed hides nothing.
    """
    begin = (edge.local(source.access), edge.local(source.local))
    for path in map(edge.text, webaccess.files_of(begin)):
        inside = os.path.relpath(path, source.root)
        if not inside.startswith('../'):
            yield path, os.path.join(target.root, inside)
