"""A fleet whose nodes are machines: whole nodes that are killed at once.

Each node runs what ``hgfleet up`` runs for it, with the same files: a daemon,
and an sshd with its sessions or a web server.  Nobody restarts anything but
the test.  A machine is killed by the ids of its processes: all are stopped
first, so that none can start another one meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from hgext3rd.fleetctl import founding, plan, process, sockets
from hgext3rd.fleetctl.layout import Layout
from hgext3rd.fleetctl.plan import DAEMON, Part, Record
from hgext3rd.fleetctl.up import assign

from .fleet import HG, PLAIN, Node, until

CLIENT = """\
[ui]
username = client
ssh = ssh -F {config}
"""


class Machines:
    """Nodes hg1, hg2 … and web1, web2 …; a context manager.

    ``settings`` is the operator's own ``local.rc``.  To be used by one
    thread, as far as machines are started: they end with it.
    """

    def __init__(
        self, folder: Path, primaries: int, mirrors: int, settings: str = ''
    ) -> None:
        self.folder = folder
        self.layout = Layout(str(folder))
        self.ledger = folder / 'ledger.db'
        record = Record(primaries, mirrors, 0, 0)
        given = assign(plan.nodes(record))
        self.ports = {one.name: one.port for one in given}
        self.ready_ports = {one.name: one.ready or one.port for one in given}
        fleet = plan.Fleet(
            self.layout,
            record,
            tuple(given),
            founding.find_tools(HG, sys.executable),
            plan.environment(PLAIN),
        )
        founding.found(self.layout)
        (folder / 'local.rc').write_text(settings)
        founding.furnish(fleet, pwd.getpwuid(os.geteuid()).pw_name)
        founding.prepare_sshd(fleet)
        self._parts: dict[str, list[Part]] = {}
        for part in plan.parts(fleet, self.layout.ledger):
            self._parts.setdefault(part.node, []).append(part)
        self.nodes = {
            one.name: Node(
                one.name,
                one.role,
                folder / 'nodes' / one.name,
                Path(self.layout.node(one.name).hgrc),
            )
            for one in given
        }
        self.primaries = [n for n in self.nodes if n.startswith('hg')]
        self.mirrors = [n for n in self.nodes if n.startswith('web')]
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Machines:
        return self

    def __exit__(self, *_problem: object) -> None:
        for name in self.nodes:
            self.kill(name)

    # -- machines ----------------------------------------------------------

    def start(self, *names: str) -> None:
        """Start machines (all, without names), or what of them is dead."""
        for name in names or self.nodes:
            for part in self._parts[name]:
                if part.name not in self._running:
                    self._running[part.name] = self._spawn(part)

    def _spawn(self, part: Part) -> subprocess.Popen[bytes]:
        with open(self.layout.log(part.name), 'ab') as log:
            return subprocess.Popen(
                ['setpriv', '--pdeathsig', 'KILL', *part.argv],
                env=dict(part.env),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self, name: str, kind: str = '') -> int:
        """Kill a machine, or its part of one kind; return how many died."""
        mine = {
            part.name: self._running.pop(part.name)
            for part in self._parts[name]
            if part.name in self._running and kind in ('', part.kind)
        }
        known = self._stop(mine.values(), name if kind == '' else '')
        _signal(known, signal.SIGKILL)
        for one in mine.values():
            one.wait()
        return len(known)

    @contextlib.contextmanager
    def frozen(self, name: str) -> Iterator[int]:
        """Stop a machine for a while; yield how many processes it has."""
        mine = [
            self._running[part.name]
            for part in self._parts[name]
            if part.name in self._running
        ]
        known = self._stop(mine, name)
        try:
            yield len(known)
        finally:
            _signal(known, signal.SIGCONT)

    def _stop(
        self, parts: Iterable[subprocess.Popen[bytes]], name: str
    ) -> set[int]:
        """Stop parts and all below, and what else is the node ``name``."""
        roots = [one.pid for one in parts]
        known: set[int] = set()
        orphans = self.nodes[name].hgrc if name else None
        while news := {*roots, *_below(roots), *_of(orphans)} - known:
            _signal(news, signal.SIGSTOP)
            known |= news
        return known

    def kill_daemon(self, name: str) -> int:
        """Kill only the daemon of a machine."""
        return self.kill(name, DAEMON)

    def signal_daemon(self, name: str, number: signal.Signals) -> None:
        """Send a signal to the daemon of a machine."""
        self._running[f'{name}.{DAEMON}'].send_signal(number)

    def is_ready(self, name: str) -> bool:
        """Tell whether a machine says that it may be used."""
        return sockets.get(self.ready_ports[name], '/readyz', 5.0) == 200

    def await_ready(self, *names: str) -> None:
        """Wait until machines (all, without names) may be used."""
        for name in names or self.nodes:
            until(
                lambda n=name: f'{n} is not ready: {self.said(n)}',  # type: ignore[misc]
                lambda n=name: self.is_ready(n),  # type: ignore[misc]
            )

    def said(self, name: str) -> str:
        """Return the last words of a machine's parts."""
        found = []
        for part in self._parts[name]:
            with contextlib.suppress(FileNotFoundError):
                log = Path(self.layout.log(part.name))
                found.append(log.read_text(errors='replace')[-1500:])
        return '\n'.join(found)

    def broken(self) -> Iterator[str]:
        """Yield what nobody may ever find in a log."""
        for path in sorted((self.folder / 'log').iterdir()):
            said = path.read_text(errors='replace')
            if 'Traceback' in said:
                yield f'{path.name}: {said[said.index("Traceback") :][:3000]}'
        for node in self.nodes.values():
            with contextlib.suppress(FileNotFoundError):
                path = node.folder / 'state' / 'errors.log'
                yield f'{node.name}, errors.log: {path.read_text()[:3000]}'

    # -- clients -----------------------------------------------------------

    def create(self, repo: str) -> None:
        """Make a repository."""
        done = subprocess.run(
            [HG, 'replicate::create', repo],
            env={**PLAIN, 'HGRCPATH': str(self.nodes['hg1'].hgrc)},
            cwd=self.folder,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr

    def welcome(self, port: int) -> dict[str, str]:
        """Return the environment of clients who push to ``ssh://fleet/``.

        ``port`` is where the load balancer listens.
        """
        from fleetpash import sshd

        folder = self.folder / 'clients'
        folder.mkdir()
        config, hgrc = folder / 'ssh_config', folder / 'hgrc'
        config.write_text(
            sshd.ssh_config(
                port=port,
                account=pwd.getpwuid(os.geteuid()).pw_name,
                identity=self.layout.client_key,
                known_hosts=self.layout.known_hosts,
            )
        )
        hgrc.write_text(CLIENT.format(config=config))
        return {**PLAIN, 'HGRCPATH': str(hgrc), 'LC_ALL': 'C'}


def _below(roots: list[int]) -> list[int]:
    return [one.pid for one in process.descendants(roots)]


def _of(hgrc: Path | None) -> Iterator[int]:
    """Yield the processes that are a node, also those without a parent.

    A session whose client went away still does what it was told.
    """
    wanted = f'HGRCPATH={hgrc}'.encode()
    for name in os.listdir('/proc') if hgrc else ():
        if name.isdigit():
            with contextlib.suppress(OSError):
                environment = Path('/proc', name, 'environ').read_bytes()
                if wanted in environment.split(b'\0'):
                    yield int(name)


def _signal(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
