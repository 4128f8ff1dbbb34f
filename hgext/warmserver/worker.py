"""The child that is one session.

It finds out whether it may serve at all before it touches anything of the
client's.  From there on it becomes what the forced command would have become
by executing ``hg pash::session``: with that environment, umask and folder,
those descriptors, a configuration read anew, and a command line that
Mercurial dispatches, with its own handling of errors.
"""

from __future__ import annotations

import array
import os
import random
import signal
import socket
from contextlib import suppress
from typing import Any

from mercurial import dispatch, encoding
from mercurial.utils import procutil

from fleetpash import pash

from ..fleet import compat, edge
from . import request
from .fresh import Marks
from .request import EXIT, GO, LARGEST, NO, READY, Nonsense, Request

STALE = 111
BROKEN = 70  # EX_SOFTWARE of sysexits.h
_PATIENCE = 5.0
_STANDARD = 3


def serve(ui: Any, link: socket.socket, marks: Marks, hgrc: bytes) -> int:
    """Serve one session; return the exit code of this process."""
    link.settimeout(_PATIENCE)
    try:
        asked, descriptors = _receive(link)
    except (Nonsense, OSError) as problem:
        _decline(link, f'{problem}')
        return 0
    path = marks.changed()
    if path is not None:
        _decline(link, f'{os.fsdecode(path)} has changed')
        ui.status(b'%s has changed: starting anew\n' % path)
        ui.flush()
        return STALE
    try:
        link.sendall(READY)
        if link.recv(len(GO)) != GO:
            return 0
    except OSError:
        # It has gone on without us.
        return 0
    status = BROKEN
    try:
        _become(asked, descriptors, hgrc)
        status = _session(asked.user)
    finally:
        _hang_up(link, status)
    return 0


def _receive(link: socket.socket) -> tuple[Request, list[int]]:
    size = socket.CMSG_SPACE(_STANDARD * array.array('i').itemsize)
    packet, extra, flags, _from = link.recvmsg(LARGEST + 1, size)
    received = array.array('i')
    for level, kind, data in extra:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            received.frombytes(
                data[: len(data) - len(data) % received.itemsize]
            )
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC) or len(packet) > LARGEST:
        raise Nonsense('the packet is too large')
    if len(received) != _STANDARD:
        raise Nonsense('three descriptors belong to a request')
    return request.decode(packet), list(received)


def _decline(link: socket.socket, reason: str) -> None:
    with suppress(OSError):
        link.sendall(NO + reason.encode(errors='replace')[:500])


def _become(asked: Request, descriptors: list[int], hgrc: bytes) -> None:
    """Take on what sshd has given to the forced command."""
    for one in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(one, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    outer = {**asked.kept, b'SSH_ORIGINAL_COMMAND': asked.command}
    encoding.environ.clear()
    encoding.environ.update(pash.environment(os.fsdecode(hgrc), outer))
    os.umask(asked.umask)
    os.chdir('/')
    # Numbers that a fork must not have in common with its siblings.
    random.seed()


def _session(user: str) -> int:
    """Do what ``hg pash::session -- USER`` does; return its exit code."""
    words = [b'pash::session', b'--', edge.local(user)]
    status: int = dispatch.dispatch(compat.request(words))
    return status & 255


def _hang_up(link: socket.socket, status: int) -> None:
    for stream in (procutil.stdout, procutil.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    # The client is told the end by sshd, which waits for these as well.
    for number in range(_STANDARD):
        with suppress(OSError):
            os.close(number)
    with suppress(OSError):
        link.sendall(EXIT + b'%d' % status)
