"""Wake other processes of this machine when something has been written.

Who waits binds a datagram socket in a common folder (its *bell*); who has
written sends one byte to every socket there.  Nobody polls, an idle waiter
costs nothing, and a ring takes some microseconds per waiter.

A ring is only a hint.  It may be lost (another user's bell, a folder on a
file system without sockets), so a waiter looks for itself before it listens
and again at least every second; where no bell can be hung, every 50 ms.
A bell whose owner was killed is taken down by the next ring.
"""

from __future__ import annotations

import os
import socket
import stat
import time
from contextlib import suppress

from .unixsocket import address, opened

HEARING = 1.0
"""Seconds after which a waiter looks for itself although no bell rang."""

DEAF = 0.05
"""The same for a waiter that could not hang its bell."""


class Doorbell:
    """The bells in one folder, and this process's own among them."""

    def __init__(self, folder: str) -> None:
        self._folder = os.path.abspath(folder)
        self._name = ''
        self._bell: socket.socket | None = None

    def hang(self) -> bool:
        """Hang this process's bell, unless it hangs; return whether it does.

        Must come before the look at what one waits for: a write after this
        is heard.
        """
        if self._bell is not None:
            if os.path.exists(os.path.join(self._folder, self._name)):
                return True
            self.close()
        name = f'{os.getpid()}-{os.urandom(4).hex()}'
        bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            with suppress(FileExistsError):
                os.mkdir(self._folder)
            with opened(self._folder) as folder:
                bell.bind(address(os.path.join(self._folder, name), folder))
        except OSError:
            bell.close()
            return False
        self._name, self._bell = name, bell
        return True

    def hush(self) -> None:
        """Forget the rings so far."""
        if self._bell is None:
            return
        self._bell.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                self._bell.recv(1)

    def listen(self, seconds: float) -> None:
        """Return at a ring, or when it is time to look, or after seconds."""
        if self._bell is None:
            time.sleep(min(seconds, DEAF))
            return
        self._bell.settimeout(max(min(seconds, HEARING), 0.001))
        with suppress(TimeoutError):
            self._bell.recv(1)

    def ring(self) -> None:
        """Ring every bell but one's own; never fails."""
        with (
            suppress(OSError),
            opened(self._folder) as folder,
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hand,
        ):
            hand.setblocking(False)
            for name in os.listdir(folder):
                if name != self._name:
                    self._push(hand, folder, name)

    def _push(self, hand: socket.socket, folder: int, name: str) -> None:
        try:
            path = os.path.join(self._folder, name)
            hand.sendto(b'!', address(path, folder))
        except ConnectionRefusedError:
            _take_down(folder, name)
        except OSError:
            # Its queue is full (so it rings already), or it has just gone,
            # or it is not for us to ring.
            pass

    def close(self) -> None:
        """Take one's own bell down; harmless when repeated."""
        if self._bell is not None:
            self._bell.close()
            self._bell = None
            with suppress(OSError):
                os.unlink(os.path.join(self._folder, self._name))
            self._name = ''


def _take_down(folder: int, name: str) -> None:
    with suppress(OSError):
        if stat.S_ISSOCK(os.lstat(name, dir_fd=folder).st_mode):
            os.unlink(name, dir_fd=folder)
