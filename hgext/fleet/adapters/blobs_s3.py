"""The blob store in a bucket of S3, or of anything that speaks like it.

    [fleet]
    blobs = s3://bucket/prefix?endpoint=https://s3.example.org

``s3_place.py`` has the URL.  The blob whose SHA-256 is ``abcd…`` is the object
``prefix/ab/cd…``, as in a folder of blobs, so one can be copied to the other,
and the bucket can be served to everybody as it is.

The name of a blob is known when its last byte is.  Up to 8 MiB are held in
memory; more goes through a file without a name in ``$TMPDIR`` or
``/var/tmp``, which must have room for the blob.  What is already stored is not
sent again.  An upload that a kill cut off is invisible, and is dropped after
a day, before the next large blob.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, BinaryIO

from ..core.errors import BlobUnavailable
from ..ports import Blob
from . import s3_upload
from .s3_client import USUAL, Client, Timing
from .s3_place import parse
from .s3_read import Streamed
from .s3_upload import PART, Leftover, Upload

STALE = 24 * 3600.0
"""Seconds after which an unfinished upload is nobody's."""

LONGEST = 7 * 24 * 3600
"""Seconds that a presigned URL may be valid."""

_SHA256 = re.compile('[0-9a-f]{64}')
_NAME = re.compile('([0-9a-f]{2})/([0-9a-f]{62})')
_BUFFER = 128 << 10
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class S3Blobs:
    """The blobs at ``s3://`` followed by ``place``."""

    def __init__(self, place: str, timing: Timing = USUAL) -> None:
        self._place = parse(place)
        self._client = Client(self._place, timing)
        self._swept = False

    def put(self, chunks: Iterable[bytes]) -> Blob:
        """Store the bytes durably, never holding all of them in memory.

        Raises BlobUnavailable; whatever ``chunks`` raises passes through.
        Either way nothing is left behind.
        """
        with _spool() as file:
            blob = _copy(chunks, file)
            key = self._place.key(blob.sha256)
            what = f'store blob {blob.sha256} ({self._place.url(key)})'
            if blob.size > PART:
                self._sweep_once()
                if self._size(blob.sha256, what) == blob.size:
                    return blob
            s3_upload.store(self._client, Upload(key, file, blob.size), what)
        return blob

    def open(self, sha256: str) -> BinaryIO:
        """Open a blob for reading from its start to its end.

        Raises BlobUnavailable.  The read that reaches the end of a damaged
        blob raises BlobCorrupt.
        """
        _demand(sha256)
        return io.BufferedReader(Streamed(self._client, sha256), _BUFFER)

    def has(self, sha256: str) -> bool:
        """Tell whether the blob is stored; raises BlobUnavailable."""
        if not _SHA256.fullmatch(sha256):
            return False
        return self._size(sha256, self._about('look for', sha256)) is not None

    def remove(self, sha256: str) -> None:
        """Forget a blob; harmless when it is not stored."""
        if not _SHA256.fullmatch(sha256):
            return
        with self._client.doing(self._about('remove', sha256)):
            self._client.call('delete_object', Key=self._place.key(sha256))

    def names(self) -> Iterator[str]:
        """Yield the SHA-256 of every stored blob, in no order."""
        with self._client.doing(f'list the blobs in {self._place.url()}'):
            pages = self._client.s3.get_paginator('list_objects_v2').paginate(
                Bucket=self._place.bucket, Prefix=self._place.prefix
            )
            for page in pages:
                for one in page.get('Contents', ()):
                    key = one['Key']
                    name = _NAME.fullmatch(key, len(self._place.prefix))
                    if name:
                        yield name[1] + name[2]

    def presign(self, sha256: str, seconds: int) -> str:
        """Return a URL at which anybody can read the blob for some time.

        It ends earlier when the credentials do.  Nothing is asked of the
        store, so the blob may be missing.
        """
        _demand(sha256)
        if not 0 < seconds <= LONGEST:
            raise ValueError(f'{seconds} is not between 1 and {LONGEST}')
        with self._client.doing(self._about('sign a URL of', sha256)):
            return str(
                self._client.s3.generate_presigned_url(
                    'get_object',
                    Params={
                        'Bucket': self._place.bucket,
                        'Key': self._place.key(sha256),
                    },
                    ExpiresIn=seconds,
                )
            )

    def leftovers(self) -> list[Leftover]:
        """List the uploads of blobs that are under way or were cut off."""
        with self._client.doing(f'list uploads in {self._place.url()}'):
            return list(s3_upload.leftovers(self._client, _NAME))

    def sweep(self, older_than: float) -> int:
        """Drop what was begun that many seconds ago; return how many."""
        old = [one for one in self.leftovers() if one.age >= older_than]
        for one in old:
            with self._client.doing(f'drop {self._place.url(one.key)}'):
                s3_upload.forget(self._client, one.key, one.identity)
        return len(old)

    def _sweep_once(self) -> None:
        if not self._swept:
            self._swept = True
            # To store blobs it need not be allowed, nor work.
            with suppress(BlobUnavailable):
                self.sweep(STALE)

    def _size(self, sha256: str, what: str) -> int | None:
        with self._client.doing(what):
            return s3_upload.size_of(self._client, self._place.key(sha256))

    def _about(self, verb: str, sha256: str) -> str:
        url = self._place.url(self._place.key(sha256))
        return f'{verb} blob {sha256} ({url})'


def _demand(sha256: str) -> None:
    if not _SHA256.fullmatch(sha256):
        raise BlobUnavailable(
            f'{sha256[:80]!r} is not the name of a blob',
            'whoever asks for it is damaged',
        )


def _room() -> str:
    """Return the folder of temporary files that is not made of memory."""
    return os.environ.get('TMPDIR') or '/var/tmp'


@contextmanager
def _spooling() -> Iterator[None]:
    """Rename the errors of the temporary file."""
    try:
        yield
    except OSError as error:
        full = error.errno in _FULL
        raise BlobUnavailable(
            f'cannot store a blob: {error.strerror} in {_room()}',
            'make room for a copy of the blob there'
            if full
            else 'let this user write there, or set TMPDIR',
        ) from error


@contextmanager
def _spool() -> Iterator[IO[bytes]]:
    """Give a file that is in memory while it is small, and is thrown away."""
    file = tempfile.SpooledTemporaryFile(PART, dir=_room())  # noqa: SIM115
    try:
        yield file
    finally:
        # What a full disk did not take is nobody's any more.
        with suppress(OSError):
            file.close()


def _copy(chunks: Iterable[bytes], file: IO[bytes]) -> Blob:
    digest = hashlib.sha256()
    size = 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
        with _spooling():
            file.write(chunk)
    with _spooling():
        file.flush()
    return Blob(digest.hexdigest(), size)
