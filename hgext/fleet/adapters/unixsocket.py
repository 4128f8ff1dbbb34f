"""Unix sockets: addresses of any length, safe names, and who is there.

The kernel takes addresses of 107 bytes, but folders may be deep: a longer
path is reached by way of its open folder.
"""

from __future__ import annotations

import os
import select
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# Some systems take less than Linux does.
_LONGEST_ADDRESS = 100
_CREDENTIALS = struct.Struct('iII')


@contextmanager
def opened(folder: str) -> Iterator[int]:
    """Open a folder for a while; raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def address(path: str, folder: int) -> str:
    """Return a path to the socket that is short enough for one.

    ``folder`` is the open folder that the socket is in.
    """
    if len(os.fsencode(path)) <= _LONGEST_ADDRESS:
        return path
    return f'/proc/self/fd/{folder}/{os.path.basename(path)}'


def connect(link: socket.socket, path: str) -> None:
    """Connect to the socket at ``path``; raises OSError."""
    with opened(os.path.dirname(path)) as folder:
        link.connect(address(path, folder))


def hung_up(link: socket.socket) -> bool:
    """Tell whether the other end is closed."""
    looked = select.poll()
    looked.register(link, 0)
    return any(event & select.POLLHUP for _link, event in looked.poll(0))


def listen(
    path: str, backlog: int, kind: int = socket.SOCK_STREAM
) -> socket.socket:
    """Return a socket that listens at ``path``, for this user alone.

    It appears there complete, in place of what a killed process has left.
    Only one process at a time may do this.  Raises OSError.
    """
    draft = f'{path}.new'
    with suppress(FileNotFoundError):
        os.unlink(draft)
    listener = socket.socket(socket.AF_UNIX, kind)
    try:
        with opened(os.path.dirname(path)) as folder:
            listener.bind(address(draft, folder))
        # Before it listens nobody can connect.
        os.chmod(draft, 0o600)
        listener.listen(backlog)
        os.rename(draft, path)
    except BaseException:
        listener.close()
        raise
    return listener


def user(link: socket.socket) -> int:
    """Return the number of the user who is at the other end."""
    data = link.getsockopt(
        socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size
    )
    _pid, uid, _gid = _CREDENTIALS.unpack(data)
    return int(uid)
