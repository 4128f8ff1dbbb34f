"""One primary whose warm server runs, and as little else as possible.

    with WarmNode(folder, suite=True) as node:   # its server answers
        node.create('demo')
        node.command('ann')                      # what sshd would run
        node.signal(signal.SIGHUP)

With ``suite`` the node is configured by the files that ``hgfleet up``
writes, so everything in ``hgrc.d/primary.rc`` is enabled, and it has a
ledger; without, only what a session needs is.  ``settings`` are the
operator's own, in ``local.rc``.

The users are ann (who may do everything), bob (who may read) and cyd (who
may write below ``open/``).  Started, stopped and killed is it by its pid.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from fleetpash import sshd, sshkeys
from hgext3rd.fleet.adapters import directory_file, unixsocket
from hgext3rd.fleetctl import founding, plan, process, sockets
from hgext3rd.fleetctl.layout import Layout
from hgext3rd.fleetctl.plan import Record

HG = str(Path(sys.prefix, 'bin', 'hg'))
PATIENCE = 180.0
NAME = 'hg1'
USERS = {'ann': ['staff'], 'bob': [], 'cyd': ['guests']}
ACCESS = """\
[access]
closed/** = staff:admin
open/** = staff:admin, guests:write, *:read
** = staff:admin, *:read
"""
_BARE = """\
[extensions]
fleetpash =
warmserver =
[fleet]
root = {place.repos}
state = {place.state}
directory = {layout.directory}
%include {layout.access}
%include {layout.local}
"""

# What the configuration of this machine says must not reach a server.
PLAIN = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(('HG', 'PYTHON', 'SSH_', 'FLEET_'))
}


class WarmNode:
    """The node; a context manager that starts its server and ends it."""

    def __init__(
        self, folder: Path, suite: bool = False, settings: str = ''
    ) -> None:
        self.folder = folder
        self.suite = suite
        self.layout = layout = Layout(str(folder))
        self._sshds: list[subprocess.Popen[bytes]] = []
        self._server: subprocess.Popen[bytes] | None = None
        self._account = pwd.getpwuid(os.geteuid()).pw_name
        self._tools = founding.find_tools(HG, sys.executable)
        founding.found(layout)
        Path(layout.access).write_text(ACCESS)
        Path(layout.local).write_text(settings)
        key = Path(f'{layout.client_key}.pub').read_text()
        # Instead of the one administrator that every new fleet has.
        os.unlink(layout.users)
        for name, groups in USERS.items():
            keys = [key] if name == 'ann' else []
            directory_file.add_user(layout.users, name, keys, groups)
        record = Record(primaries=1, mirrors=1, ssh_port=0, http_port=0)
        nodes = tuple(
            replace(one, port=sockets.choose(())) for one in plan.nodes(record)
        )
        self._fleet = plan.Fleet(
            layout, record, nodes, self._tools, plan.environment(PLAIN)
        )
        founding.furnish(self._fleet, self._account)
        self.place = layout.node(NAME)
        if not suite:
            bare = _BARE.format(layout=layout, place=self.place)
            Path(self.place.hgrc).write_text(bare)

    def __enter__(self) -> WarmNode:
        self.start()
        return self

    def __exit__(self, *_problem: object) -> None:
        self.stop()
        for one in self._sshds:
            one.terminate()
            one.wait()

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which ``hg`` is this node."""
        return {**self._fleet.of_node(NAME), 'HGUSER': 'node'}

    @property
    def repos(self) -> Path:
        """Where the repositories are."""
        return Path(self.place.repos)

    @property
    def log(self) -> Path:
        """What the server has said."""
        return self.folder / 'log' / 'warm.log'

    def hg(self, *words: str, env: Mapping[str, str] | None = None) -> str:
        """Run a command that must succeed, as this node; its output."""
        done = subprocess.run(
            [HG, *words],
            env=dict(env or self.environment),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout

    def create(self, *names: str) -> None:
        """Make empty repositories."""
        for name in names:
            if self.suite:
                self.hg('replicate::create', name)
            else:
                self.hg('init', str(self.repos / name))

    def command(self, user: str, warm: bool = True) -> list[str]:
        """Return the forced command that sshd is told for a user."""
        told = sshkeys.line(
            self._tools.hg,
            self.place.hgrc,
            user,
            'none',
            self.place.warm if warm else '',
        )
        _before, command, _after = told.split('"')
        return shlex.split(command)

    # -- the server --------------------------------------------------------

    @property
    def pid(self) -> int:
        """The process that was started as the server."""
        assert self._server is not None
        return self._server.pid

    def begin(self) -> None:
        """Start the server, without waiting for it."""
        assert self._server is None
        with self.log.open('ab') as log:
            self._server = subprocess.Popen(
                [self._tools.hg, 'warmserver::serve'],
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def start(self) -> None:
        """Start the server, and wait until it listens."""
        self.begin()
        wait('the warm server does not answer', self.listens, self.said)

    def listens(self) -> bool:
        """Tell whether somebody takes connections at the socket."""
        assert self._server is not None
        assert self._server.poll() is None, self.said()
        link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with contextlib.closing(link):
            try:
                unixsocket.connect(link, self.place.warm)
            except OSError:
                return False
        return True

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server."""
        os.kill(self.pid, number)

    def ended(self, patience: float | None = PATIENCE) -> None:
        """Wait until the server has ended; it may be started again."""
        assert self._server is not None
        self._server.wait(patience)
        self._server = None

    def stop(self) -> None:
        """End the server, and whatever it has left behind."""
        if self._server is None:
            return
        below = process.descendants([self.pid])
        self._server.terminate()
        try:
            self._server.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._server = None
        for one in below:
            if process.is_alive(one):
                os.kill(one.pid, signal.SIGKILL)

    def said(self) -> str:
        """Return the last words of the server."""
        return self.log.read_text(errors='replace')[-3000:]

    def broken(self) -> Iterator[str]:
        """Yield what nobody may ever find in a log."""
        state = Path(self.place.state)
        for path in (self.log, state / 'errors.log'):
            said = path.read_text(errors='replace') if path.exists() else ''
            if 'Traceback' in said:
                yield f'{path.name}: {said[said.index("Traceback") :][:3000]}'

    def family(self) -> list[int]:
        """Return the processes of the server, itself first."""
        return [self.pid, *(o.pid for o in process.descendants([self.pid]))]

    # -- the way in --------------------------------------------------------

    def open_door(self, warm: bool) -> Path:
        """Start an sshd; return a client's configuration for ``ssh -F``.

        The client's key is ann's; the host is called ``fleet``.
        """
        founding.prepare_sshd(self._fleet)
        port = sockets.choose(())
        folder = self.folder / 'ssh'
        name = f'{"warm" if warm else "cold"}{len(self._sshds)}'
        config = folder / f'{name}.conf'
        spared = sshd.has_penalties(self._tools.sshd)
        config.write_text(
            sshd.sshd_config(
                port=port,
                account=self._account,
                host_key=self.layout.host_key,
                hg=self._tools.hg,
                hgrc=self.place.hgrc,
                directory=self.layout.directory,
                spared=sockets.ADDRESS if spared else '',
                warm=self.place.warm if warm else '',
            )
        )
        with open(folder / f'{name}.log', 'wb') as log:
            self._sshds.append(
                subprocess.Popen(
                    [self._tools.sshd, '-D', '-e', '-f', config],
                    env=dict(self._fleet.env),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            )
        wait('sshd does not answer', lambda: sockets.greets(port))
        client = folder / f'{name}.client'
        client.write_text(
            sshd.ssh_config(
                port=port,
                account=self._account,
                identity=self.layout.client_key,
                known_hosts=self.layout.known_hosts,
            )
        )
        return client


def wait(
    what: str, test: Callable[[], bool], more: Callable[[], str] = str
) -> None:
    """Wait until ``test`` is true; else say what has not happened."""
    deadline = time.monotonic() + PATIENCE
    while not test():
        assert time.monotonic() < deadline, f'{what}: {more()}'
        time.sleep(0.01)


def serve(repo: str) -> str:
    """Return what a client asks sshd for."""
    return f'hg -R {repo} serve --stdio'
