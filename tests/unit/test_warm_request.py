"""What the forced command says to the warm server."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fleetpash
from hgext3rd.warmserver import request
from hgext3rd.warmserver.request import Nonsense, Request

PASH = os.path.join(fleetpash.__path__[0], 'pash.py')

words = st.binary(max_size=40).map(lambda data: data.replace(b'\0', b''))
requests = st.builds(
    Request,
    umask=st.integers(0, 0o777),
    user=st.text(max_size=20).map(
        lambda text: text.replace('\0', '').encode('utf-8', 'replace').decode()
    ),
    command=words,
    kept=st.dictionaries(st.sampled_from(sorted(request.KEPT)), words),
    hgrc=words,
)


@given(requests)
def test_it_is_read_as_it_was_said(one: Request) -> None:
    assert request.decode(request.encode(one)) == one


@given(st.binary(max_size=200))
def test_anything_else_is_nonsense(packet: bytes) -> None:
    try:
        found = request.decode(packet)
    except Nonsense:
        return
    assert request.decode(request.encode(found)) == found


@pytest.mark.parametrize(
    'packet',
    [
        b'',
        b'hgfleet 2\x0022\0ann\0hg',
        b'hgfleet 1\x0022\0ann',
        b'hgfleet 1\x008\0ann\0hg',
        b'hgfleet 1\x007777\0ann\0hg',
        b'hgfleet 1\0\0ann\0hg',
        b'hgfleet 1\x0022\0ann\0hg\0PATH=/x',
        b'hgfleet 1\x0022\0ann\0hg\0HOME',
        b'hgfleet 1\x0022\0ann\0hg\0HOME=/\0HOME=/x',
    ],
)
def test_what_is_refused(packet: bytes) -> None:
    with pytest.raises(Nonsense):
        request.decode(packet)


def pash(tmp_path: Path, *replies: bytes) -> tuple[list[bytes], int, str]:
    """Run the forced command against a server that says these words.

    Returns what it said, its exit code and its output; the cold way prints
    ``cold``.
    """
    cold = tmp_path / 'hg'
    cold.write_text('#!/bin/sh\necho cold\n')
    cold.chmod(0o755)
    (tmp_path / 'hgrc').touch()
    heard: list[bytes] = []
    path = str(tmp_path / 'warm.sock')
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(path)
        listener.listen()

        def serve() -> None:
            link, _address = listener.accept()
            with link:
                for reply in replies:
                    packet, fds, _flags, _from = socket.recv_fds(
                        link, request.LARGEST, 3
                    )
                    heard.append(packet)
                    for fd in fds:
                        os.close(fd)
                    link.send(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        done = subprocess.run(
            [
                *(sys.executable, '-I', '-S', PASH, '--hg', str(cold)),
                *('--hgrc', str(tmp_path / 'hgrc'), '--warm', path, 'ann'),
            ],
            env={'SSH_ORIGINAL_COMMAND': 'hg x', 'HOME': '/h', 'LEAK': 'x'},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            umask=0o027,
        )
        thread.join()
    return heard, done.returncode, done.stdout


def test_the_forced_command_speaks_the_same(tmp_path: Path) -> None:
    heard, status, said = pash(tmp_path, request.READY, request.EXIT + b'75')
    hgrc = os.fsencode(tmp_path / 'hgrc')
    asked = Request(0o027, 'ann', b'hg x', {b'HOME': b'/h'}, hgrc)
    assert request.decode(heard[0]) == asked
    assert heard[1:] == [request.GO]
    assert (status, said) == (75, '')


@pytest.mark.parametrize('reply', [request.NO + b'busy', b'rubbish', b''])
def test_declined_it_becomes_the_session(tmp_path: Path, reply: bytes) -> None:
    heard, status, said = pash(tmp_path, reply)
    assert len(heard) == 1
    assert (status, said) == (0, 'cold\n')


def test_a_session_that_is_killed_has_failed(tmp_path: Path) -> None:
    heard, status, said = pash(tmp_path, request.READY, b'')
    assert heard[1:] == [request.GO]
    assert (status, said) == (70, '')


def test_without_a_server_it_becomes_the_session(tmp_path: Path) -> None:
    deep = tmp_path / ('d' * 120)
    deep.mkdir()
    for folder in (tmp_path, deep):
        cold = folder / 'hg'
        cold.write_text('#!/bin/sh\necho cold\n')
        cold.chmod(0o755)
        (folder / 'hgrc').touch()
        done = subprocess.run(
            [
                *(sys.executable, '-I', '-S', PASH, '--hg', str(cold)),
                *('--hgrc', str(folder / 'hgrc')),
                *('--warm', str(folder / 'none.sock'), 'ann'),
            ],
            env={},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stdout) == (0, 'cold\n')
