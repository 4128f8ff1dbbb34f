"""Pushing clients: stock ``hg`` processes, timed from start to exit.

A :class:`Client` is a clone with changesets that wait to be pushed one by
one; a :class:`Watch` sees when the mirrors of a fleet show them.
"""

from __future__ import annotations

import http.client
import subprocess
import threading
import time
from pathlib import Path

from .fleets import HG, Fleet, Mirror, environment
from .warm import Warm

POLL = 0.002
_PATIENCE = 60.0


class Client:
    """A clone that pushes to ``url`` with ``ssh -F ssh``.

    With ``history``, ``upto`` names the last changeset to take from that
    repository; without, it starts empty.
    """

    def __init__(
        self,
        path: Path,
        url: str,
        ssh: Path,
        history: Path | None = None,
        upto: str = 'tip',
    ) -> None:
        self.path = path
        self.waiting: list[str] = []
        ui = f'ui.ssh=ssh -F {ssh}'
        self._push = [f'{HG}', '-R', f'{path}', 'push', '--config', ui, url]
        with Warm(environment()) as hg:
            if history is None:
                hg.run('init', path)
            else:
                hg.run('clone', '-q', '--pull', '-r', upto, history, path)

    def prepare(self, count: int) -> None:
        """Make changesets to push: each changes one line of one file."""
        name = self.path / 'bench.txt'
        ours = ('-R', self.path)
        with Warm(environment()) as hg:
            for number in range(count):
                name.write_text(f'{number}\n' + 'the same line\n' * 20)
                said = (f'change {number}', '-u', 'bench', name)
                hg.run(*ours, 'commit', '-q', '-A', '-m', *said)
                tip = hg.run(*ours, 'log', '-r', '.', '-T', '{node}')
                self.waiting.append(tip)

    def push(self) -> tuple[str, float]:
        """Push the next changeset; return its node and the milliseconds."""
        node = self.waiting.pop(0)
        return node, self.push_upto(node)

    def push_upto(self, node: str) -> float:
        """Push a changeset and its ancestors; return the milliseconds."""
        start = time.perf_counter()
        done = subprocess.run(
            [*self._push, '-r', node],
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        took = (time.perf_counter() - start) * 1000
        if done.returncode != 0:
            raise SystemExit(f'a push failed: {done.stdout}{done.stderr}')
        return took

    def count(self) -> int:
        """Return the number of changesets, waiting ones included."""
        with Warm(environment()) as hg:
            tip = hg.run('-R', self.path, 'log', '-r', 'tip', '-T', '{rev}')
        return int(tip) + 1


class Watch:
    """Asks every mirror for a changeset until it has it.

    Each mirror has a connection of its own, which is kept open, and is
    asked every two milliseconds, beginning when the push has ended: asking
    while it runs would take it a part of the machine.  So what was visible
    before counts as the time of one request.
    """

    def __init__(self, fleet: Fleet, repo: str) -> None:
        self._fleet = fleet
        self._repo = repo
        self._connections = {
            mirror: http.client.HTTPConnection(
                '127.0.0.1', mirror.port, timeout=_PATIENCE
            )
            for mirror in fleet.mirrors
        }

    def ready(self) -> None:
        """Have all connections open."""
        for connection in self._connections.values():
            _ask(connection, f'/{self._repo}?cmd=capabilities')

    def until_visible(self, node: str) -> float:
        """Return the milliseconds from now until all mirrors have it."""
        start = time.perf_counter()
        seen: dict[str, float] = {}
        threads = [
            threading.Thread(target=self._look, args=(mirror, node, seen))
            for mirror in self._connections
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        if len(seen) < len(threads):
            raise SystemExit(f'{node} was not visible on all mirrors in time')
        return (max(seen.values()) - start) * 1000

    def _look(self, mirror: Mirror, node: str, seen: dict[str, float]) -> None:
        connection = self._connections[mirror]
        deadline = time.perf_counter() + _PATIENCE
        path = f'/{self._repo}?cmd=lookup&key={node}'
        wanted = f'1 {node}\n'.encode()
        while (now := time.perf_counter()) < deadline:
            if _ask(connection, path) == wanted:
                seen[mirror.name] = time.perf_counter()
                return
            time.sleep(max(0.0, now + POLL - time.perf_counter()))


def _ask(connection: http.client.HTTPConnection, path: str) -> bytes:
    for attempt in (1, 2):
        try:
            connection.request('GET', path)
            return connection.getresponse().read()
        except (http.client.HTTPException, ConnectionError):
            # The server closes connections that were idle for long.
            connection.close()
            if attempt == 2:
                raise
    raise AssertionError('not reached')
