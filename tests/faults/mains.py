"""A fleet whose power can be cut: its nodes and its store are on disks.

Whoever works for a node is found by its environment: every process below this
one that reads the node's hgrc, or that a client has started.  At a cut all of
them are stopped where they are, the disks forget what they have not got, and
then the processes are killed, so nobody hears of anything that came after.
Nobody gets in before the disks are there again: Mercurial would go on without
the settings that it cannot find.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .blockdev import Disk
from .fleet import Fleet, Node, until

_SIZE = 2 << 30
_STORE = 'store'
_RECOVERY = 120.0


@dataclass(frozen=True)
class Outage:
    """A cut: which nodes it hit, whether the store too, and how."""

    nodes: tuple[str, ...]
    store: bool
    writeback: bool


class Mains(Fleet):
    """A fleet on disks: one for all, or one each with one for the store.

    ``weak`` are precautions that its nodes neglect, see ``reboot.py``.
    """

    def __init__(
        self,
        folder: Path,
        together: bool,
        settings: dict[str, str],
        weak: tuple[str, ...] = (),
    ) -> None:
        self._together = together
        self._weak = weak
        self._boots: dict[str, int] = {}
        self._heard: dict[str, str] = {}
        self.disks: dict[str, Disk] = {}
        self._opened = contextlib.ExitStack()
        try:
            super().__init__(
                folder,
                primaries=2,
                mirrors=1,
                settings=settings,
                extensions={'reboot': Path(__file__).with_name('reboot.py')},
            )
            self._boots = dict.fromkeys(self.nodes, 1)
            self._tell_boots()
            # What the administrator has set up is on the disks.
            os.sync()
        except BaseException:
            self._opened.close()
            raise

    def _node(self, name: str, role: str) -> Node:
        if not self.disks:
            self._plug(_STORE)
            store = self.folder / _STORE
            self.ledger = store / 'ledger' / 'ledger.db'
            self.ledger.parent.mkdir()
            self.blobs = store / 'blobs'
        self._plug(name)
        return super()._node(name, role)

    def _plug(self, name: str) -> None:
        """Have a folder on a disk."""
        place = self.folder / name
        if not self._together:
            self.disks[name] = self._disk(name, place)
            return
        if not self.disks:
            whole = self.folder / 'whole'
            self.disks['whole'] = self._disk('whole', whole)
        disk = self.disks['whole']
        disk.show(disk.place / name, place)

    def _disk(self, name: str, place: Path) -> Disk:
        disk = Disk(self.folder / f'{name}.image', place)
        disk.make(_SIZE)
        disk.mount()
        self._opened.callback(disk.unmount)
        return disk

    def _tell_boots(self) -> None:
        said = {name: f'boot {n}' for name, n in self._boots.items()}
        # Now and then a checkpoint falls between two cuts.
        body = {**said, 'every': 2.0, 'weak': self._weak}
        (self.folder / 'boots.json').write_text(json.dumps(body))

    def close(self) -> None:
        """End all, and take the disks away."""
        for pid in self._working(tuple(self.nodes)):
            _send(pid, signal.SIGKILL)
        super().close()
        self._opened.close()

    # -- the cut -----------------------------------------------------------

    def outage(self, chance: random.Random) -> Outage:
        """Draw what is to be cut."""
        writeback = chance.random() < 0.3
        if self._together or chance.random() < 0.5:
            return Outage(tuple(self.nodes), True, writeback)
        kept = chance.choice(sorted(self.nodes))
        hit = (kept,) if chance.random() < 0.7 else set(self.nodes) - {kept}
        return Outage(tuple(sorted(hit)), False, writeback)

    def cut(self, outage: Outage, chance: random.Random) -> None:
        """Cut the power; nothing of what was hit runs afterwards."""
        with self._dark(outage.nodes):
            self._cut(outage, chance)

    def _cut(self, outage: Outage, chance: random.Random) -> None:
        stopped = self._freeze(outage.nodes)
        names = [*outage.nodes, *([_STORE] if outage.store else [])]
        disks = [self.disks[name] for name in names if name in self.disks]
        if self._together:
            disks = list(self.disks.values())
        for name in outage.nodes:
            self._heard[name] = self.complaints(name)
        chance.shuffle(disks)
        for disk in disks:
            _flush_some(disk, chance)
        for disk in disks:
            disk.cut()
        for pid in stopped:
            _send(pid, signal.SIGKILL)
        self.kill(*outage.nodes)
        for disk in disks:
            disk.unmount()
        for name in outage.nodes:
            self._boots[name] += 1
        self._tell_boots()
        for disk in disks:
            disk.mount(outage.writeback)

    @contextlib.contextmanager
    def _dark(self, nodes: tuple[str, ...]) -> Iterator[None]:
        """Let nobody in there meanwhile; who is in already is found."""
        marks = [self.dark(self.nodes[name]) for name in nodes]
        for mark in marks:
            mark.touch()
        yield
        for mark in marks:
            mark.unlink()

    def complaints(self, name: str) -> str:
        """Return all that the daemons of a node have ever said."""
        now = self.nodes[name].complaints()
        before = self._heard.get(name, '')
        return now if now.startswith(before) else before + now

    def _freeze(self, nodes: tuple[str, ...]) -> list[int]:
        """Stop all processes of these nodes; return their ids."""
        stopped: list[int] = []
        while new := self._working(nodes) - set(stopped):
            for pid in new:
                _send(pid, signal.SIGSTOP)
            for pid in new:
                _await_stop(pid)
            stopped += new
        return stopped

    def _working(self, nodes: tuple[str, ...]) -> set[int]:
        """Return the processes that work for these nodes."""
        ours = {str(self.nodes[name].hgrc) for name in nodes}
        found = set()
        whole = dict(_processes())
        for pid, (parent, env) in whole.items():
            _parent, above = whole.get(parent, (0, {}))
            reads = env.get('HGRCPATH', '').partition(':')[0] in ours
            served = 'FLEET_HGRC' in above and env.get('FLEET_HGRC') in ours
            if reads or served:
                found.add(pid)
        return found

    # -- afterwards --------------------------------------------------------

    def recovered(self, names: Iterable[str]) -> None:
        """Wait until nothing on these nodes is doubted, and mirrors serve."""
        for name in names:
            until(
                lambda n=name: f'{n} is not recovered: {self.complaints(n)}',  # type: ignore[misc]
                lambda n=name: self._is_recovered(n),  # type: ignore[misc]
                _RECOVERY,
            )
        self.joined()

    def joined(self) -> None:
        """Wait until every mirror serves, of the boot that it has now."""
        for node in self.mirrors:
            until(
                f'{node.name} does not serve',
                lambda n=node: self._serves(n),  # type: ignore[misc]
                _RECOVERY,
            )

    def _is_recovered(self, name: str) -> bool:
        body = _json(self.nodes[name].folder / 'state' / 'boot.json')
        return self._has_booted(name, body) and body['doubted'] == []

    def _serves(self, node: Node) -> bool:
        body = _json(node.shown)
        return self._has_booted(node.name, body) and not body['joining']

    def _has_booted(self, name: str, body: dict[str, object]) -> bool:
        boot = f'boot {self._boots[name]}'
        return body.get('boot') in (boot, 'always')


def _json(path: Path) -> dict[str, object]:
    try:
        body: dict[str, object] = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return body


def _flush_some(disk: Disk, chance: random.Random) -> None:
    """Have some of its files written, as the kernel may do at any time."""
    share = chance.choice((0.0, 0.0, 0.1, 0.5))
    for path in disk.files():
        if chance.random() < share and path.is_file():
            with contextlib.suppress(FileNotFoundError):
                handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
                os.fsync(handle)
                os.close(handle)


def _processes() -> Iterator[tuple[int, tuple[int, dict[str, str]]]]:
    """Yield the id, the parent and the environment of processes."""
    for name in os.listdir('/proc'):
        if name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                stat = Path('/proc', name, 'stat').read_text()
                parent = int(stat.rpartition(')')[2].split()[1])
                raw = Path('/proc', name, 'environ').read_bytes()
                pairs = (each.partition(b'=') for each in raw.split(b'\0'))
                env = {os.fsdecode(k): os.fsdecode(v) for k, _, v in pairs}
                yield int(name), (parent, env)


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _await_stop(pid: int) -> None:
    """Wait until a process no longer runs; one that syncs may go on."""
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline:
        try:
            stat = Path('/proc', str(pid), 'stat').read_text()
        except OSError:
            return
        if stat.rpartition(')')[2].split()[0] in 'TtZX':
            return
        time.sleep(0.001)
