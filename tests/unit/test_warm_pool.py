"""Workers of a server that cannot be used, or cannot be made."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest

from hgext3rd.warmserver import server, worker
from hgext3rd.warmserver.fresh import Marks
from hgext3rd.warmserver.pool import Pool, Stage
from testlib.warmnode import wait


def _waits(_setup: object, leash: socket.socket, link: object) -> int:
    """Stand in for a session: wait until there is nobody at the other end."""
    if link is None:
        leash.sendall(worker.REHEARSED)
        leash.recv(1)
    return 0


def test_one_that_cannot_be_given_a_connection_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*_about: object) -> None:
        raise OSError(errno.ETOOMANYREFS, 'Too many references')

    monkeypatch.setattr(worker, 'live', _waits)
    monkeypatch.setattr(worker, 'give', fails)
    nothing: Any = None
    forgotten: list[socket.socket] = []
    pool = Pool(nothing, forgotten.append)
    spare = pool.rehearse()

    def rehearsed() -> bool:
        pool.hear(spare)
        return spare.stage is Stage.SPARE

    wait('it does not rehearse', rehearsed)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        forked = pool.serve(ours)
    assert forked is not None
    ended: list[object] = []

    def gone() -> bool:
        ended.extend(pool.reap())
        return not pool.pids()

    wait('it does not end', gone)
    assert len(ended) == 2
    assert forgotten[0] is spare.leash
    assert not pool.count(Stage.SERVING)


def test_after_a_rehearsal_that_failed_another_is_tried_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nothing: Any = None
    now = 1000.0
    monkeypatch.setattr('time.monotonic', lambda: now)
    quiet = type('Ui', (), {'quiet': True})
    setup = worker.Setup(quiet, b'', nothing, '', nothing)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        plan = server.Plan(workers=1, spare=1)
        one = server.Server(setup, plan, Marks([]), ours, theirs)
        assert one._lacks()
        one._refrain('it failed')
        assert not one._lacks()
        now += 61
        assert one._lacks()
        for end in (one._waking, one._woken, one._selector):
            end.close()


def test_what_a_session_starts_has_no_way_to_the_client() -> None:
    leash, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with leash, other:
        worker.give(leash, other)
        given = worker._given(other)
    assert given is not None
    with given:
        assert not given.get_inheritable()
