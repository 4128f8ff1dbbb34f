"""One Mercurial process that runs many commands, for the preparations.

It speaks the protocol of ``hg serve --cmdserver pipe``: a started process
costs 0.1 s, a command in it some milliseconds.

    with Warm(env) as hg:
        hg.run('init', '/tmp/repo')
"""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

HG = Path(sys.executable).with_name('hg')
_FRAME = struct.Struct('>cI')


class Warm:
    """A command server; a context manager."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [HG, '--cwd', '/', 'serve', '--cmdserver', 'pipe'],
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._frame()

    def __enter__(self) -> Warm:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._process.communicate()

    def run(self, *arguments: str | Path) -> str:
        """Return what a command writes; SystemExit when it fails."""
        body = b'\0'.join(str(one).encode() for one in arguments)
        assert self._process.stdin is not None
        self._process.stdin.write(
            b'runcommand\n' + struct.pack('>I', len(body)) + body
        )
        self._process.stdin.flush()
        said: dict[bytes, bytes] = {b'o': b'', b'e': b''}
        while True:
            channel, data = self._frame()
            if channel == b'r':
                break
            if channel.islower():
                said[channel] = said.get(channel, b'') + data
        if struct.unpack('>i', data) != (0,):
            what = ' '.join(map(str, arguments))
            raise SystemExit(f'hg {what}: {said[b"e"].decode()}')
        return said[b'o'].decode()

    def _frame(self) -> tuple[bytes, bytes]:
        assert self._process.stdout is not None
        head = self._process.stdout.read(_FRAME.size)
        if len(head) < _FRAME.size:
            raise SystemExit('the command server has ended')
        channel, length = _FRAME.unpack(head)
        # In capital letters it asks for input, and sends nothing.
        asks = channel in (b'I', b'L')
        return channel, b'' if asks else self._process.stdout.read(length)
