"""How bytes get into S3: in one request, or in parts of the same size.

An object is written only where there is none, so two writers of the same blob
never touch each other's work; the second finds it there and is content.  A
blob in parts is invisible until its last request; when that never comes, the
parts are forgotten at once or, after a kill, by :func:`leftovers`.
"""

from __future__ import annotations

import io
import itertools
import os
import random
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import IO, TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from ..core.errors import BlobUnavailable
from .s3_client import Client, code, status

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PART = 8 << 20
"""Bytes of a part; what is not larger is held in memory and sent at once."""

MOST_PARTS = 1000
"""Ten times fewer than Amazon takes, but what Swift takes."""

_AT_ONCE = 4
"""Parts on their way at the same time; they are read as they are sent."""

_TRIES = 3
_EXISTS = 412
_CONFLICT = 409
_TYPE = 'application/octet-stream'


@dataclass(frozen=True)
class Upload:
    """An object to be made: its name, and its bytes in a file."""

    key: str
    file: IO[bytes]
    size: int


@dataclass(frozen=True)
class Leftover:
    """An upload that somebody began, and has not ended for ``age`` seconds."""

    key: str
    identity: str
    age: float


def size_of(client: Client, key: str) -> int | None:
    """Return the size of an object; None when there is none."""
    try:
        return int(client.call('head_object', Key=key)['ContentLength'])
    except ClientError as error:
        if status(error) == 404:
            return None
        raise


def store(client: Client, upload: Upload, what: str) -> None:
    """Make the object unless it is there; raises BlobUnavailable."""
    replace = False
    with client.doing(what):
        for again in range(_TRIES):
            try:
                _send(client, upload, replace)
                return
            except ClientError as error:
                if status(error) not in (_EXISTS, _CONFLICT):
                    raise
            there = size_of(client, upload.key)
            if there == upload.size:
                return
            # Of another size it is damaged, and nobody's to be kept.
            replace = there is not None
            time.sleep(random.uniform(0, client.timing.pause * 2**again))
    raise BlobUnavailable(
        f'cannot {what}: others write and remove it at the same time',
        'try again',
    )


def leftovers(client: Client, form: re.Pattern[str]) -> Iterator[Leftover]:
    """Yield the unfinished uploads whose name after the prefix has a form."""
    pages = client.s3.get_paginator('list_multipart_uploads').paginate(
        Bucket=client.place.bucket, Prefix=client.place.prefix
    )
    for page in pages:
        now = _told(page)
        for one in page.get('Uploads', ()):
            if form.fullmatch(one['Key'], len(client.place.prefix)):
                age = (now - one['Initiated']).total_seconds()
                yield Leftover(one['Key'], one['UploadId'], max(0.0, age))


def forget(client: Client, key: str, identity: str) -> None:
    """Drop the parts of an unfinished upload; harmless when repeated."""
    try:
        client.call('abort_multipart_upload', Key=key, UploadId=identity)
    except ClientError as error:
        if status(error) != 404:
            raise


def _told(answer: dict[str, Any]) -> datetime:
    """Return the store's own time, since ages are counted by its clock."""
    headers = answer['ResponseMetadata']['HTTPHeaders']
    try:
        return parsedate_to_datetime(headers['date'])
    except (KeyError, ValueError):
        return datetime.now(timezone.utc)


def _send(client: Client, upload: Upload, replace: bool) -> None:
    condition = {} if replace else {'IfNoneMatch': '*'}
    if upload.size > PART:
        _in_parts(client, upload, condition)
        return
    upload.file.seek(0)
    client.call(
        'put_object',
        Key=upload.key,
        Body=upload.file.read(),
        ContentType=_TYPE,
        **condition,
    )


def _in_parts(
    client: Client, upload: Upload, condition: dict[str, str]
) -> None:
    begun = client.call(
        'create_multipart_upload', Key=upload.key, ContentType=_TYPE
    )
    its = {'Key': upload.key, 'UploadId': begun['UploadId']}

    def send(number: int, body: Slice) -> dict[str, Any]:
        sent = client.call('upload_part', **its, PartNumber=number, Body=body)
        return {'PartNumber': number, 'ETag': sent['ETag']}

    try:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            parts = list(pool.map(send, itertools.count(1), _slices(upload)))
        _complete(client, upload, its, parts, condition)
    except BaseException:
        with suppress(BotoCoreError, ClientError):
            forget(client, upload.key, begun['UploadId'])
        raise


def _complete(
    client: Client,
    upload: Upload,
    its: dict[str, str],
    parts: list[dict[str, Any]],
    condition: dict[str, str],
) -> None:
    try:
        client.call(
            'complete_multipart_upload',
            **its,
            MultipartUpload={'Parts': parts},
            **condition,
        )
    except ClientError as error:
        # The answer to the first try was lost, and a second finds it done.
        done = code(error) == 'NoSuchUpload'
        if not done or size_of(client, upload.key) != upload.size:
            raise


def _slices(upload: Upload) -> Iterator[Slice]:
    part = max(PART, -(-upload.size // MOST_PARTS))
    upload.file.flush()
    for start in range(0, upload.size, part):
        end = min(start + part, upload.size)
        yield Slice(upload.file.fileno(), start, end)


class Slice(io.RawIOBase):
    """A part of a file, which can be sent again."""

    def __init__(self, descriptor: int, start: int, end: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._start = start
        self._at = start
        self._end = end

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at - self._start

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = (self._start, self._at, self._end)[whence]
        self._at = base + offset
        return self.tell()

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast('B')[: max(0, self._end - self._at)]
        count = os.preadv(self._descriptor, [view], self._at) if view else 0
        self._at += count
        return count
