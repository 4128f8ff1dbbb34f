"""Responses of the web tier, as WSGI wants them.

A :class:`Reply` holds the headers back until the body has begun, so that a
failure until then can still become a proper answer.  A :class:`Stream` is a
body that is made while it is sent.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Generator, Iterable
from typing import Any

StartResponse = Callable[..., Any]
Header = tuple[str, str]
Head = tuple[str, list[Header]]
Whole = tuple[str, list[Header], bytes]
Chunks = Generator[bytes, None, None]

UNSTORED = ('Cache-Control', 'no-store')


class Reply:
    """A response whose headers are held back until its body has begun."""

    def __init__(self, start_response: StartResponse) -> None:
        self._start = start_response
        self._head: Head | None = None
        self._write: Callable[[bytes], None] | None = None

    @property
    def sent(self) -> bool:
        """Whether the headers are on their way."""
        return self._write is not None

    @property
    def head(self) -> Head:
        """The status and the headers."""
        assert self._head is not None
        return self._head

    def start(
        self, status: str, headers: list[Header], *_: Any
    ) -> Callable[[bytes], None]:
        """Take the headers, as WSGI's start_response does."""
        self._head = (status, headers)
        return self.write

    def write(self, data: bytes) -> None:
        """Send a part of the body at once."""
        self.send()
        assert self._write is not None
        self._write(data)

    def send(self) -> None:
        """Send the headers, if they are not sent."""
        if self._write is None and self._head is not None:
            self._write = self._start(*self._head)

    def same(self, response: Whole) -> Iterable[bytes]:
        """Send a response that was sent before."""
        *head, body = response
        self._start(*head)
        return [body]

    def whole(
        self, status: str, kind: str, body: bytes, *headers: Header
    ) -> Iterable[bytes]:
        """Send a complete response and return its body."""
        length = str(len(body))
        self._head = (
            status,
            [('Content-Type', kind), ('Content-Length', length), *headers],
        )
        self.send()
        return [body]

    def text(self, status: str, said: str, *headers: Header) -> Iterable[bytes]:
        """Send one line of text."""
        body = said.encode('utf-8', 'replace') + b'\n'
        return self.whole(status, 'text/plain; charset=utf-8', body, *headers)

    def unavailable(self, reason: str) -> Iterable[bytes]:
        """Send a refusal that is worth trying again in some seconds.

        The reason stands in the status line too: hg shows nothing else.
        """
        line = re.sub(r'[^ -~]+', ' ', reason)[:200]
        after = str(random.randint(2, 6))
        return self.text(
            f'503 {line}', reason, ('Retry-After', after), UNSTORED
        )


class Stream:
    """The body of a response; whoever serves it calls ``close``."""

    def __init__(
        self, first: bytes, rest: Chunks, done: Callable[[], None]
    ) -> None:
        self._first = first
        self._rest = rest
        self._done = done
        self._whole = False

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> bytes:
        if self._first:
            first, self._first = self._first, b''
            return first
        try:
            return next(self._rest)
        except StopIteration:
            self._whole = True
            raise

    def close(self) -> None:
        """Let go of the repository, which is reused if all went well."""
        done, self._done = self._done, _nothing
        self._rest.close()
        if self._whole:
            done()


def _nothing() -> None:
    pass
