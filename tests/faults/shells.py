"""Shells: ``python tests/faults/shells.py --restarts 200 --seed S``.

Stock clients of chg run short commands, one after the other, while the
servers that answer them are made to change in every way that there is: a
module that they have loaded changes, or a configuration file; a server is
sent SIGTERM, or is killed, or its socket is taken away; a client comes with
a configuration of its own; the process of one command is killed.

Each command must be answered, and none by older code or configuration than
there was when it began.  A client that was talking to what has just been
killed fails, as it does not try again; such ones are counted as cut.  The
last line is ``restarts N, failed 0, stale 0, cut C, commands K, longest X ms
(calm Y ms), seed S``, and the exit code is 1 when one failed or was stale.
"""

from __future__ import annotations

import argparse
import contextlib
import enum
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

if __name__ == '__main__':
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from faults import longrun
from faults.restarts import percentile
from hgext3rd.fleet import files
from testlib import chgplace
from testlib.chgplace import Place

CLIENTS = 3
_CODE = """\
import os, time
from mercurial import registrar
cmdtable = {}
command = registrar.command(cmdtable)
CODE = %d
@command(b'tide', [], norepo=True)
def tide(ui):
    conf = ui.config(b'tide', b'conf')
    ui.write(b'%%d %%s %%d\\n' %% (CODE, conf, os.getpid()))
@command(b'waits', [], norepo=True)
def waits(ui):
    ui.write(b'%%d\\n' %% os.getpid())
    ui.flush()
    time.sleep(600)
"""


class Blow(enum.Enum):
    """What happens to the servers."""

    CODE = 'a module changed'
    CONFIG = 'a configuration file changed'
    OTHER = 'a client came with another configuration'
    TERM = 'SIGTERM'
    UNLINK = 'the socket was taken away'
    KILL = 'a server was killed'
    WORKER = 'the process of a command was killed'


@dataclass(frozen=True)
class Ran:
    """A command: from when to when (monotonic seconds), what came of it."""

    began: float
    ended: float
    least: tuple[int, int]
    code: int
    out: str
    err: str

    @property
    def problem(self) -> str:
        """What is wrong with the answer; '' for nothing."""
        if self.code or self.err or len(self.out.split()) != 3:
            return f'ended with {self.code}: {self.out!r} {self.err!r}'
        return ''

    @property
    def stale(self) -> str:
        """In what it was older than it had to be; '' for nothing."""
        code, conf, _pid = map(int, self.out.split())
        if code < self.least[0] or conf < self.least[1]:
            return f'saw {(code, conf)} when there was {self.least}'
        return ''


@dataclass
class Report:
    """What came of a run."""

    seed: str
    blows: list[tuple[Blow, float, float]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    cut: int = 0
    calm: list[float] = field(default_factory=list)
    waits: dict[Blow, list[float]] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether anything was not as it should be."""
        return bool(self.failures or self.stale or self.other)

    def closing(self) -> str:
        """Return the last line."""
        waits = [took for each in self.waits.values() for took in each]
        return (
            f'restarts {len(self.blows)}, failed {len(self.failures)}, '
            f'stale {len(self.stale)}, cut {self.cut}, '
            f'commands {len(waits) + len(self.calm)}, '
            f'longest {max(waits, default=0.0):.0f} ms '
            f'(calm {max(self.calm, default=0.0):.0f} ms), seed {self.seed}'
        )


class Room:
    """Where people type commands, and what changes around them."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.code = self.conf = 0
        self.ran: list[Ran] = []
        self.other: list[str] = []
        self._over = threading.Event()
        self._write()

    def _write(self) -> None:
        folder = self.place.folder
        # The length changes too: Python compares it and whole seconds.
        code = _CODE % self.code + '#' * self.code + '\n'
        files.replace(str(folder / 'tide.py'), code.encode())
        conf = f'[tide]\nconf = {self.conf}\n'
        files.replace(str(folder / 'tide.rc'), conf.encode())
        self.least = self.code, self.conf

    def begin(self) -> None:
        """Have something answered for the first time."""
        folder = self.place.folder
        self.place.configure(
            *('chg-servers = 4', '[extensions]', f'tide = {folder}/tide.py'),
            f'%include {folder}/tide.rc',
        )
        self.place.hg('tide')

    def change(self, blow: Blow) -> None:
        """Change a file; only from then on must answers be newer."""
        if blow is Blow.CODE:
            self.code += 1
        else:
            self.conf += 1
        self._write()

    def run(self, *words: str) -> Ran:
        """Run a command."""
        least, began = self.least, time.monotonic()
        code, out, err = self.place.ask(*words, 'tide')
        return Ran(began, time.monotonic(), least, code, out, err)

    @contextlib.contextmanager
    def busy(self, clients: int) -> Iterator[None]:
        """Within, people type."""
        threads = [threading.Thread(target=self._types) for _ in range(clients)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def _types(self) -> None:
        try:
            while not self._over.is_set():
                self.ran.append(self.run())
        except BaseException as problem:  # noqa: BLE001 told at the end
            self.other.append(f'a client has ended: {problem!r}')

    def answered(self, since: float) -> bool:
        """Tell whether somebody who came later has been answered."""
        return any(
            one.began > since and not one.problem for one in self.ran[-20:]
        )


def strike(room: Room, blow: Blow, chance: random.Random) -> None:
    """Deal one blow, and wait until somebody is answered again."""
    began = time.monotonic()
    servers = room.place.servers()
    pid = servers[0].pid if servers else 0
    if blow in (Blow.CODE, Blow.CONFIG):
        room.change(blow)
    elif blow is Blow.OTHER:
        name = f'alias.x{chance.randrange(9)}=tide'
        room.ran.append(room.run('--config', name))
    elif blow is Blow.UNLINK and servers:
        path = room.place.address.with_name(f'server-{servers[0].key}')
        path.unlink(missing_ok=True)
    elif blow is Blow.WORKER:
        _kill_command(room)
    elif pid:
        number = signal.SIGTERM if blow is Blow.TERM else signal.SIGKILL
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    chgplace.until(lambda: room.answered(began))


def _kill_command(room: Room) -> None:
    client = room.place.start('waits')
    assert client.stdout is not None
    pid = client.stdout.readline().strip()
    if pid:
        os.kill(int(pid), signal.SIGKILL)
    client.communicate()
    if client.returncode == 0:
        room.other.append('a command whose process was killed ended well')


def judge(room: Room, report: Report) -> None:
    """Sort the commands into those of each blow, and all others."""
    for one in room.ran:
        near = {
            blow
            for blow, began, ended in report.blows
            if one.began <= ended and one.ended >= began
        }
        if one.problem and Blow.KILL in near:
            report.cut += 1
            continue
        if one.problem:
            report.failures.append(f'{sorted(b.name for b in near)}: {one}')
            continue
        if one.stale:
            report.stale.append(one.stale)
        took = (one.ended - one.began) * 1000
        for blow in near:
            report.waits.setdefault(blow, []).append(took)
        if not near:
            report.calm.append(took)
    report.other += room.other


def run(
    folder: Path, restarts: int, seed: str, clients: int = CLIENTS
) -> Report:
    """Deal so many blows; return what came of it; raises chg.Missing."""
    report = Report(seed)
    chance = random.Random(f'shells {seed}')
    drawn = [*Blow, *chance.choices(list(Blow), k=restarts)][:restarts]
    chance.shuffle(drawn)
    folder.mkdir(parents=True)
    with chgplace.place(folder) as place:
        room = Room(place)
        room.begin()
        with room.busy(clients):
            for blow in drawn:
                time.sleep(chance.uniform(0.0, 0.6))
                began = time.monotonic()
                strike(room, blow, chance)
                report.blows.append((blow, began, time.monotonic()))
        living = len(place.servers())
        if living > 4:
            report.other.append(f'{living} servers live, and not 4')
        judge(room, report)
    return report


def tell(report: Report) -> None:
    """Print what happened and what was found."""
    print(f'{"milliseconds of a command":46} commands    p50    p99 longest')
    rows = [(blow.value, waits) for blow, waits in report.waits.items()]
    for words, waits in [*rows, ('between blows', report.calm)]:
        figures = [percentile(waits, p) if waits else 0 for p in (50, 99, 100)]
        shown = ' '.join(f'{each:6.0f}' for each in figures)
        print(f'{words:46} {len(waits):8} {shown}')
    found = [*report.failures, *report.stale, *report.other]
    for words in found[: longrun.MOST]:
        print(f'! {words}')


def _more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--clients', type=int, default=CLIENTS, metavar='N')


def main(argv: list[str]) -> int:
    """Run what the command line asks for; return the exit code."""
    return longrun.main(
        argv,
        __doc__,
        'shells',
        '--restarts',
        200,
        lambda folder, asked: run(
            folder, asked.count, asked.seed, asked.clients
        ),
        tell,
        _more,
    )


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
