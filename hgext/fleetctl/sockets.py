"""Ports on the loopback device: is one free, which one to take, who answers.

Free ports are looked for below those that the kernel gives to outgoing
connections: those can be gone again before the server binds its own.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Collection

ADDRESS = '127.0.0.1'
_FROM, _TO = 10000, 20000
_LONGEST_ANSWER = 64 * 1024


def is_free(port: int) -> bool:
    """Tell whether a server could listen on ``port`` now."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((ADDRESS, port))
            one.listen(1)
        except OSError:
            return False
    return True


def choose(taken: Collection[int]) -> int:
    """Return a free port that is not in ``taken``; OSError when none is."""
    for port in random.sample(range(_FROM, _TO), 1000):
        if port not in taken and is_free(port):
            return port
    raise OSError(f'no free port between {_FROM} and {_TO}')


def greets(port: int, timeout: float = 1.0) -> bool:
    """Tell whether an SSH server answers on ``port``."""
    return _ask(port, b'', timeout, enough=8).startswith(b'SSH-2.0-')


def get(port: int, path: str, timeout: float = 1.0) -> int:
    """Return the status of a GET request, 0 when there is no answer."""
    request = f'GET {path} HTTP/1.0\r\nHost: {ADDRESS}:{port}\r\n\r\n'
    answer = _ask(port, request.encode(), timeout, enough=_LONGEST_ANSWER)
    words = answer.split(b' ', 2)
    if len(words) < 2 or not words[0].startswith(b'HTTP/1.'):
        return 0
    return int(words[1]) if words[1].isdigit() else 0


def _ask(port: int, request: bytes, timeout: float, enough: int) -> bytes:
    """Return what the server says, up to ``enough`` bytes; b'' if nothing."""
    answer = b''
    try:
        with socket.create_connection((ADDRESS, port), timeout) as one:
            one.sendall(request)
            while len(answer) < enough:
                more = one.recv(enough)
                if not more:
                    break
                answer += more
    except OSError:
        return b''
    return answer
