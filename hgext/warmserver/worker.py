"""The child that is one session.

It may have been forked for a request that is there already, or ahead of any:
then it rehearses, says so, and waits to be given a connection.  In either
case it serves one, says what has become of it, and ends.

It becomes what the forced command would have become by executing ``hg
pash::session``: with that environment, umask and folder, those descriptors,
a configuration read anew, and a command line that Mercurial dispatches, with
its own handling of errors.
"""

from __future__ import annotations

import array
import os
import random
import signal
import socket
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mercurial import dispatch, encoding, extensions
from mercurial.utils import procutil

from fleetpash import grammar, pash

from ..fleet import compat, edge
from . import limits, rehearsal, report, request, shelf
from .limits import Limits
from .report import Report
from .request import EXIT, GO, LARGEST, NO, READY, Nonsense, Request
from .shelf import Shelf

BROKEN = 70  # EX_SOFTWARE of sysexits.h
REHEARSED = b'rehearsed'
_PATIENCE = 5.0
_STANDARD = 3


@dataclass(frozen=True)
class Setup:
    """What every worker of a server has in common."""

    ui: Any
    hgrc: bytes
    limits: Limits
    practice: str
    """The repository that rehearsals are given."""

    shelf: Shelf


def live(setup: Setup, leash: socket.socket, link: socket.socket | None) -> int:
    """Be a worker; return the exit code of this process.

    ``leash`` leads to the server, ``link`` to the client if there is one.
    """
    try:
        return _live(setup, leash, link)
    except BaseException:
        # Neither to the client, nor to where descriptors lead by now.
        last = traceback.format_exc()[-report.LONGEST :]
        _say(leash, Report(report.KILLED, detail=last))
        raise


def _live(
    setup: Setup, leash: socket.socket, link: socket.socket | None
) -> int:
    _settle()
    limits.apply(setup.limits)
    if link is None:
        rehearsal.blind()
        enter(setup.hgrc, {b'SSH_ORIGINAL_COMMAND': b'help'})
        rehearsal.rehearse(setup.ui, setup.practice)
        leash.sendall(REHEARSED)
        link = _given(leash)
        if link is None:
            return 0
    _say(leash, _serve(setup, link, leash))
    return 0


def _say(leash: socket.socket, said: Report) -> None:
    with suppress(OSError):
        leash.sendall(report.encode(said))


def give(leash: socket.socket, link: socket.socket) -> None:
    """Give a connection to the worker at the other end; raises OSError."""
    socket.send_fds(leash, [GO], [link.fileno()])


def _given(leash: socket.socket) -> socket.socket | None:
    packet, descriptors, _flags, _from = socket.recv_fds(leash, len(GO), 1)
    if packet != GO or len(descriptors) != 1:
        return None
    # It is not for what a session starts.
    os.set_inheritable(descriptors[0], False)
    return socket.socket(fileno=descriptors[0])


def _settle() -> None:
    """Take back what the server does with signals."""
    signal.set_wakeup_fd(-1)
    for one in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(one, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _serve(setup: Setup, link: socket.socket, leash: socket.socket) -> Report:
    """Serve one session; return what has become of it."""
    link.settimeout(_PATIENCE)
    try:
        asked, descriptors = _receive(link)
    except (Nonsense, OSError) as problem:
        decline(link, f'{problem}')
        return Report(report.NONSENSE, detail=f'{problem}')
    if not _is_same(asked.hgrc, setup.hgrc):
        said = f'the forced command names {os.fsdecode(asked.hgrc)}'
        decline(link, said)
        return Report(report.STALE, asked.user, detail=said)
    try:
        link.sendall(READY)
        if link.recv(len(GO)) != GO:
            raise ConnectionAbortedError
    except OSError:
        return Report(report.LEFT, asked.user)
    repo = _repo(asked)
    # In case that it never says anything else.
    _say(leash, Report(report.KILLED, asked.user, repo))
    status = BROKEN
    try:
        _become(asked, descriptors, setup)
        status = _session(asked.user)
    finally:
        _hang_up(link, status)
    detail = report.BORROWED if shelf.lent() else ''
    return Report(report.SERVED, asked.user, repo, status, detail)


def _is_same(asked: bytes, ours: bytes) -> bool:
    """Tell whether a session would be configured by what the server is."""
    if asked in (b'', ours):
        return True
    try:
        return os.path.samefile(asked, ours)
    except OSError:
        return False


def _repo(asked: Request) -> str:
    match grammar.parse(edge.text(asked.command)):
        case grammar.Serve(repo):
            return repo
    return ''


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


def decline(link: socket.socket, reason: str) -> None:
    """Have the forced command go on without the server."""
    with suppress(OSError):
        link.sendall(NO + reason.encode(errors='replace')[:500])


def _become(asked: Request, descriptors: list[int], setup: Setup) -> None:
    """Take on what sshd has given to the forced command."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    enter(setup.hgrc, {**asked.kept, b'SSH_ORIGINAL_COMMAND': asked.command})
    chosen = setup.limits.umask
    os.umask(asked.umask if chosen is None else chosen)
    _settle()
    # Numbers that a fork must not have in common with its siblings.
    random.seed()
    _forget_failed()
    shelf.lends(setup.shelf)


def _forget_failed() -> None:
    """Try again to load what could not be loaded, and complain again."""
    for name, module in list(extensions._extensions.items()):
        if module is None:
            del extensions._extensions[name]


def enter(hgrc: bytes, outer: Mapping[bytes, bytes]) -> None:
    """Be in the environment that sessions have, and in no folder."""
    encoding.environ.clear()
    encoding.environ.update(pash.environment(os.fsdecode(hgrc), dict(outer)))
    os.chdir('/')


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
