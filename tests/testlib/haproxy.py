"""haproxy, the real one, with the configuration that ``deploy/`` ships.

``make test`` installs it as root on Debian; :class:`Missing` says that it is
not there.  :class:`Balancer` runs it in the foreground, on free ports of the
loopback interface, and stops it by its process id.
"""

from __future__ import annotations

import csv
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from .places import ROOT

CONFIG = ROOT / 'deploy' / 'haproxy' / 'haproxy.cfg'
START = 120.0
# What a fleet in a test has fewer of is somewhere where nobody listens.
NOBODY = '127.0.0.1:1'
PRIMARIES, MIRRORS = 2, 4


class Missing(RuntimeError):
    """haproxy cannot be had on this machine; the message says why."""


def program() -> str:
    """Return the path of haproxy; raises Missing."""
    path = os.pathsep.join([os.environ.get('PATH', ''), '/usr/sbin', '/sbin'])
    found = shutil.which('haproxy', path=path)
    if found is None:
        raise Missing('there is no command haproxy')
    return found


class Balancer:
    """A running haproxy; a context manager that ends it.

    ``primaries`` are (port of sshd, port of ``fleet.ready``), ``mirrors`` the
    ports of web servers, all on this machine.  ``ssh`` and ``http`` are the
    ports where clients come.
    """

    def __init__(
        self,
        folder: Path,
        primaries: list[tuple[int, int]],
        mirrors: list[int],
    ) -> None:
        self.ssh, self.http, self.stats = free_ports(3)
        self.log = folder / 'haproxy.log'
        self._argv = [program(), '-db', '-f', str(CONFIG)]
        self._places = {
            'HG_SSH': f'127.0.0.1:{self.ssh}',
            'HG_HTTP': f'127.0.0.1:{self.http}',
            'HG_STATS': f'127.0.0.1:{self.stats}',
        }
        for n in range(PRIMARIES):
            self._places |= {f'HG{n + 1}': NOBODY, f'HG{n + 1}_READY': '1'}
        for n in range(MIRRORS):
            self._places[f'WEB{n + 1}'] = NOBODY
        for n, (sshd, ready) in enumerate(primaries):
            self._places[f'HG{n + 1}'] = f'127.0.0.1:{sshd}'
            self._places[f'HG{n + 1}_READY'] = str(ready)
        for n, port in enumerate(mirrors):
            self._places[f'WEB{n + 1}'] = f'127.0.0.1:{port}'
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Balancer:
        environment: Mapping[str, str] = {**os.environ, **self._places}
        with open(self.log, 'ab') as log:
            self._process = subprocess.Popen(
                ['setpriv', '--pdeathsig', 'KILL', *self._argv],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.close()
                said = self.log.read_text()
                raise RuntimeError(f'haproxy did not start:\n{said[-3000:]}')
            time.sleep(0.02)
        return self

    def __exit__(self, *_problem: object) -> None:
        self.close()

    def close(self) -> None:
        """End it at once; harmless when it has ended."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def up(self, backend: str) -> set[str]:
        """Return the names of the servers that it sends clients to."""
        return {
            name
            for name, row in self._servers(backend).items()
            if row['status'].startswith('UP')
        }

    def count(self, backend: str, *what: str) -> dict[str, int]:
        """Return how often that was counted, by the names of the servers.

        ``what`` are columns of haproxy's: ``stot`` are connections,
        ``chkdown`` times that it went down, ``wredis`` those sent elsewhere.
        """
        return {
            name: sum(int(row[one] or 0) for one in what)
            for name, row in self._servers(backend).items()
        }

    def _servers(self, backend: str) -> dict[str, dict[str, str]]:
        where = f'http://127.0.0.1:{self.stats}/;csv'
        with urllib.request.urlopen(where, timeout=60) as answer:
            text = answer.read().decode().removeprefix('# ')
        return {
            row['svname']: row
            for row in csv.DictReader(text.splitlines())
            if row['pxname'] == backend and row['svname'] != 'BACKEND'
        }

    def _listens(self) -> bool:
        try:
            socket.create_connection(('127.0.0.1', self.stats), 1).close()
        except OSError:
            return False
        return True


def free_ports(count: int) -> list[int]:
    """Return ports that are free now, below those of outgoing connections."""
    from hgext3rd.fleetctl import sockets

    found: list[int] = []
    for _each in range(count):
        found.append(sockets.choose(found))
    return found
