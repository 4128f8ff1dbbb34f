"""A stock ``hg`` that stays: one process, many commands.

Starting Mercurial costs more than most of what the tests ask of it, so
local commands go through its command server.  What is to be killed is still
a process of its own.
"""

from __future__ import annotations

import struct
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO

from .fleet import HG

_CHUNK = struct.Struct('>cI')


class Stock:
    """A command server, for any thread; a context manager that ends it."""

    def __init__(
        self, environment: Mapping[str, str], folder: Path, *options: str
    ) -> None:
        self._process = subprocess.Popen(
            [HG, 'serve', '--cmdserver', 'pipe', *options],
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to: IO[bytes] = self._process.stdin
        self._from: IO[bytes] = self._process.stdout
        self._guard = threading.Lock()
        self._chunk()

    def __enter__(self) -> Stock:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _problem: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self._to.close()
        self._process.wait()
        self._from.close()

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run a command; return its exit status and all of its words."""
        with self._guard:
            return self._run(b'\0'.join(each.encode() for each in arguments))

    def _run(self, body: bytes) -> tuple[int, str]:
        self._to.write(b'runcommand\n' + struct.pack('>I', len(body)) + body)
        self._to.flush()
        said = b''
        while True:
            channel, data = self._chunk()
            if channel == b'r':
                (status,) = struct.unpack('>i', data)
                return status, said.decode('utf-8', 'surrogateescape')
            assert channel in b'oed', f'{body!r} wants an answer'
            said += data

    def ask(self, *arguments: str) -> str:
        """Run a command that must succeed; return its words."""
        status, said = self.run(*arguments)
        assert status == 0, (arguments, said)
        return said

    def _chunk(self) -> tuple[bytes, bytes]:
        head = self._from.read(_CHUNK.size)
        assert len(head) == _CHUNK.size, 'the command server is gone'
        channel, size = _CHUNK.unpack(head)
        # In upper case: it asks for so many bytes, and there are none.
        return channel, b'' if channel.isupper() else self._from.read(size)
