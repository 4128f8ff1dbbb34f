"""What the forced command asks of the warm server: one packet.

The socket is of the type SOCK_SEQPACKET, so a packet arrives whole or not
at all.  What is said on it, in turn::

    forced command   hgfleet 1 NUL umask NUL user NUL command
                     { NUL name = value }        with descriptors 0, 1, 2
    server           no REASON                   and hangs up, or: ready
    forced command   go
    server           exit STATUS                 when the session has ended

An administrator's commands are packets as well: ``hgfleet status``, answered
with JSON, and ``hgfleet reload`` and ``hgfleet stop``, answered with ``ok``.

``umask`` is in octal, and the names are those of ``KEPT``, and ``HGRCPATH``:
the configuration that the session is to have.  As long as the
forced command has not said ``go`` it may hang up and become the session
itself: nobody has touched its descriptors.  ``pash.py``, which can import
nothing, has the same words written down a second time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SOCKET = 'warm.sock'
"""The name of the socket in the folder ``fleet.state``."""

LARGEST = 60000
"""The most bytes that a packet may have."""

MAGIC = b'hgfleet 1'
READY, GO, NO, EXIT = b'ready', b'go', b'no ', b'exit '
STATUS, RELOAD, STOP = b'hgfleet status', b'hgfleet reload', b'hgfleet stop'
CONTROLS = frozenset({STATUS, RELOAD, STOP})
DONE = b'ok'
KEPT = frozenset({b'HOME', b'SSH_CLIENT', b'SSH_CONNECTION'})
_HGRC = b'HGRCPATH'


class Nonsense(ValueError):
    """A packet that is no request."""


@dataclass(frozen=True)
class Request:
    """One session: whose, what for, and what sshd has said of it."""

    umask: int
    user: str
    command: bytes
    kept: Mapping[bytes, bytes]
    hgrc: bytes = b''
    """The file of configuration; empty if that is for the server to say."""


def decode(packet: bytes) -> Request:
    """Return the request; raises Nonsense when it is none."""
    magic, *fields = packet.split(b'\0')
    if magic != MAGIC or len(fields) < 3:
        raise Nonsense('not a request of this version')
    umask, user, command, *variables = fields
    kept = {}
    for variable in variables:
        name, equals, value = variable.partition(b'=')
        if name not in {*KEPT, _HGRC} or not equals or name in kept:
            raise Nonsense(f'the variable {name!r} is not passed on')
        kept[name] = value
    if not 1 <= len(umask) <= 4 or not set(umask) <= set(b'01234567'):
        raise Nonsense(f'the umask {umask!r} is no octal number')
    if int(umask, 8) > 0o777:
        raise Nonsense(f'the umask {umask!r} is too large')
    return Request(
        umask=int(umask, 8),
        user=user.decode(errors='surrogateescape'),
        command=command,
        hgrc=kept.pop(_HGRC, b''),
        kept=kept,
    )


def encode(request: Request) -> bytes:
    """Return the packet that ``decode`` reads as ``request``."""
    hgrc = {_HGRC: request.hgrc} if request.hgrc else {}
    fields = [
        MAGIC,
        b'%o' % request.umask,
        request.user.encode(errors='surrogateescape'),
        request.command,
        *(b'%s=%s' % item for item in {**request.kept, **hgrc}.items()),
    ]
    return b'\0'.join(fields)
