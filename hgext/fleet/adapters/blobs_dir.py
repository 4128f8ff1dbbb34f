"""The blob store in a folder of this machine.

    [fleet]
    blobs = file:///var/lib/hgfleet/blobs

The blob whose SHA-256 is ``abcd…`` is the file ``ab/cd…``.  It is written in
``incoming/``, synced, and renamed into its place, so a file outside
``incoming/`` is whole; that folder may be served by any web server.  Storing
a blob again replaces its file by an equal one, which mends a damaged blob
and makes its age that of its latest use.  What killed writers left behind in
``incoming/`` is removed after a day.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

from ..core.errors import BlobCorrupt, BlobUnavailable
from ..ports import Blob

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

STALE = 24 * 3600.0
"""Seconds after which an unfinished file is nobody's."""

_INCOMING = 'incoming'
_SHA256 = re.compile('[0-9a-f]{64}')
_SHELF = re.compile('[0-9a-f]{2}')
_REST = re.compile('[0-9a-f]{62}')
_BATCH = 128 << 10
_FULL = (errno.ENOSPC, errno.EDQUOT)


class DirBlobs:
    """The blobs in the folder ``root``, which is made when first needed."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._swept = False

    def put(self, chunks: Iterable[bytes]) -> Blob:
        """Store the bytes durably, never holding all of them in memory.

        Raises BlobUnavailable; whatever ``chunks`` raises passes through.
        Either way nothing is left behind.
        """
        if not self._swept:
            self._sweep()
        with self._storing():
            draft, descriptor = self._draft()
        try:
            try:
                blob = self._copy(chunks, descriptor)
            finally:
                os.close(descriptor)
            with self._storing():
                self._shelve(draft, blob.sha256)
        except BaseException:
            with suppress(OSError):
                os.unlink(draft)
            raise
        return blob

    def open(self, sha256: str) -> BinaryIO:
        """Open a blob for reading from its start to its end.

        Raises BlobUnavailable.  The read that reaches the end of a damaged
        blob raises BlobCorrupt.
        """
        if not _SHA256.fullmatch(sha256):
            raise BlobUnavailable(
                f'{sha256[:80]!r} is not the name of a blob',
                'whoever asks for it is damaged',
            )
        path = self._place(sha256)
        try:
            file = io.FileIO(path)
        except FileNotFoundError:
            raise BlobUnavailable(
                f'blob {sha256} is not in {self._root}',
                'copy it there from another store, or restore a backup',
            ) from None
        except OSError as error:
            raise _unreadable(path, error) from error
        return io.BufferedReader(_Checked(file, path, sha256), _BATCH)

    def has(self, sha256: str) -> bool:
        """Tell whether the blob is stored; raises BlobUnavailable."""
        if not _SHA256.fullmatch(sha256):
            return False
        path = self._place(sha256)
        try:
            os.stat(path)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise _unreadable(path, error) from error
        return True

    def remove(self, sha256: str) -> None:
        """Forget a blob; harmless when it is not stored."""
        if not _SHA256.fullmatch(sha256):
            return
        path = self._place(sha256)
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise BlobUnavailable(
                f'cannot remove {path}: {error.strerror}',
                'check that this user may write to its folder',
            ) from error

    def names(self) -> Iterator[str]:
        """Yield the SHA-256 of every stored blob, in no order."""
        for shelf in self._list(self._root):
            if _SHELF.fullmatch(shelf):
                for rest in self._list(os.path.join(self._root, shelf)):
                    if _REST.fullmatch(rest):
                        yield shelf + rest

    def _place(self, sha256: str) -> str:
        return os.path.join(self._root, sha256[:2], sha256[2:])

    def _list(self, folder: str) -> list[str]:
        try:
            return os.listdir(folder)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _unreadable(folder, error) from error

    def _draft(self) -> tuple[str, int]:
        """Make a file to write into; return its path and descriptor."""
        name = f'{os.getpid()}-{os.urandom(8).hex()}'
        path = os.path.join(self._root, _INCOMING, name)
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
        try:
            return path, os.open(path, flags, 0o666)
        except FileNotFoundError:
            self._furnish()
            return path, os.open(path, flags, 0o666)

    def _furnish(self) -> None:
        """Make the store's folders; the one that holds it must be there."""
        with suppress(FileExistsError):
            os.mkdir(self._root)
        _sync(os.path.dirname(self._root))
        with suppress(FileExistsError):
            os.mkdir(os.path.join(self._root, _INCOMING))

    def _copy(self, chunks: Iterable[bytes], descriptor: int) -> Blob:
        digest = hashlib.sha256()
        size = 0
        batch = bytearray()
        for chunk in chunks:
            batch += chunk
            if len(batch) >= _BATCH:
                digest.update(batch)
                size += len(batch)
                self._write(descriptor, batch)
                batch = bytearray()
        digest.update(batch)
        self._write(descriptor, batch)
        with self._storing():
            os.fsync(descriptor)
        return Blob(digest.hexdigest(), size + len(batch))

    def _write(self, descriptor: int, batch: bytearray) -> None:
        left = memoryview(batch)
        with self._storing():
            while left:
                left = left[os.write(descriptor, left) :]

    def _shelve(self, draft: str, sha256: str) -> None:
        """Give a written file its name, durably."""
        place = self._place(sha256)
        shelf = os.path.dirname(place)
        try:
            os.rename(draft, place)
        except FileNotFoundError:
            with suppress(FileExistsError):
                os.mkdir(shelf)
            os.rename(draft, place)
        _sync(shelf)
        # Always, since another writer may have made the shelf just now.
        _sync(self._root)

    def _sweep(self) -> None:
        """Remove what killed writers left behind."""
        self._swept = True
        oldest = time.time() - STALE
        with (
            suppress(OSError),
            os.scandir(os.path.join(self._root, _INCOMING)) as drafts,
        ):
            for draft in drafts:
                with suppress(FileNotFoundError):
                    if draft.stat().st_mtime < oldest:
                        os.unlink(draft.path)

    @contextmanager
    def _storing(self) -> Iterator[None]:
        """Rename the errors of writing."""
        try:
            yield
        except OSError as error:
            if error.errno in _FULL:
                raise BlobUnavailable(
                    f'cannot store a blob: there is no room in {self._root}',
                    'free some space on its file system',
                ) from error
            raise BlobUnavailable(
                f'cannot store a blob in {self._root}: {error.strerror}',
                'check that the folder above it exists and that this user '
                'may write to it',
            ) from error


class _Checked(io.RawIOBase):
    """A blob's file that is hashed while it is read."""

    def __init__(self, file: io.FileIO, path: str, sha256: str) -> None:
        super().__init__()
        self._file = file
        self._path = path
        self._sha256 = sha256
        self._digest = hashlib.sha256()
        # Not what was promised but what is there: the last read of a file
        # that was cut short must raise as well.
        self._left = os.fstat(file.fileno()).st_size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast('B')
        try:
            count = self._file.readinto(view) or 0
        except OSError as error:
            raise _unreadable(self._path, error) from error
        self._check(view[:count])
        return count

    def readall(self) -> bytes:
        """Read on to the end; far quicker than the base class."""
        try:
            data = self._file.readall()
        except OSError as error:
            raise _unreadable(self._path, error) from error
        self._check(data)
        return data

    def _check(self, data: bytes | memoryview) -> None:
        self._digest.update(data)
        self._left -= len(data)
        at_end = self._left <= 0 or not data
        if at_end and self._digest.hexdigest() != self._sha256:
            raise BlobCorrupt(
                f'blob {self._sha256} is damaged: {self._path}',
                'remove that file and copy it from another store',
            )

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def _unreadable(path: str, error: OSError) -> BlobUnavailable:
    return BlobUnavailable(
        f'cannot read {path}: {error.strerror}',
        'check its permissions and the disk',
    )


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
