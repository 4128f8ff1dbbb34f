"""A blob on S3 as a file that is read once, from its start to its end.

Nothing but a buffer is in memory.  When the connection breaks, another
request goes on at the byte where it broke, a few times.  The bytes are hashed
on their way, so whatever was sent by whichever request, the read that reaches
the end of a damaged blob raises BlobCorrupt.
"""

from __future__ import annotations

import hashlib
import io
import random
import re
import time
from typing import TYPE_CHECKING, Any

from ..core.errors import BlobCorrupt, BlobUnavailable
from .s3_client import CUT, Client, unavailable

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_CHUNK = 1 << 20
_RANGE = re.compile(r'bytes (\d+)-(\d+)/(\d+)')


class Streamed(io.RawIOBase):
    """The bytes of the blob ``sha256``, as they come in.

    Making it sends the first request; raises BlobUnavailable.
    """

    def __init__(self, client: Client, sha256: str) -> None:
        super().__init__()
        self._client = client
        self._sha256 = sha256
        self._key = client.place.key(sha256)
        self._what = f'read blob {sha256} ({client.place.url(self._key)})'
        self._digest = hashlib.sha256()
        self._at = 0
        self._resumes = 0
        with client.doing(self._what):
            answer = client.call('get_object', Key=self._key)
        self._body: Any = answer['Body']
        if 'ContentLength' not in answer:
            self._body.close()
            raise BlobUnavailable(
                f'cannot {self._what}: its size is not told',
                'see whether what answers there is S3',
            )
        # Not what was promised but what is there: the last read of a blob
        # that was cut short must raise as well.
        self._size = int(answer['ContentLength'])

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast('B')[: self._size - self._at]
        count = self._receive(view) if view else 0
        self._digest.update(view[:count])
        self._at += count
        if self._at == self._size:
            self._check()
        return count

    def readall(self) -> bytes:
        """Read on to the end; far quicker than the base class."""
        return b''.join(iter(lambda: self.read(_CHUNK) or b'', b''))

    def close(self) -> None:
        if not self.closed and hasattr(self, '_body'):
            self._body.close()
        super().close()

    def _receive(self, view: memoryview) -> int:
        """Fill the buffer, at least a byte of it, from some connection."""
        while True:
            try:
                return int(self._body.readinto(view))
            except CUT as error:
                self._body.close()
                if self._resumes >= self._client.timing.resumes:
                    raise unavailable(self._what, error) from error
                self._resumes += 1
                self._pause()
                self._resume()

    def _resume(self) -> None:
        """Ask for the rest."""
        with self._client.doing(self._what):
            answer = self._client.call(
                'get_object', Key=self._key, Range=f'bytes={self._at}-'
            )
        self._body = answer['Body']
        said = _RANGE.fullmatch(answer.get('ContentRange', ''))
        wanted = (self._at, self._size - 1, self._size)
        if said is None or tuple(map(int, said.groups())) != wanted:
            raise BlobUnavailable(
                f'cannot {self._what}: the connection broke, and the store '
                f'does not go on at byte {self._at}',
                'read it again from its start',
            )

    def _pause(self) -> None:
        longest = self._client.timing.pause * 2**self._resumes
        time.sleep(random.uniform(0, min(longest, 5.0)))

    def _check(self) -> None:
        if self._digest.hexdigest() != self._sha256:
            raise BlobCorrupt(
                f'blob {self._sha256} is damaged: '
                f'{self._client.place.url(self._key)}',
                'read it again; if it stays damaged, remove that object and '
                'copy it from another store',
            )
