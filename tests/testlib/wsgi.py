"""Ask a WSGI application without a server."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Response:
    """What came back; ``body`` is what has been read of it so far."""

    status: str = ''
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b''

    @property
    def code(self) -> int:
        """The number of the status."""
        return int(self.status.split(' ', 1)[0])

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


def environ(
    path: str, query: str = '', method: str = 'GET', body: bytes = b''
) -> dict[str, Any]:
    """Return the environment of a request."""
    return {
        'REQUEST_METHOD': method,
        'SCRIPT_NAME': '',
        'PATH_INFO': path,
        'QUERY_STRING': query,
        'SERVER_NAME': 'mirror',
        'SERVER_PORT': '80',
        'SERVER_PROTOCOL': 'HTTP/1.1',
        'CONTENT_LENGTH': str(len(body)),
        'wsgi.url_scheme': 'http',
        'wsgi.input': io.BytesIO(body),
    }


def start(
    application: Callable[..., Iterable[bytes]], request: dict[str, Any]
) -> tuple[Response, Iterable[bytes]]:
    """Return the response and its body, of which nothing is read yet."""
    response = Response()

    def write(data: bytes) -> None:
        response.body += data

    def start_response(
        status: str, headers: list[tuple[str, str]], *_: Any
    ) -> Callable[[bytes], None]:
        response.status = status
        response.headers = dict(headers)
        return write

    return response, application(request, start_response)


def ask(
    application: Callable[..., Iterable[bytes]],
    path: str,
    query: str = '',
    method: str = 'GET',
    body: bytes = b'',
    **more: str,
) -> Response:
    """Return the whole response; ``more`` are further variables."""
    request = {**environ(path, query, method, body), **more}
    response, chunks = start(application, request)
    try:
        for chunk in chunks:
            response.body += chunk
    finally:
        if hasattr(chunks, 'close'):
            chunks.close()
    return response
