"""A proxy for HTTP that spoils what a test tells it to spoil.

It stands before a real server and passes everything on, except where a
:class:`Fault` fits the request: that is done instead, as often as it says.
``requests`` lists what came in.  A signature stays valid, since the names of
hosts are passed on as they are.
"""

from __future__ import annotations

import http.client
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

EVERY = 1 << 30

_HOPS = frozenset({'connection', 'transfer-encoding', 'content-length'})
_SAID = '<Error><Code>{}</Code><Message>secret</Message></Error>'


@dataclass
class Fault:
    """What happens to the next ``times`` requests that fit.

    A request fits by its ``method`` and by ``inside``, a part of its target;
    a HEAD is not a GET.  ``at`` is the byte of the body where it happens.

    refuse      the connection is closed, and nothing reaches the server
    status      the server is said to answer ``at`` and ``code``, and not asked
    forget      the server does it, and the connection is closed unanswered
    cut         the answer's body ends early
    late        the server is asked ``at`` milliseconds later
    hush        the answer's body goes on no more, and nothing is closed
    flip        the answer's body has a wrong byte
    shorten     the answer is that of an object that has only ``at`` bytes
    restart     the answer does not say which range it is
    spoil       the body has a wrong byte when it reaches the server
    """

    kind: str
    at: int = 0
    method: str = 'GET'
    inside: str = ''
    times: int = 1
    code: str = 'SlowDown'

    def fits(self, method: str, target: str) -> bool:
        """Tell whether it is to happen to a request."""
        return (
            self.times > 0 and self.method == method and self.inside in target
        )


class FaultProxy:
    """A proxy for the server that listens on a port of this machine."""

    def __init__(self, port: int) -> None:
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str, str]] = []
        self._lock = threading.Lock()
        self._server = _Server(('127.0.0.1', 0), _Handler)
        self._server.proxy = self
        self._server.behind = port
        self._server.ending = threading.Event()
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,)
        )

    @property
    def endpoint(self) -> str:
        """The URL to use instead of the server's."""
        return f'http://127.0.0.1:{self._server.server_port}'

    def start(self) -> None:
        """Accept connections."""
        self._thread.start()

    def stop(self) -> None:
        """Let go of every connection, and listen no more."""
        if self._server.ending.is_set():
            return
        self._server.ending.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def count(self, method: str, inside: str = '') -> int:
        """Return how many requests of a kind came in."""
        return sum(
            one[0] == method and inside in one[1] for one in self.requests
        )

    def take(self, method: str, target: str, asked: str) -> Fault:
        """Note a request; return what is to happen to it."""
        with self._lock:
            self.requests.append((method, target, asked))
            for fault in self.faults:
                if fault.fits(method, target):
                    fault.times -= 1
                    return fault
        return Fault('pass')


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    proxy: FaultProxy
    behind: int
    ending: threading.Event

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing about clients that hang up."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        """Keep no log."""

    def _handle(self) -> None:
        fault = self.server.proxy.take(
            self.command, self.path, self.headers.get('Range', '')
        )
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        if fault.kind == 'refuse':
            self.close_connection = True
            return
        if fault.kind == 'status':
            self._say(fault.at, {}, _SAID.format(fault.code).encode())
            return
        if fault.kind == 'late':
            self.server.ending.wait(fault.at / 1000)
        if fault.kind == 'spoil':
            body = _flipped(body, fault.at)
        headers = dict(self.headers.items())
        headers.pop('Expect', None)
        behind = http.client.HTTPConnection('127.0.0.1', self.server.behind)
        try:
            behind.request(self.command, self.path, body, headers)
            answer = behind.getresponse()
            data = answer.read()
            if fault.kind == 'forget':
                self.close_connection = True
            else:
                self._pass_on(answer, data, fault)
        finally:
            behind.close()

    def _pass_on(
        self, answer: http.client.HTTPResponse, data: bytes, fault: Fault
    ) -> None:
        headers = {
            name: value
            for name, value in answer.getheaders()
            if name.lower() not in _HOPS
        }
        if self.command == 'HEAD':
            headers['Content-Length'] = answer.getheader('Content-Length', '0')
        if fault.kind == 'flip' and data:
            data = _flipped(data, fault.at)
        if fault.kind == 'shorten':
            data = data[: fault.at]
        stop = fault.at if fault.kind in ('cut', 'hush') else len(data)
        if fault.kind == 'restart':
            headers.pop('Content-Range', None)
        self._say(answer.status, headers, data, stop)
        if stop < len(data):
            self.close_connection = True
            if fault.kind == 'hush':
                self.server.ending.wait()

    def _say(
        self,
        status: int,
        headers: dict[str, str],
        data: bytes,
        stop: int | None = None,
    ) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if 'Content-Length' not in headers and status != 204:
            self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(data[:stop])

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle


def _flipped(data: bytes, at: int) -> bytes:
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
