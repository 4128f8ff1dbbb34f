"""Somebody who means ill to a warm server: run as a program by ``hostile``.

    python tests/faults/abuser.py KIND SOCKET COUNT SEED

It says ``begun`` when it is at it, and goes on until it is killed.  KIND is
one of ``WAYS``.
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import socket
import sys
import time
from collections.abc import Callable

from hgext3rd.fleet.adapters import unixsocket
from hgext3rd.warmserver.request import GO, Request, encode

_REQUEST = encode(Request(0o022, 'ann', b'hg -R open/demo serve --stdio', {}))
_BREATH = 0.01


class Crowd:
    """Connections to the socket, as many as are wanted at a time."""

    def __init__(self, path: str, count: int, chance: random.Random) -> None:
        self.path = path
        self.count = count
        self.chance = chance
        self.links: list[socket.socket] = []
        self.null = [os.open(os.devnull, os.O_RDWR) for _each in range(3)]
        # A session that nobody will ever say anything to.
        self.mute = os.pipe()[0]

    def link(self) -> socket.socket | None:
        """Return a new connection, None if nobody takes it now."""
        one = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        one.setblocking(False)
        try:
            unixsocket.connect(one, self.path)
        except OSError:
            one.close()
            return None
        self.links.append(one)
        return one

    def forget(self) -> None:
        """Let go of connections that the server has closed."""
        left = []
        for one in self.links:
            if _is_over(one):
                one.close()
            else:
                left.append(one)
        self.links = left

    def fill(self, act: Callable[[socket.socket], None]) -> None:
        """Have as many connections as wanted, as far as they are taken."""
        while len(self.links) < self.count:
            one = self.link()
            if one is None:
                break
            with contextlib.suppress(OSError):
                act(one)

    def ask(self, one: socket.socket) -> None:
        """Ask for a session, properly."""
        descriptors = [self.mute, *self.null[1:]]
        socket.send_fds(one, [_REQUEST], descriptors)


def _is_over(one: socket.socket) -> bool:
    try:
        return not one.recv(1 << 16)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _silent(_crowd: Crowd, _one: socket.socket) -> None:
    pass


def _half(crowd: Crowd, one: socket.socket) -> None:
    size = crowd.chance.randrange(1, len(_REQUEST))
    one.send(_REQUEST[:size])


def _rubbish(crowd: Crowd, one: socket.socket) -> None:
    data = crowd.chance.randbytes(crowd.chance.choice((1, 50, 5000, 65000)))
    some = crowd.null * crowd.chance.choice((0, 1, 2, 30))
    socket.send_fds(one, [data], some)


def _waits(crowd: Crowd, one: socket.socket) -> None:
    """Ask, and never say that it may begin."""
    crowd.ask(one)


def _idle(crowd: Crowd, one: socket.socket) -> None:
    """Have a session, and say nothing in it."""
    crowd.ask(one)
    one.settimeout(10)
    with contextlib.suppress(OSError):
        one.recv(100)
        one.send(GO)
    one.setblocking(False)


WAYS = {
    'silent': _silent,
    'half': _half,
    'rubbish': _rubbish,
    'waits': _waits,
    'idle': _idle,
}


def main(kind: str, path: str, count: int, seed: str) -> None:
    """Go on until killed."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    crowd = Crowd(path, min(count, hard - 50), random.Random(seed))
    way = WAYS[kind]
    crowd.fill(lambda one: way(crowd, one))
    print('begun', flush=True)
    while True:
        crowd.forget()
        crowd.fill(lambda one: way(crowd, one))
        time.sleep(_BREATH)


if __name__ == '__main__':
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
