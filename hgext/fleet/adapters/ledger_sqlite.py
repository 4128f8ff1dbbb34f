"""The ledger in SQLite files of this machine: no server, nothing to run.

    [fleet]
    ledger = sqlite:///var/lib/hgfleet/ledger.db

Three things lie side by side, and every process of the fleet on this machine
opens them (they must be on a local file system):

``ledger.db``
    the entries.  An append returns when the disk has it (``synchronous =
    FULL``); the offsets of a stream are 0, 1, 2 … without a gap.
``ledger.db-members.db``
    the compacted stream ``members``.  Only the last record of a key is kept;
    it is not synced at every append, since leases start anew after a power
    cut anyway.
``ledger.db-bells/``
    the doorbells by which an append wakes the waiting processes.

One ledger object belongs to one thread.  A connection to SQLite must not
live on in a forked child (not even to be closed there: its file locks stay
with the parent while SQLite believes that it holds them), so forking closes
it first; parent and child open their own at their next call.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping
from weakref import WeakSet

from ..ports import Batch
from .doorbell import Doorbell
from .owner import Owner
from .streamfile import StreamFile

COMPACTED = frozenset({'members'})
"""Streams of which only the last record of each key is kept."""


class SqliteLedger:
    """The ledger whose entries are in the SQLite file at ``path``.

    Raises SettingError when the file is not a ledger or belongs to a newer
    version, LedgerUnavailable when it cannot be opened or made.
    """

    def __init__(self, path: str) -> None:
        # As SQLite does, so that all who come by another link meet here.
        path = os.path.realpath(path)
        self._path = path
        self._owner = Owner(f'the ledger {path}')
        self._entries = StreamFile(
            path,
            durable=True,
            cure='stop the fleet and restore the ledger from a backup',
        )
        members = f'{path}-members.db'
        self._members = StreamFile(
            members,
            durable=False,
            cure=f'stop the fleet and remove {members}*: the nodes fill it '
            'again',
        )
        self._bell = Doorbell(f'{path}-bells')
        self._entries.open()
        _open.add(self)

    def append(self, stream: str, key: str, value: bytes) -> int:
        """Write a record durably and wake who waits; return its offset.

        Raises LedgerUnavailable or LedgerFull when nothing was written,
        OutcomeUnknown when that is not certain.
        """
        alone = stream in COMPACTED
        offset = self._file(stream).append(stream, key, value, alone)
        self._bell.ring()
        return offset

    def read(
        self,
        stream: str,
        position: int,
        keys: Collection[str] | None = None,
        limit: int = 1000,
    ) -> Batch:
        """Return at most ``limit`` records from ``position`` on, in order.

        With ``keys``, only records with one of these keys.  Raises
        LedgerUnavailable.
        """
        return self._file(stream).read(stream, position, keys, limit)

    def end(self, stream: str) -> int:
        """Return the position after the last record; LedgerUnavailable."""
        return self._file(stream).end(stream)

    def wait(
        self, positions: Mapping[str, int], timeout: float
    ) -> frozenset[str]:
        """Block until a stream has grown past its position.

        Returns the streams that may have, none when ``timeout`` (seconds)
        ran out first.  Raises LedgerUnavailable.
        """
        self._owner.check()
        deadline = time.monotonic() + timeout
        self._bell.hang()
        while True:
            self._bell.hush()
            grown = frozenset(
                stream
                for stream, at in positions.items()
                if self.end(stream) > at
            )
            left = deadline - time.monotonic()
            if grown or left <= 0:
                return grown
            self._bell.listen(left)

    def close(self) -> None:
        """Let go of files and connections; harmless when repeated."""
        self._owner.closed = True
        _open.discard(self)
        self.release()

    def release(self) -> None:
        """Close what must not be inherited; the next call opens it again."""
        self._entries.close()
        self._members.close()
        self._bell.close()

    def _file(self, stream: str) -> StreamFile:
        self._owner.check()
        return self._members if stream in COMPACTED else self._entries


_open: WeakSet[SqliteLedger] = WeakSet()


def _before_fork() -> None:
    for ledger in list(_open):
        ledger.release()


os.register_at_fork(before=_before_fork)
