"""How fast sessions over SSH begin, and how many there can be.

Everything that is compared is measured in turn, in one run, on this machine;
figures are medians.

    floor        an interpreter that does nothing: python3 -I -S -E -c pass
    hello        from the start of the forced command (pash.py) to the first
                 byte of the answer to ``hello``: warm, and without a server
    bare, suite  with what a session needs, and with all of hgrc.d/primary.rc
                 as hgfleet up configures it
    chg          Mercurial's own, of the same release, built from its source:
                 ``chg -R REPO serve --stdio`` with no extension
    CPU          of the server for one session: what /proc says of the server
                 and its processes, also ended ones, before and after the
                 sessions of a turn, by the number of sessions
    sshd         the same ``hello`` and ``hg id`` through an sshd of hgfleet's,
                 with a connection for each, and with one that is shared

Sessions per second are counted twice.  First with clients that cost next to
nothing, so that what is measured is the server: chg's is a program in C, ours
is the forced command in a fork; what they use is printed, and should be about
the same.  Then as sshd would start them: a forced command in Python in front
of either.

Prints a table, or JSON; ends with 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / 'tests' / 'names')]
sys.path += [str(ROOT), str(ROOT / 'tests')]

from bench.figures import Report, least, load, machine, most, p50, say  # noqa: E402
from bench.spawned import crowd, session, silent  # noqa: E402

from testlib import chg  # noqa: E402
from testlib.warmnode import HG, PLAIN, WarmNode, serve, wait  # noqa: E402

REPO = 'open/demo'
HELLO = b'hello\n'
CLIENTS = 4
TURNS = 4
ALLOWED, GRACE = 1.6, 4.0
FASTER = 8.0
CPU = 12.0
RATE = 3.0
SHELLS = 0.9
_REST = 0.02
_TICKS = os.sysconf('SC_CLK_TCK')
_LAUNCH = """\
import posix, sys
posix.chdir('/')
posix.execve(sys.argv[1], sys.argv[1:], posix.environ)
"""

Way = Callable[[], float]


@dataclass
class Course:
    """What some clients do at the same time; how much came of it."""

    mode: str
    argv: list[str]
    env: dict[str, str]
    pid: int
    sessions: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    cpu_of_clients: float = 0.0

    def run(self, seconds: float) -> None:
        """Have them do it for a while."""
        cpu, clients = used(self.pid), _waited_for()
        self.sessions += crowd(
            self.mode, self.argv, self.env, HELLO, CLIENTS, seconds
        )
        self.seconds += seconds
        self.cpu += used(self.pid) - cpu
        self.cpu_of_clients += _waited_for() - clients

    @property
    def rate(self) -> float:
        """Sessions a second."""
        return self.sessions / self.seconds

    @property
    def cost(self) -> float:
        """Milliseconds of the server's CPU for one session."""
        return self.cpu * 1000 / self.sessions

    @property
    def cost_of_client(self) -> float:
        """Milliseconds of a client's CPU for one session, its start too."""
        return self.cpu_of_clients * 1000 / self.sessions


def _waited_for() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@dataclass
class Figures:
    """Everything that was measured, by name."""

    times: dict[str, list[float]] = field(default_factory=dict)
    courses: dict[str, Course] = field(default_factory=dict)

    def take(self, ways: dict[str, Way], rounds: int) -> None:
        """Measure all ways in turn, in another order each time."""
        chance = random.Random(rounds)
        for name, way in ways.items():
            self.times[name] = []
            way()
        for number in range(rounds):
            if number % 20 == 0:
                say(f'round {number} of {rounds}')
            for name in chance.sample(list(ways), len(ways)):
                time.sleep(_REST)
                self.times[name].append(ways[name]())

    def p50(self, name: str) -> float:
        """Return the median of one way."""
        return p50(self.times[name])


def used(pid: int) -> float:
    """Return the seconds of CPU of a process and of all below it.

    Those that have ended count, as far as they were waited for.
    """
    whole: dict[int, tuple[int, int]] = {}
    for name in filter(str.isdigit, os.listdir('/proc')):
        with contextlib.suppress(OSError):
            stat = Path(f'/proc/{name}/stat').read_text().rpartition(')')[2]
            fields = stat.split()
            whole[int(name)] = int(fields[1]), sum(map(int, fields[11:15]))
    found, ticks = {pid}, 0
    while found:
        ticks += sum(whole[one][1] for one in found if one in whole)
        found = {one for one, (parent, _t) in whole.items() if parent in found}
    return ticks / _TICKS


def door(node: WarmNode, warm: bool = True) -> tuple[list[str], dict[str, str]]:
    """Return what sshd would start for a client, and with what around it."""
    env = {'SSH_ORIGINAL_COMMAND': serve(REPO), 'HOME': '/', 'PATH': '/usr/bin'}
    return node.command('ann', warm), env


# -- what is measured --------------------------------------------------------


def starts(
    nodes: dict[str, WarmNode], shells: dict[str, dict[str, str]]
) -> dict[str, Way]:
    """Return the ways of which single ones are timed."""
    floor = [sys.executable, '-I', '-S', '-E', '-c', 'pass']
    ways: dict[str, Way] = {'floor': lambda: silent(floor, {})}
    for name, node in nodes.items():
        for heat in ('warm', 'cold'):
            argv, env = door(node, heat == 'warm')
            ways[f'hello, {name}, {heat}'] = lambda a=argv, e=env: (  # type: ignore[misc]
                session(a, e, HELLO).first
            )
    repo = str(nodes['bare'].repos / REPO)
    for name, env in shells.items():
        argv = [str(chg.client()), '-R', repo, 'log', '-l1']
        ways[f'chg log -l1, {name}'] = lambda a=argv, e=env: (  # type: ignore[misc]
            session(a, e).whole
        )
    return ways


def crowds(
    nodes: dict[str, WarmNode], env: dict[str, str], folder: Path
) -> dict[str, Course]:
    """Return what several clients do at a time."""
    launch = folder / 'launch.py'
    launch.write_text(_LAUNCH)
    repo = str(nodes['bare'].repos / REPO)
    stock = [str(chg.client()), '-R', repo, 'serve', '--stdio']
    behind = [sys.executable, '-I', '-S', str(launch), *stock]
    session(stock, env, HELLO)
    listens = listener(env['CHGSOCKNAME'])
    found = {'chg': Course('spawn', stock, env, listens)}
    for name, node in nodes.items():
        found[f'warm, {name}'] = Course('fork', *door(node), node.pid)
    found['forced command, chg'] = Course('spawn', behind, env, listens)
    for name, node in nodes.items():
        course = Course('spawn', *door(node), node.pid)
        found[f'forced command, warm, {name}'] = course
    return found


def listener(path: str) -> int:
    """Return the process that listens at a socket."""
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(path)
        credentials = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[:4], sys.byteorder)


@contextlib.contextmanager
def shell(folder: Path, hgrc: str) -> Iterator[dict[str, str]]:
    """Yield the environment for chg; it starts a server when there is none."""
    folder.mkdir()
    folder.chmod(0o700)
    env = {
        'PATH': os.environ.get('PATH', os.defpath),
        'HOME': str(folder),
        'LANG': 'C.UTF-8',
        'HGPLAIN': '1',
        'HGENCODING': 'utf-8',
        'HGRCPATH': hgrc,
        'CHGHG': HG,
        'CHGSOCKNAME': str(folder / 'server'),
    }
    try:
        yield env
    finally:
        # It asks the server to end, and does not wait for that.
        subprocess.run(
            [chg.client(), '--kill-chg-daemon'], env=env, check=True, cwd='/'
        )


@contextlib.contextmanager
def shared(config: Path, path: Path) -> Iterator[list[str]]:
    """Have a connection that others can use; yields their options."""
    options = ['-o', f'ControlPath={path}']
    master = subprocess.Popen(
        ['ssh', '-F', config, *options, '-M', '-N', 'fleet'],
        stdin=subprocess.DEVNULL,
    )
    try:
        wait(
            'ssh does not share its connection',
            lambda: path.exists() or master.poll() is not None,
        )
        if master.poll() is not None:
            said = config.with_suffix('.log').read_text()
            raise SystemExit(f'ssh does not get in: {said[-2000:]}')
        yield options
    finally:
        master.terminate()
        master.wait()


def over_ssh(
    node: WarmNode, stack: contextlib.ExitStack, folder: Path
) -> dict[str, Way]:
    """Return the ways through an sshd."""
    ways: dict[str, Way] = {}
    ssh = str(_program('ssh'))
    for heat in ('warm', 'cold'):
        config = node.open_door(heat == 'warm')
        link = stack.enter_context(shared(config, folder / heat))
        for kind, more in (('fresh', []), ('shared', link)):
            words = [ssh, '-F', str(config), *more]
            asks = [*words, 'fleet', serve(REPO)]
            ways[f'sshd, {kind}, hello, {heat}'] = lambda a=asks: (  # type: ignore[misc]
                session(a, PLAIN, HELLO).first
            )
            client = f'ui.ssh={" ".join(words)}'
            id_ = [HG, 'id', '--config', client, f'ssh://fleet/{REPO}']
            env = {**PLAIN, 'HGRCPATH': ''}
            ways[f'sshd, {kind}, hg id, {heat}'] = lambda a=id_, e=env: (  # type: ignore[misc]
                session(a, e).whole
            )
    return ways


def _program(name: str) -> Path:
    for folder in os.environ.get('PATH', os.defpath).split(os.pathsep):
        if os.access(Path(folder, name), os.X_OK):
            return Path(folder, name).absolute()
    raise SystemExit(f'{name} is missing')


# -- the run -----------------------------------------------------------------


def measure(
    folder: Path, rounds: int, seconds: float, sshd: bool = True
) -> Figures:
    """Have everything up, and measure it."""
    figures = Figures()
    with contextlib.ExitStack() as stack:
        nodes = {}
        for name in ('bare', 'suite'):
            say(f'{name}: starting a node')
            node = WarmNode(folder / name, name == 'suite')
            node.create(REPO)
            _fill(node)
            nodes[name] = stack.enter_context(node)
        ours = folder / 'ours.rc'
        ours.write_text('[extensions]\nwarmserver =\n')
        shells = {
            name: stack.enter_context(shell(folder / name, hgrc))
            for name, hgrc in (('stock', ''), ('with warmserver', str(ours)))
        }
        figures.take(starts(nodes, shells), rounds)
        figures.courses = crowds(nodes, shells['stock'], folder)
        for turn in range(TURNS):
            say(f'turn {turn + 1} of {TURNS}')
            for course in figures.courses.values():
                course.run(seconds)
        if sshd:
            say('through sshd')
            ways = over_ssh(nodes['suite'], stack, folder)
            figures.take(ways, max(3, rounds // 4))
    return figures


def _fill(node: WarmNode) -> None:
    """Give the repository one changeset."""
    work = node.folder / 'work'
    env = {**PLAIN, 'HGRCPATH': '', 'HGUSER': 'bench'}
    node.hg('init', str(work), env=env)
    (work / 'file').write_text('bench\n')
    node.hg('-R', str(work), 'commit', '-qAm', 'one', env=env)
    node.hg('-R', str(node.repos / REPO), 'pull', '-q', str(work))


def describe(report: Report, figures: Figures) -> None:
    """Add the figures to the report."""
    add, of = report.add, figures.p50
    floor = of('floor')
    add('floor', floor, 'ms')
    for name in ('bare', 'suite'):
        warm, cold = (of(f'hello, {name}, {heat}') for heat in ('warm', 'cold'))
        add(f'hello, {name}, warm', warm, 'ms')
        add(f'hello, {name}, cold', cold, 'ms')
        ratio = warm / (floor + GRACE)
        add(f'{name}: warm / (floor + 4 ms)', ratio, 'x', most(ALLOWED))
        add(f'{name}: cold / warm', cold / warm, 'x', least(FASTER))
    for name, course in figures.courses.items():
        add(f'sessions a second, {name}', course.rate, '')
    rates = {name: course.rate for name, course in figures.courses.items()}
    for front in ('', 'forced command, '):
        for name in ('bare', 'suite'):
            ratio = rates[f'{front}warm, {name}'] / rates[f'{front}chg']
            add(f'{front}warm, {name} / chg', ratio, 'x', least(RATE))
    for name in ('chg', 'warm, bare', 'warm, suite'):
        cost = figures.courses[name].cost
        target = None if name == 'chg' else most(CPU)
        add(f'CPU of a session, {name}', cost, 'ms', target)
    for name in ('chg', 'warm, bare', 'warm, suite'):
        cost = figures.courses[name].cost_of_client
        add(f'CPU of a client, {name}', cost, 'ms')
    stock, ours = (
        of(f'chg log -l1, {name}') for name in ('stock', 'with warmserver')
    )
    add('chg log -l1, stock', stock, 'ms')
    add('chg log -l1, with warmserver', ours, 'ms')
    add('with warmserver / stock', ours / stock, 'x', most(SHELLS))
    for name in figures.times:
        if name.startswith('sshd'):
            add(name, of(name), 'ms')


def main(argv: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog='bench/sessions.py', description=(__doc__ or '').split('\n')[0]
    )
    parser.add_argument('--rounds', type=int, default=100)
    parser.add_argument('--seconds', type=float, default=5.0)
    parser.add_argument('--no-sshd', action='store_true')
    parser.add_argument('--json', action='store_true')
    options = parser.parse_args(argv)
    report = Report('sessions', machine(), load())
    with tempfile.TemporaryDirectory(prefix='hgfleet-bench-') as folder:
        figures = measure(
            Path(folder), options.rounds, options.seconds, not options.no_sshd
        )
    report.note(
        f'{options.rounds} rounds; {CLIENTS} clients at a time for '
        f'{TURNS} x {options.seconds:g} s'
    )
    describe(report, figures)
    print(report.json() if options.json else report.table())
    return report.exit_code()


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
