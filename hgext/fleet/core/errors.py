"""The one tree of errors.

Every error that hgfleet raises on purpose is a :class:`FleetError`.  Its
message says what was being done and to which repository or entry; its
``hint`` says what to do next; ``retry`` says whether the same request may
succeed later without anybody changing anything.
"""

from __future__ import annotations


class FleetError(Exception):
    """Base of every deliberate failure.

    ``hint`` is one sentence for the person who has to act, or empty.
    """

    retry = False

    def __init__(self, message: str, hint: str = '') -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class SettingError(FleetError):
    """The configuration is missing something or contradicts itself."""


class NameRefused(FleetError):
    """A repository, user or node name is outside the grammar."""


class Denied(FleetError):
    """The access rules do not allow this."""


class Inexpressible(FleetError):
    """Mercurial can do this, but the ledger has no entry for it."""


class LedgerError(FleetError):
    """Base of what can go wrong with the ledger."""


class LedgerUnavailable(LedgerError):
    """The ledger could not be reached; nothing was written."""

    retry = True


class OutOfReach(LedgerUnavailable):
    """The ledger has forgotten what was to be read.

    ``start`` is the position from which on the stream can be read.
    """

    retry = False

    def __init__(self, message: str, hint: str = '', start: int = 0) -> None:
        super().__init__(message, hint)
        self.start = start


class LedgerFull(LedgerError):
    """The ledger has no room; nothing was written."""


class OutcomeUnknown(LedgerError):
    """The ledger did not answer in time; the entry may have been written."""


class Superseded(LedgerError):
    """The entry was written but another one had come first."""

    retry = True


class Fenced(LedgerError):
    """This node is fenced: nothing that it does counts."""


class EntryUnreadable(LedgerError):
    """A record is damaged, or newer than this program."""


class BlobError(FleetError):
    """Base of what can go wrong with the blob store."""


class BlobUnavailable(BlobError):
    """The blob store, or one blob, could not be read or written."""

    retry = True


class BlobCorrupt(BlobError):
    """A blob's bytes do not have the hash they are filed under."""


class DirectoryUnavailable(FleetError):
    """The directory of users could not be read."""

    retry = True


class Quarantined(FleetError):
    """This node cannot follow the ledger for one repository."""


class Diverged(Quarantined):
    """Applying an entry led to another digest than the ledger states."""


class Doubted(FleetError):
    """Not yet compared with the ledger since the machine was started."""

    retry = True


class Stale(FleetError):
    """This node is not allowed to serve: it cannot prove it is current."""

    retry = True
