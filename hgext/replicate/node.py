"""A node: its settings, its connections, and its repositories.

A :class:`Node` opens the ledger and the blob store when they are first
needed, and knows where everything of a repository is on this machine:

``<root>/<name>``
    the repository itself
``<root>/<name>/.hg/store/fleet-applied``
    how far it has followed the ledger (``core/applied.py``)
``<state>/deleted/<name>``
    the same for a repository that was deleted
``<state>/quarantine/<name>.json``
    why this node cannot follow the ledger for it
``<state>/new``, ``<state>/old``, ``<state>/rebuild``
    repositories being made, being removed, and being made anew
``<state>/broken/<name>.<time>``
    copies that were replaced, to be looked at (``rebuild.py``)
``<state>/ledger.sock``
    where the relay listens, if one runs (``relay.py``)
``<state>/boot.json``
    which repositories may not be trusted yet (``boot.py``)
``<state>/unsynced``, ``<state>/syncing``
    which repositories may not be on the disk yet (``unsynced.py``)
``<state>/snapshot.lock``
    held by the process that makes snapshots

In names below ``<state>`` each ``/`` is written ``%2F``.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..fleet import adapters, files, settings
from ..fleet.core import applied as records
from ..fleet.core import mending, names
from ..fleet.core.applied import Applied
from ..fleet.core.entry import FENCE_KEY
from ..fleet.core.errors import NameRefused
from ..fleet.core.ledger import RepoState
from ..fleet.core.mending import Cause, Quarantine

if TYPE_CHECKING:
    from ..fleet.ports import Blobs, Clock, Ledger

# Inodes and their times, of files that are replaced and never changed.
Identity = tuple[int, ...]


POSITIONS = 'positions.json'
"""Where the daemon notes how far it has read each partition."""


class Node:
    """This node."""

    def __init__(self, ui: Any, its: settings.Settings) -> None:
        self.ui = ui
        self.settings = its
        # A daemon sets it, for a connection that does not end with a relay.
        self.is_daemon = False
        # Whether repositories that are not there may start from snapshots.
        self.uses_snapshots = True
        # The repository that is being compared with the ledger here, and
        # may be touched although it is doubted.
        self.examines = ''

    @classmethod
    def of(cls, ui: Any) -> Node:
        """Return the node that ``ui`` configures; SettingError if none."""
        return cls(ui, settings.read(ui))

    @functools.cached_property
    def ledger(self) -> Ledger:
        """The ledger, opened on first use; by way of a relay if one runs."""
        if self.is_daemon:
            return adapters.open_ledger(self.settings.ledger)
        return adapters.open_near_ledger(self.settings.ledger, self.relay)

    @functools.cached_property
    def blobs(self) -> Blobs:
        """The blob store, opened on first use."""
        return adapters.open_blobs(self.settings.blobs)

    @functools.cached_property
    def clock(self) -> Clock:
        """The machine's clock."""
        return adapters.system_clock()

    @functools.cached_property
    def barriers(self) -> dict[int, int]:
        """What may be shown of each partition.

        The daemon keeps it up to date; to other processes it is what was
        shown when they first asked.
        """
        from ..fleet.core import shown

        data = files.read(self.state(shown.FILE))
        found = shown.decode(data) if data else None
        return dict(found.positions) if found else {}

    @property
    def relay(self) -> str:
        """The path of the relay's socket."""
        return self.state('ledger.sock')

    @property
    def shows(self) -> bool:
        """Whether this node shows repositories behind the barrier."""
        return self.settings.role == 'mirror'

    def barrier(self, partition: int) -> int:
        """Return the position that this node's readers have reached."""
        return self.barriers.get(partition, 0)

    def followed(self, partition: int) -> int:
        """Return how far the daemon had read a partition when it noted that.

        0 when a power cut has torn the file.
        """
        try:
            noted = json.loads(files.read(self.state(POSITIONS)) or b'')
            return max(0, int(noted.get(str(partition), 0)))
        except (ValueError, TypeError, AttributeError, RecursionError):
            return 0

    def hosted(self, name: str) -> Hosted:
        """Return the repository of that name; NameRefused if it is none."""
        return Hosted(self, names.repository(name))

    def quarantined(self) -> list[str]:
        """Return the names of the repositories that are not served."""
        folder = self.state('quarantine')
        listed = os.listdir(folder) if os.path.isdir(folder) else []
        found = []
        for name in sorted(listed):
            if name.endswith('.json'):
                repo = name.removesuffix('.json').replace('%2F', '/')
                with contextlib.suppress(NameRefused):
                    found.append(names.repository(repo))
        return found

    def state(self, *parts: str) -> str:
        """Return a path below the node's state folder."""
        return os.path.join(self.settings.state, *parts)


@dataclass(frozen=True)
class Hosted:
    """A repository of this node, whether or not it exists here now."""

    node: Node
    name: str

    @functools.cached_property
    def partition(self) -> int:
        """The partition in which its entries are."""
        return self.node.settings.partition(self.name)

    @property
    def stream(self) -> str:
        """The ledger's stream in which its entries are."""
        return stream(self.partition)

    @property
    def keys(self) -> frozenset[str]:
        """The keys of the records that decide about it."""
        return frozenset((self.name, FENCE_KEY))

    @property
    def path(self) -> str:
        """Where the repository is, or would be."""
        return os.path.join(self.node.settings.root, self.name)

    @property
    def file_name(self) -> str:
        """The name as one part of a path."""
        return self.name.replace('/', '%2F')

    @property
    def tombstone(self) -> str:
        """The path of the record that outlives a deleted repository."""
        return self.node.state('deleted', self.file_name)

    @property
    def quarantine(self) -> str:
        """The path of the file that says why it is quarantined."""
        return self.node.state('quarantine', self.file_name + '.json')

    def identity(self) -> Identity:
        """Return what changes when it is made anew or configured; () if none.

        An inode alone would not do: its number may be used again at once.
        """
        found = []
        for name in ('requires', 'hgrc'):
            try:
                state = os.stat(os.path.join(self.path, '.hg', name))
            except FileNotFoundError:
                found += [0, 0]
            else:
                found += [state.st_ino, state.st_ctime_ns]
        return tuple(found) if found[0] else ()

    def refuse(self, reason: str, cause: Cause = Cause.STUCK) -> None:
        """Have this node not serve it until :attr:`quarantine` is removed."""
        since = int(self.node.clock.wall())
        said = Quarantine(self.name, reason, self.partition, since, cause)
        files.replace(self.quarantine, mending.encode(said))

    def refused(self) -> Quarantine | None:
        """Return why this node does not serve it, if it does not."""
        return mending.decode(files.read(self.quarantine), self.name)

    @property
    def unfinished(self) -> bool:
        """Whether a transaction is open, or was left by a killed process.

        Then what :meth:`applied` has just said may yet be rolled back.
        """
        return os.path.exists(os.path.join(self.path, '.hg/store/journal'))

    def applied(self) -> Applied:
        """Return how far this node has followed the ledger.

        Raises EntryUnreadable when the record is damaged.
        """
        inside = os.path.join(self.path, '.hg', 'store', records.FILE)
        for path in (inside, self.tombstone):
            try:
                with open(path, 'rb') as file:
                    return records.decode(file.read())
            except (FileNotFoundError, NotADirectoryError):
                continue
        return Applied(RepoState())


def stream(partition: int) -> str:
    """Return the name of a partition's stream."""
    return f'entries-{partition}'
