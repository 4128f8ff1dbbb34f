"""A fleet of real processes in one folder, to be stopped and killed.

Every node has an hgrc, repositories and a state folder of its own; they
share a ledger and a blob store.  Its daemon is ``hg replicate::serve``; its
sessions are started by the script ``door``, which stands for sshd.

Processes are started with this environment's ``hg``, and ended by their
process ids, all of them by :meth:`Fleet.close`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .relayed import Relay
from .trouble import Troubles

if TYPE_CHECKING:
    from .book import Source
    from .brokers import Brokers
    from .storage import Storage

HG = str(Path(sys.prefix, 'bin', 'hg'))
DOOR = Path(__file__).with_name('door')
PATIENCE = 120.0

# What the configuration of this machine says must not reach a test.
PLAIN = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(('HG', 'PYTHON', 'FLEET_'))
}

_HGRC = """\
[ui]
username = {name}
[extensions]
replicate =
{extensions}[access]
** = *:write
[fleet]
node = {name}
role = {role}
root = {folder}/repos
state = {folder}/state
ledger = {ledger}
blobs = {blobs}
[replicate]
{settings}"""


class Impatient(AssertionError):
    """What was waited for did not happen."""


def until(
    what: str | Callable[[], str],
    test: Callable[[], bool],
    patience: float = PATIENCE,
) -> float:
    """Wait until ``test`` is true; return how many seconds that took.

    ``what`` says what has not happened.
    """
    start = time.monotonic()
    while not test():
        if time.monotonic() - start > patience:
            words = what if isinstance(what, str) else what()
            raise Impatient(f'after {patience:.1f} s: {words}')
        time.sleep(0.01)
    return time.monotonic() - start


@dataclass
class Node:
    """A node, and its daemon while it runs."""

    name: str
    role: str
    folder: Path
    hgrc: Path
    daemon: subprocess.Popen[bytes] | None = None
    relay: Relay | None = None
    guard: threading.RLock = field(default_factory=threading.RLock)

    @property
    def root(self) -> Path:
        """Where its repositories are."""
        return self.folder / 'repos'

    @property
    def log(self) -> Path:
        """What its daemons have said."""
        return self.folder / 'log'

    @property
    def shown(self) -> Path:
        """The file that says what it may show."""
        return self.folder / 'state' / 'shown.json'

    def applied(self, repo: str) -> dict[str, object]:
        """Return its record of how far it has followed a repository."""
        inside = self.root / repo / '.hg' / 'store' / 'fleet-applied'
        # Once more at the end: it may have been made between the two looks.
        for path in (inside, self.folder / 'state' / 'deleted' / repo, inside):
            with contextlib.suppress(FileNotFoundError):
                data: dict[str, object] = json.loads(path.read_bytes())
                return data
        return {'seq': 0, 'position': 0, 'exists': False}

    def at(self, repo: str) -> int:
        """Return the number of the last entry it has applied."""
        seq = self.applied(repo)['seq']
        assert isinstance(seq, int)
        return seq

    def unfinished(self, repo: str) -> bool:
        """Tell whether a transaction is open, or was left by a kill."""
        return (self.root / repo / '.hg' / 'store' / 'journal').exists()

    def quarantined(self, repo: str) -> str:
        """Return why it does not follow a repository, or ''."""
        path = self.folder / 'state' / 'quarantine' / f'{repo}.json'
        try:
            return str(json.loads(path.read_bytes())['reason'])
        except FileNotFoundError:
            return ''

    def complaints(self) -> str:
        """Return what its daemons have said so far, beyond good news."""
        said = self.log.read_text() if self.log.exists() else ''
        lines = said.splitlines(keepends=True)
        return ''.join(line for line in lines if ': following ' not in line)


class Fleet:
    """Nodes p1, p2 … and m1, m2 …; a context manager that ends them all.

    ``settings`` go into the section ``[replicate]`` of every hgrc,
    ``extensions`` (name to path) into ``[extensions]``.  With ``brokers`` the
    ledger is there, and every primary has a relay; with ``storage`` the
    blobs are there.
    """

    def __init__(
        self,
        folder: Path,
        primaries: int = 1,
        mirrors: int = 2,
        settings: dict[str, str] | None = None,
        extensions: dict[str, Path] | None = None,
        brokers: Brokers | None = None,
        storage: Storage | None = None,
    ) -> None:
        self.folder = folder
        self.brokers = brokers
        self.storage = storage
        self.troubles = Troubles()
        self.ledger = folder / 'ledger' / 'ledger.db'
        self.blobs = folder / 'blobs'
        self.sessions = folder / 'sessions'
        self.sessions.mkdir(parents=True)
        self.ledger.parent.mkdir()
        self._settings = settings or {}
        self._extensions = extensions or {}
        self.primaries = [
            self._node(f'p{n + 1}', 'primary') for n in range(primaries)
        ]
        self.mirrors = [
            self._node(f'm{n + 1}', 'mirror') for n in range(mirrors)
        ]
        self.nodes = {
            node.name: node for node in (*self.primaries, *self.mirrors)
        }

    def _node(self, name: str, role: str) -> Node:
        folder = self.folder / name
        (folder / 'repos').mkdir(parents=True)
        hgrc = folder / 'hgrc'
        settings = self._settings.items()
        loaded = self._extensions.items()
        hgrc.write_text(
            _HGRC.format(
                name=name,
                role=role,
                folder=folder,
                ledger=self._url(name),
                blobs=(
                    self.storage.url if self.storage else f'file://{self.blobs}'
                ),
                extensions=''.join(f'{k} = {v}\n' for k, v in loaded),
                settings=''.join(f'{k} = {v}\n' for k, v in settings),
            )
        )
        node = Node(name, role, folder, hgrc)
        if self.brokers is not None and role == 'primary':
            node.relay = Relay(HG, self.environment(node), folder)
        return node

    def _url(self, name: str) -> str:
        if self.brokers is None:
            return f'sqlite://{self.ledger}'
        return self.brokers.url(name)

    @property
    def source(self) -> Source:
        """Return where a checker reads the ledger."""
        return self.ledger if self.brokers is None else self.brokers.topic

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_problem: object) -> None:
        self.close()

    # -- daemons -----------------------------------------------------------

    def start(self, *names: str, point: str = '') -> None:
        """Start daemons (all, without names), to die at ``point`` if given.

        Without names the relays are started, too.
        """
        for relay in [] if names else self.relays():
            relay.start()
        for name in names or self.nodes:
            node = self.nodes[name]
            with node.guard, node.log.open('ab') as log:
                assert node.daemon is None, f'{name} is running'
                node.daemon = subprocess.Popen(
                    [HG, 'replicate::serve', *armed(point)],
                    env=self.environment(node),
                    cwd=self.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
                # A dead process that nobody has waited for still counts as
                # the holder of its locks.
                reaper = threading.Thread(target=node.daemon.wait, daemon=True)
                reaper.start()

    def relays(self) -> list[Relay]:
        """Return the relays of all nodes."""
        found = [node.relay for node in self.nodes.values()]
        return [relay for relay in found if relay is not None]

    def tell(self, name: str, number: signal.Signals) -> bool:
        """Send a signal to a daemon; tell whether it was running."""
        node = self.nodes[name]
        with node.guard:
            if node.daemon is None or node.daemon.poll() is not None:
                return False
            node.daemon.send_signal(number)
            return True

    def stop(self, *names: str, how: signal.Signals = signal.SIGTERM) -> int:
        """End daemons and wait for that; return how many ``how`` has met."""
        met = 0
        for name in names or self.nodes:
            node = self.nodes[name]
            with node.guard:
                if node.daemon is None:
                    continue
                met += self.tell(name, how)
                try:
                    node.daemon.wait(PATIENCE)
                except subprocess.TimeoutExpired:
                    raise Impatient(f'{name} does not stop') from None
                node.daemon = None
        return met

    def kill(self, *names: str) -> int:
        """Kill daemons; return how many were running."""
        return self.stop(*names, how=signal.SIGKILL)

    def joined(self) -> None:
        """Wait until every mirror serves."""
        for node in self.mirrors:
            until(f'{node.name} does not serve', lambda n=node: serves(n))  # type: ignore[misc]

    def reached(
        self, repo: str, seq: int, *names: str, patience: float = PATIENCE
    ) -> None:
        """Wait until nodes (all, without names) have applied an entry."""
        for name in names or self.nodes:
            node = self.nodes[name]
            until(
                lambda n=node: (  # type: ignore[misc]
                    f'{n.name} is at entry {n.at(repo)} of {repo}, not at '
                    f'{seq}: {n.quarantined(repo)}\n{n.complaints()}'
                ),
                lambda n=node: n.at(repo) >= seq,  # type: ignore[misc]
                patience,
            )

    # -- sessions ----------------------------------------------------------

    def environment(self, node: Node | None = None) -> dict[str, str]:
        """Return the environment of a process of ``node``, or of nobody."""
        hgrc = str(node.hgrc) if node else ''
        keys = self.storage.environ if self.storage else {}
        return {**PLAIN, 'HGRCPATH': hgrc, 'LC_ALL': 'C', **keys}

    def dark(self, node: Node) -> Path:
        """Return the file that is there while a node has no power."""
        return self.folder / f'{node.name}.dark'

    def door(self, node: Node, session: str, point: str) -> dict[str, str]:
        """Return what the environment of a client must say to the door."""
        return {
            'FLEET_HG': HG,
            'FLEET_DARK': str(self.dark(node)),
            'FLEET_HGRC': str(node.hgrc),
            'FLEET_ROOT': str(node.root),
            'FLEET_SESSION': str(self.sessions / session),
            'FLEET_USER': session,
            'FLEET_POINT': point,
        }

    def running(self) -> Iterator[tuple[str, int]]:
        """Yield the name and the process id of each session going on."""
        for path in self.sessions.glob('*.pid'):
            if not path.with_suffix('.status').exists():
                with contextlib.suppress(ValueError):
                    yield path.stem, int(path.read_text())

    def command(
        self, name: str, *arguments: str, point: str = '', user: str = 'tests'
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of ``hg`` on a node."""
        node = self.nodes[name]
        whose = ('--config', f'fleet.user={user}')
        return subprocess.run(
            [HG, *arguments, *whose, *armed(point)],
            env=self.environment(node),
            cwd=self.folder,
            capture_output=True,
            text=True,
            errors='surrogateescape',
            timeout=PATIENCE,
        )

    def create(self, repo: str, hgrc: str = '') -> None:
        """Make a repository through p1."""
        file = self.folder / f'{repo}.hgrc'
        file.write_text(hgrc)
        done = self.command(
            'p1', 'replicate::create', repo, '--hgrc', str(file)
        )
        assert done.returncode == 0, done.stderr

    def close(self) -> None:
        """Kill whatever still runs, and wait for it."""
        for node in self.nodes.values():
            self.tell(node.name, signal.SIGCONT)
        for _name, pid in self.running():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for relay in self.relays():
            relay.kill()
        self.kill()


def armed(point: str) -> tuple[str, ...]:
    """Return the options that let a process die at a failpoint."""
    return ('--config', f'devel.fleet-failpoint={point}') if point else ()


def serves(node: Node) -> bool:
    """Tell whether a mirror may answer requests now."""
    return refusal(node) == ''


def refusal(node: Node) -> str:
    """Return why a mirror must not answer now, as the web tier finds it."""
    from hgext3rd.fleet.adapters import system_clock
    from hgext3rd.fleet.core import shown

    clock = system_clock()
    try:
        now = shown.decode(node.shown.read_bytes())
    except FileNotFoundError:
        now = None
    return shown.refusal(now, clock.boot_id(), clock.boot())
