"""What the nodes of a fleet last said about themselves, from the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..fleet import adapters
from ..fleet.core import barrier
from ..fleet.core.barrier import STREAM, Eviction, Lease, Members
from ..fleet.core.errors import EntryUnreadable
from ..fleet.ports import Ledger


def read(ledger: Ledger) -> Members:
    """Return the fold of everything that was said; raises LedgerError."""
    return barrier.fold(Members(), _said(ledger))


def leases(url: str) -> Mapping[str, Lease]:
    """Return the last lease of each node.

    ``url`` is that of the ledger.  Raises LedgerError and SettingError.
    """
    ledger = adapters.open_ledger(url)
    try:
        return read(ledger).leases
    finally:
        ledger.close()


def _said(ledger: Ledger) -> Iterator[Lease | Eviction]:
    position = 0
    while batch := ledger.read(STREAM, position):
        for record in batch:
            position = record.offset + 1
            try:
                yield barrier.decode(record.key, record.value)
            except EntryUnreadable:
                # Of a newer version; the nodes count it as silence, too.
                continue
