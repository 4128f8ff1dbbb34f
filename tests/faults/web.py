"""The web tier of a mirror, and somebody who reads from it all the time."""

from __future__ import annotations

import subprocess
import sys
import threading
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field

from testlib.haproxy import free_ports

from .fleet import Fleet, until

PACE = 0.1
PATIENCE = 120.0


@dataclass
class Web:
    """The web server of one mirror; a context manager that ends it."""

    fleet: Fleet
    name: str

    def __enter__(self) -> Web:
        (port,) = free_ports(1)
        self.address = f'127.0.0.1:{port}'
        node = self.fleet.nodes[self.name]
        with (node.folder / 'web-log').open('ab') as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, '-m', 'gunicorn', '--threads', '4'),
                    *('--worker-class', 'gthread', '--no-control-socket'),
                    *('--graceful-timeout', '1', '--bind', self.address),
                    'hgext3rd.fleet.web:application',
                ],
                env={**self.fleet.environment(node), 'HGPLAIN': '1'},
                cwd=node.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until(f'{self.name} has no web server', lambda: self._listens())
        return self

    def __exit__(self, *_problem: object) -> None:
        self._process.terminate()
        self._process.wait()

    def _listens(self) -> bool:
        with suppress(OSError):
            return bool(self.ask('healthz')[0])
        return False

    def ask(self, path: str) -> tuple[int, str]:
        """Return the status and the body of the answer."""
        url = f'http://{self.address}/{path}'
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                return answer.status, answer.read().decode('latin-1')
        except urllib.error.HTTPError as problem:
            with problem:
                return problem.code, problem.read().decode('latin-1')

    def tip(self, repo: str) -> str:
        """Return the node of a repository's tip, as shown here."""
        status, body = self.ask(f'{repo}/raw-rev/tip')
        assert status == 200, body
        (line,) = (x for x in body.splitlines() if x.startswith('# Node ID '))
        return line.removeprefix('# Node ID ')


@dataclass
class Reader:
    """Reads the tip of a repository from mirrors, over and over.

    ``seen`` is what each answer was: the node, or what was wrong.
    """

    webs: list[Web]
    repo: str
    seen: list[str] = field(default_factory=list)

    def __enter__(self) -> Reader:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        return self

    def __exit__(self, *_problem: object) -> None:
        self._over.set()
        self._thread.join()

    def _read(self) -> None:
        while not self._over.wait(PACE):
            for web in self.webs:
                try:
                    self.seen.append(web.tip(self.repo))
                except (AssertionError, OSError) as problem:
                    self.seen.append(f'{web.name}: {problem}')
