"""A warm server with two repositories, for tests that change what it reads.

    with Bare(folder) as bare:
        bare.session('rw', said)       # through the server, if that serves
        bare.session('rw', said, warm=False)
        bare.status()

The user is ann, who may write to ``rw``, and read ``ro``.
"""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fleetpash
from hgext3rd.warmserver import request, status

HG = str(Path(sys.executable).with_name('hg'))
PASH = os.path.join(fleetpash.__path__[0], 'pash.py')
PATIENCE = 180.0
PLAIN = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(('HG', 'PYTHON', 'LISTEN_'))
}
RC = """\
[extensions]
fleetpash =
warmserver =
[fleet]
root = {folder}/repos
state = {folder}/state
directory = file://{folder}/users.toml
[access]
ro = ann:read, *:read
** = staff:write
"""


@dataclass(frozen=True)
class Seen:
    """All that a client gets."""

    output: bytes
    error: bytes
    status: int


class Bare:
    """The server; a context manager that starts and ends it."""

    def __init__(self, folder: Path, settings: str = '') -> None:
        self.folder = folder
        self.hgrc = folder / 'hgrc'
        self.state = folder / 'state'
        self.path = str(self.state / request.SOCKET)
        self.process: subprocess.Popen[bytes] | None = None
        for name in ('state', 'repos'):
            (folder / name).mkdir()
        self.hgrc.write_text(RC.format(folder=folder) + settings)
        self.users('staff')
        for name in ('rw', 'ro'):
            self.hg('init', str(folder / 'repos' / name))

    def __enter__(self) -> Bare:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_problem: object) -> None:
        self.stop()

    def users(self, *groups: str) -> None:
        """Let ann be in these groups."""
        listed = ', '.join(f'"{one}"' for one in groups)
        (self.folder / 'users.toml').write_text(
            f'[users.ann]\ngroups = [{listed}]\n'
        )

    def hg(self, *words: str, hgrc: bool = False) -> str:
        """Run a command; return its output."""
        done = subprocess.run(
            [HG, *words],
            env={**PLAIN, 'HGRCPATH': str(self.hgrc) if hgrc else ''},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    # -- the server --------------------------------------------------------

    def start(
        self, argv: Sequence[str] = (), descriptors: Sequence[int] = ()
    ) -> None:
        """Start the server and wait for it; ``argv`` comes before ``hg``."""
        with (self.folder / 'log').open('ab') as log:
            self.process = subprocess.Popen(
                [*argv, HG, 'warmserver::serve'],
                env={**PLAIN, 'HGRCPATH': str(self.hgrc)},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=descriptors,
            )
        self.until('it does not serve', lambda: self.stages() == ['serving'])

    def stop(self) -> None:
        """End the server."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait()
            self.process = None

    def status(self) -> dict[str, Any]:
        """Return what it says of itself."""
        return status.read(str(self.state))

    def stages(self) -> list[str]:
        """Return what its servers do; nothing when there is no answer."""
        assert self.process is not None
        assert self.process.poll() is None, self.log()
        try:
            return [one['stage'] for one in self.status()['servers']]
        except status.NotRunning:
            return []

    def count(self, name: str) -> int:
        """Return a number that it has counted."""
        return int(self.status()['counts'].get(name, 0))

    def log(self) -> str:
        """Return what it has written."""
        return (self.folder / 'log').read_text()

    def until(self, what: str, test: Callable[[], object]) -> None:
        """Wait until something is true."""
        deadline = time.monotonic() + PATIENCE
        while not test():
            late = time.monotonic() > deadline
            assert not late, f'{what}: {self.log()[-3000:]}'
            time.sleep(0.01)

    # -- sessions ----------------------------------------------------------

    def command(self, warm: bool = True) -> list[str]:
        """Return the forced command."""
        socket = ['--warm', self.path] if warm else []
        return [
            *(sys.executable, '-I', '-S', PASH, '--hg', HG),
            *('--hgrc', str(self.hgrc), *socket, 'ann'),
        ]

    def begin(self, repo: str, warm: bool = True) -> subprocess.Popen[bytes]:
        """Return a session that has begun."""
        return subprocess.Popen(
            self.command(warm),
            env={'SSH_ORIGINAL_COMMAND': f'hg -R {repo} serve --stdio'},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def served(self, repo: str, said: bytes) -> Seen:
        """Return what a session leads to that the server has served."""
        while True:
            served, total = self.count('outcome.served'), self.total()
            seen = self.session(repo, said)
            self.until('a line', functools.partial(self.exceeds, total))
            if self.count('outcome.served') > served:
                return seen

    def total(self) -> int:
        """Return how many connections have come to an end."""
        counts = self.status()['counts']
        return sum(n for name, n in counts.items() if name[:8] == 'outcome.')

    def exceeds(self, total: int) -> bool:
        """Tell whether more than these have."""
        return self.total() > total

    def session(self, repo: str, said: bytes, warm: bool = True) -> Seen:
        """Return what a session leads to."""
        with self.begin(repo, warm) as process:
            output, error = process.communicate(said)
        return Seen(output, error, process.returncode)
