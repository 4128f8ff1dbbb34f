"""What is recorded of a request over HTTP, around the web tier.

A request ends when the server has passed on the whole of the answer, or has
given up.  One that speaks the wire protocol is one command, which takes as
long as the request does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..fleet import web, website
from ..fleet.core.errors import FleetError
from ..fleet.webreply import StartResponse
from .record import Recorder, Span, Tally, new_session


class Recorded:
    """A WSGI application, of which the requests are recorded.

    ``named`` tells which repository a path is in, if any.
    """

    def __init__(
        self,
        serve: web.Wsgi,
        named: Callable[[str], str | None],
        recorder: Recorder,
    ) -> None:
        self._serve = serve
        self._named = named
        self._recorder = recorder

    def __call__(
        self, environ: Any, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Answer one request, as WSGI has it."""
        try:
            repo = self._named(environ.get('PATH_INFO', ''))
        except FleetError:
            repo = None  # this is for the application to say
        if repo is None:
            return self._serve(environ, start_response)
        request = _Request(self._recorder, environ, repo, start_response)
        try:
            return _Body(self._serve(environ, request.start), request)
        except BaseException:
            request.end(failed=True)
            raise


class _Request:
    """A request that is being answered."""

    def __init__(
        self,
        recorder: Recorder,
        environ: Any,
        repo: str,
        start_response: StartResponse,
    ) -> None:
        self._start = start_response
        self._status = ''
        self.tally = Tally()
        fields = {
            'session': new_session(),
            'door': 'http',
            'repo': repo,
            'method': environ.get('REQUEST_METHOD', ''),
            'path': environ.get('PATH_INFO', ''),
        }
        command = web.asked(environ)
        if not website.speaks(command):
            command = ''
        outer = {**fields, 'command': command}
        named = [('request', fields), ('command', outer)]
        # A request is answered by one thread, from its start to its end.
        self._spans = [
            Span(recorder, what, its, self.tally, time.thread_time)
            for what, its in named[: 2 if command else 1]
        ]
        length = environ.get('CONTENT_LENGTH') or ''
        self.tally.read = int(length) if length.isdecimal() else 0

    def start(self, status: str, *rest: Any) -> Callable[[bytes], Any]:
        """Take note of the status, as WSGI's start_response does."""
        self._status = status[:3]
        write = self._start(status, *rest)

        def counted(data: bytes) -> Any:
            self.tally.written += len(data)
            return write(data)

        return counted

    def end(self, **more: Any) -> None:
        """Write the last lines, once."""
        spans, self._spans = self._spans, []
        if self._status:
            more['status'] = int(self._status)
        for span in reversed(spans):
            span.end(**more)


class _Body:
    """The body of an answer; whoever serves it calls ``close``."""

    def __init__(self, chunks: Iterable[bytes], request: _Request) -> None:
        self._chunks = chunks
        self._request = request
        self._tally = request.tally
        self._whole = False

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._tally.written += len(chunk)
            yield chunk
        self._whole = True

    def close(self) -> None:
        """End the answer; it has failed if it is not whole."""
        try:
            close = getattr(self._chunks, 'close', None)
            if close is not None:
                close()
        finally:
            self._request.end(**({} if self._whole else {'failed': True}))
