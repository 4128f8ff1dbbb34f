"""What hgfleet needs from the world, as Protocols of at most six methods.

Adapters (``hgext3rd.fleet.adapters``) implement them; the edge opens them
by URL.  Every method raises only errors of ``core.errors``.

Positions and offsets
    A stream is an ordered list of records.  A record's *offset* is its
    place; offsets only grow.  A *position* is an offset at which reading
    goes on: everything below it has been read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from .core.entry import Record as Record


class Batch(list[Record]):
    """Records of a stream, in order, and how far it has been read.

    All that was asked for and is below the position ``upto`` is in here.
    It is less than the position that was asked for only where the stream ends
    before that: then records have been lost that were there once.
    """

    def __init__(self, records: Iterable[Record], upto: int) -> None:
        super().__init__(records)
        self.upto = upto


@dataclass(frozen=True)
class Blob:
    """The name of immutable bytes: their SHA-256 (hex) and their size."""

    sha256: str
    size: int


@dataclass(frozen=True)
class User:
    """A person or robot as the directory knows it."""

    name: str
    groups: frozenset[str]
    enabled: bool
    keys: tuple[str, ...]


class Ledger(Protocol):
    """An ordered, durable log of several streams.

    Streams named ``entries-N`` are kept whole.  The stream ``members`` is
    compacted: of the records with one key only the last must be kept, and
    it need not survive a power cut.
    """

    def append(self, stream: str, key: str, value: bytes) -> int:
        """Write a record durably; return its offset.

        Raises LedgerUnavailable or LedgerFull when it is certain that
        nothing was written, OutcomeUnknown when it is not.
        """
        ...

    def read(
        self,
        stream: str,
        position: int,
        keys: Collection[str] | None = None,
        limit: int = 1000,
    ) -> Batch:
        """Return at most ``limit`` records from ``position`` on, in order.

        With ``keys``, only records with one of these keys.  Raises
        OutOfReach when the records at ``position`` have been forgotten.
        """
        ...

    def end(self, stream: str) -> int:
        """Return the position after the last record."""
        ...

    def wait(
        self, positions: Mapping[str, int], timeout: float
    ) -> frozenset[str]:
        """Block until a stream has grown past its position.

        Returns the streams that may have, none when ``timeout`` (seconds)
        ran out first.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections; harmless when repeated."""
        ...


class Blobs(Protocol):
    """A store of immutable bytes under their SHA-256."""

    def put(self, chunks: Iterable[bytes]) -> Blob:
        """Store the bytes durably, never holding all of them in memory."""
        ...

    def open(self, sha256: str) -> BinaryIO:
        """Open a blob for reading.

        Raises BlobUnavailable.  The bytes are checked against the hash
        while they are read: the read that reaches the end of a damaged blob
        raises BlobCorrupt.
        """
        ...

    def has(self, sha256: str) -> bool:
        """Tell whether the blob is stored."""
        ...

    def remove(self, sha256: str) -> None:
        """Forget a blob; harmless when it is not stored."""
        ...

    def names(self) -> Iterator[str]:
        """Yield the SHA-256 of every stored blob, in no order."""
        ...


class Directory(Protocol):
    """Who may log in, with which keys, and in which groups they are."""

    def user(self, name: str) -> User | None:
        """Return the user of that name, or None."""
        ...

    def owner(self, key: str) -> User | None:
        """Return the user who holds a public key (``type base64``)."""
        ...

    def users(self) -> Iterator[User]:
        """Yield every user, by name."""
        ...

    def seen(self, name: str) -> None:
        """Note that a user has logged in, where that is kept; no errors."""
        ...

    def close(self) -> None:
        """Let go of files and connections; harmless when repeated."""
        ...


class Clock(Protocol):
    """The two times: what people call now, and what only moves forward."""

    def wall(self) -> float:
        """Seconds since 1970; may be set back."""
        ...

    def boot(self) -> float:
        """Seconds since the machine started, sleep included."""
        ...

    def boot_id(self) -> str:
        """The name of this start of the machine; '' when it has none."""
        ...
