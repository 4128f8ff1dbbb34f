"""Forced commands that cost little: a process forks one for each session.

Run as a program it reads a visit a line, as JSON, does what sshd would do
for it, and writes what came of it.  What runs in the fork is the ``main`` of
``pash.py``, with the arguments, the environment and the umask of the visit;
only the start of an interpreter is left out.  It has one thread and imports
nothing of Mercurial's.

A :class:`Visitor` is such a process, for one thread at a time.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import posix
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

PATIENCE = 120.0
_CHUNK = 65536


@dataclass(frozen=True)
class Visit:
    """One session: the forced command's arguments, and what a client says.

    ``said`` is Latin-1 for bytes.
    """

    argv: tuple[str, ...]
    env: dict[str, str]
    said: str = ''
    umask: int = 0o022


@dataclass(frozen=True)
class Seen:
    """What came of it; seconds count from the start of the forced command.

    ``cold`` is set when it became the session itself, ``first`` is the time
    of the first byte (None: there was none), ``pipes`` are the inodes of its
    three descriptors.  A status of None: it was not over in time.
    """

    out: str
    err: str
    status: int | None
    cold: bool
    first: float | None
    took: float
    pipes: list[int] = field(default_factory=list)


class Visitor:
    """A process that makes visits; a context manager that ends it."""

    def __init__(self, pash: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, '-I', '-S', __file__, pash],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __enter__(self) -> Visitor:
        return self

    def __exit__(self, *_problem: object) -> None:
        self._process.communicate()

    def visit(self, visit: Visit) -> Seen:
        """Have one session, from its beginning to its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(visit)).encode() + b'\n')
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, 'the process that makes visits has ended'
        return Seen(**json.loads(line))


# -- the process -------------------------------------------------------------


def load(path: str) -> ModuleType:
    """Return ``pash.py`` as a module, without its package."""
    spec = importlib.util.spec_from_file_location('pash', path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _become(pash: ModuleType, visit: Visit, ends: Sequence[int]) -> NoReturn:
    """Be the forced command; ``ends`` are 0, 1, 2, and who hears of a cold
    start."""
    code = 70
    try:
        for number in range(3):
            os.dup2(ends[number], number)
        os.umask(visit.umask)
        os.chdir('/')
        posix.environ.clear()
        for name, value in visit.env.items():
            posix.environ[os.fsencode(name)] = os.fsencode(value)
        execve = posix.execve

        def noted(*arguments: Any) -> NoReturn:
            os.write(ends[3], b'c')
            execve(*arguments)

        # By name, as the module is the interpreter's.
        setattr(posix, 'execve', noted)  # noqa: B010
        ending = pash.main(list(visit.argv))
        if isinstance(ending, str):
            os.write(2, f'hgfleet: {ending}\n'.encode())
            ending = 1
        code = ending
    finally:
        os._exit(code)


def make(pash: ModuleType, visit: Visit) -> Seen:
    """Make one visit."""
    pipes = [os.pipe() for _each in range(4)]
    ours = [pipes[0][1], *(reading for reading, _writing in pipes[1:])]
    theirs = [pipes[0][0], *(writing for _reading, writing in pipes[1:])]
    inodes = [os.fstat(one).st_ino for one in theirs[:3]]
    began = time.monotonic()
    child = os.fork()
    if not child:
        for one in ours:
            os.close(one)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        _become(pash, visit, theirs)
    for one in theirs:
        os.close(one)
    with contextlib.suppress(BrokenPipeError):
        os.write(ours[0], visit.said.encode('latin-1'))
    os.close(ours[0])
    heard, first = _listen(ours[1:], began)
    if first == PATIENCE:
        os.kill(child, signal.SIGKILL)
    _pid, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return Seen(
        out=heard[0].decode('latin-1'),
        err=heard[1].decode('latin-1'),
        status=None if first == PATIENCE else code,
        cold=bool(heard[2]),
        first=first,
        took=time.monotonic() - began,
        pipes=inodes,
    )


def _listen(ours: list[int], began: float) -> tuple[list[bytes], float | None]:
    """Read all until it ends, or PATIENCE does."""
    heard = {one: b'' for one in ours}
    first = None
    with selectors.DefaultSelector() as selector:
        for one in ours:
            selector.register(one, selectors.EVENT_READ)
        while selector.get_map():
            found = selector.select(began + PATIENCE - time.monotonic())
            if not found:
                first = PATIENCE
                break
            for key, _events in found:
                data = os.read(key.fd, _CHUNK)
                heard[key.fd] += data
                if not data:
                    selector.unregister(key.fd)
                elif key.fd == ours[0] and first is None:
                    first = time.monotonic() - began
    for one in ours:
        os.close(one)
    return [heard[one] for one in ours], first


def main(path: str) -> None:
    """Make the visits that standard input asks for."""
    pash = load(path)
    for line in sys.stdin.buffer:
        seen = make(pash, Visit(**json.loads(line)))
        sys.stdout.buffer.write(json.dumps(asdict(seen)).encode() + b'\n')
        sys.stdout.buffer.flush()


if __name__ == '__main__':
    main(str(Path(sys.argv[1])))
