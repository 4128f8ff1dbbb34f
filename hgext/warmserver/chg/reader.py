"""Reading what a client says, without losing what it has said too early.

A buffered file of Python's cannot tell what it has read ahead, and waits
for ever.  This one knows, and can be told how long to wait.
"""

from __future__ import annotations

import socket

_CHUNK = 65536
_LONGEST = 4096


class Reader:
    """What the client of a command server writes, as a file."""

    def __init__(self, link: socket.socket, unread: bytes = b'') -> None:
        self._link = link
        self.unread = unread

    def read(self, size: int) -> bytes:
        """Return so many bytes; fewer only when the client has hung up."""
        parts = [self.unread[:size]]
        missing = size - len(parts[0])
        self.unread = self.unread[size:]
        while missing > 0:
            part = self._link.recv(min(missing, _CHUNK))
            if not part:
                break
            parts.append(part)
            missing -= len(part)
        return b''.join(parts)

    def readline(self) -> bytes:
        """Return a line; what is not ended was not meant to be said."""
        while b'\n' not in self.unread and len(self.unread) < _LONGEST:
            part = self._link.recv(_CHUNK)
            if not part:
                return b''
            self.unread += part
        line, end, self.unread = self.unread.partition(b'\n')
        return line + end

    def close(self) -> None:
        """The connection is closed by who has opened it."""
