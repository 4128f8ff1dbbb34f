"""A runtime folder for chg, with a configuration and whatever serves there."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hgext3rd.warmserver.chg import status
from hgext3rd.warmserver.chg.folder import Described

from . import chg

LATEST = 120.0
"""Seconds until which a slow machine has done anything."""


def until(what: Callable[[], object]) -> None:
    """Wait until it is true."""
    deadline = time.monotonic() + LATEST
    while not what():
        assert time.monotonic() < deadline, 'it has not come to that'
        time.sleep(0.01)


class Place:
    """One user's servers."""

    def __init__(self, folder: Path, client: Path) -> None:
        self.folder = folder
        self.client = client
        self.rc = folder / 'hgrc'
        self.address = folder / 'chg' / 'server'
        self.address.parent.mkdir(mode=0o700)
        self.env = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(('HG', 'CHG', 'PYTHON', 'XDG'))
        } | {
            'HGRCPATH': str(self.rc),
            'HGUSER': 'ann',
            'CHGHG': str(chg.HG),
            'CHGSOCKNAME': str(self.address),
            'CHGTIMEOUT': str(int(LATEST)),
        }
        self.configure()

    def configure(self, *lines: str) -> None:
        """Write the configuration; lines begin in the section warmserver."""
        text = ['[extensions]', 'warmserver =', '[warmserver]', *lines, '']
        self.rc.write_text('\n'.join(text))

    def start(self, *words: str, **env: str) -> subprocess.Popen[str]:
        """Start a client."""
        return subprocess.Popen(
            # Who runs the tests may have Ctrl-C ignored.
            ['env', '--default-signal', self.client, *words],
            cwd=self.folder,
            env=self.env | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ask(self, *words: str, **env: str) -> tuple[int, str, str]:
        """Run a client; return its exit code and what it has said."""
        process = self.start(*words, **env)
        out, err = process.communicate(timeout=LATEST)
        return process.returncode, out, err

    def hg(self, *words: str, **env: str) -> str:
        """Run a client that has to succeed without a warning."""
        code, out, err = self.ask(*words, **env)
        assert (code, err) == (0, ''), (words, code, out, err)
        return out

    def servers(self) -> list[Described]:
        """Return what serves here, what was used last first."""
        return status.servers(os.fsencode(self.address))

    def link(self) -> str:
        """Return the key of the server that clients come to first."""
        return os.readlink(self.address).removeprefix('server-')

    def close(self) -> None:
        """End all servers."""
        pids = {one.pid for one in self.servers()}
        for path in self.address.parent.glob('server-*'):
            path.unlink(missing_ok=True)
        until(lambda: not any(map(alive, pids)))
        # Workers may be about to write their last.
        until(self._removed)

    def _removed(self) -> bool:
        shutil.rmtree(self.address.parent, ignore_errors=True)
        return not self.address.parent.exists()


def alive(pid: int) -> bool:
    """Tell whether there is such a process."""
    try:
        with open(f'/proc/{pid}/stat', 'rb') as file:
            return file.read().rpartition(b')')[2].split()[0] != b'Z'
    except OSError:
        return False


@contextmanager
def place(folder: Path, debian: bool = False) -> Iterator[Place]:
    """Make a place with the client of Mercurial's source; raises Missing.

    ``debian`` is for the client that Debian has.
    """
    made = Place(folder, chg.debian() if debian else chg.client())
    try:
        yield made
    finally:
        made.close()


class Raw:
    """A client of which one says all it says."""

    def __init__(self, address: Path) -> None:
        self.link = socket.socket(socket.AF_UNIX)
        self.link.settimeout(LATEST)
        folder = os.open(address.parent, os.O_RDONLY)
        self.link.connect(f'/proc/self/fd/{folder}/{address.name}')
        os.close(folder)

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.link.close()

    def frame(self) -> tuple[bytes, bytes]:
        """Return a channel and what it says; nothing at the end."""
        head = self._exactly(5)
        if len(head) < 5:
            return b'', b''
        channel, length = struct.unpack('>cI', head)
        return channel, b'' if channel.isupper() else self._exactly(length)

    def _exactly(self, length: int) -> bytes:
        found = b''
        while len(found) < length:
            part = self.link.recv(length - len(found))
            if not part:
                break
            found += part
        return found

    def send(self, command: str, *words: str) -> None:
        """Send a command with its arguments."""
        body = '\0'.join(words).encode()
        head = command.encode() + b'\n' + struct.pack('>I', len(body))
        self.link.sendall(head + body)

    def result(self) -> tuple[bytes, bytes]:
        """Return what is written until there is a result, and that."""
        written = b''
        while True:
            channel, data = self.frame()
            if channel in (b'r', b''):
                return written, data
            written += data


def write_over(path: Path, text: str) -> None:
    """Change a file so that its size and its time tell nothing.

    Python's own cache of compiled code would be taken in by that, in any
    process.
    """
    before = path.stat()
    assert len(text) == before.st_size
    draft = path.with_name('draft')
    draft.write_text(text)
    os.utime(draft, ns=(before.st_atime_ns, before.st_mtime_ns))
    draft.rename(path)
    shutil.rmtree(path.parent / '__pycache__', ignore_errors=True)
