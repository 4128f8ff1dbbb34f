"""Leaks: ``python tests/faults/leaks.py --sessions 100000 --seed S``.

Some clients have sessions of the warm server, in an order that follows from
the seed: several users, repositories with settings, hooks and extensions of
their own, environments and umasks that differ each time.  Hooks tell all that
the process of a session can see, and make a mess of it (``portrait.py``).

What a session must have seen, said and answered is known from a cold session
with the same inputs, which was had once at the start; what belongs to the
visit alone (variables of sshd, umask, descriptors) is put in its place.  Of
descriptors, and of what is loaded, a warm session may have others than a cold
one; those must be the same as in the first warm session.

Between some sessions nobody is served, and the server is measured: memory of
its largest process, descriptors, processes.  The last line is ``sessions N,
leaks 0, declined 0, memory FIRST..LAST MiB, seed S``; anything else that is
not as it should be stands before it, and then the exit code is 1.
"""

from __future__ import annotations

import argparse
import contextlib
import enum
import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

if __name__ == '__main__':
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from faults import gauge, longrun
from faults.gauge import Sample
from faults.scenery import CLOSED, SETTINGS, Scenery
from testlib.stdio import HELLO, call, push
from testlib.visitor import Seen, Visit, Visitor
from testlib.warmnode import USERS, WarmNode, serve, wait

CLIENTS = 4
SAMPLES = 40
WORD = 'PORTRAIT '
OWN_WAY = ('descriptors', 'modules', 'extensions')
_LEDGER = '/ledger.db'
_KEPT = ('HOME', 'SSH_CLIENT', 'SSH_CONNECTION')


class Kind(enum.Enum):
    """What a client asks for."""

    LIST = 'listkeys'
    KEY = 'pushkey, refused by a hook'
    PUSH = 'push, refused by a hook'
    CUT = 'push, cut off half way'
    HELLO = 'hello'
    DENIED = 'a repository that is closed to the user'
    BANNER = 'nothing'


WEIGHTS = {
    Kind.LIST: 8,
    Kind.KEY: 4,
    Kind.PUSH: 3,
    Kind.CUT: 1,
    Kind.HELLO: 2,
    Kind.DENIED: 1,
    Kind.BANNER: 1,
}
_WRITES = {Kind.KEY, Kind.PUSH, Kind.CUT}
_TELLS = {Kind.LIST, Kind.KEY, Kind.PUSH}
_LOCALES = ('C', 'de_DE.UTF-8', 'ja_JP.eucJP', 'nonsense')


@dataclass(frozen=True)
class Errand:
    """The inputs of a session that its answers depend on.

    Repositories of the same setting differ in nothing but their names.
    """

    kind: Kind
    user: str
    repo: str
    setting: int = -1

    def __str__(self) -> str:
        return f'{self.user}, {self.repo or "no repository"}, {self.kind.value}'

    @property
    def alike(self) -> tuple[Kind, str, int]:
        """What errands have in common that lead to the same."""
        return self.kind, self.user, self.setting


@dataclass
class Report:
    """What came of a run."""

    seed: str
    sessions: int = 0
    leaks: list[str] = field(default_factory=list)
    declined: int = 0
    other: list[str] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    differs: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def failed(self) -> bool:
        """Whether anything was not as it should be."""
        return bool(self.leaks or self.other)

    def closing(self) -> str:
        """Return the last line."""
        first, last = self.samples[0].memory, self.samples[-1].memory
        return (
            f'sessions {self.sessions}, leaks {len(self.leaks)}, declined '
            f'{self.declined}, memory {first:.1f}..{last:.1f} MiB, '
            f'seed {self.seed}'
        )


# -- what must be ------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """What a session has answered, and told of itself (None: nothing)."""

    out: str
    err: str
    status: int | None
    portrait: dict[str, Any] | None

    @staticmethod
    def of(seen: Seen, repo: str) -> Answer:
        """Take the first portrait out of what was said about ``repo``."""
        portrait = None
        words = []
        said = seen.err
        for name in {repo, quote(repo, '')} - {''}:
            said = said.replace(name, 'REPO')
        for line in said.splitlines(keepends=True):
            if not line.startswith(WORD):
                words.append(line)
            elif portrait is None:
                portrait = json.loads(line[len(WORD) :])
                portrait['descriptors'] = _roles(portrait, seen.pipes)
        return Answer(seen.out, ''.join(words), seen.status, portrait)


def _roles(portrait: dict[str, Any], pipes: list[int]) -> dict[str, int]:
    """Return the descriptors, with pipes named by what they are for."""
    names = ('stdin', 'stdout', 'stderr')
    mine = {f'pipe {n}': name for n, name in zip(pipes, names, strict=True)}
    found: Counter[str] = Counter()
    for what, count in portrait['descriptors'].items():
        if what.startswith(_LEDGER, what.rfind('/')):
            # Open or not, by what there was to catch up with.  The server
            # itself must not have it open, see Run.close().
            continue
        strange = 'another pipe' if what.startswith('pipe ') else what
        found[mine.get(what, strange)] += count
    return dict(found)


def expected(
    cold: dict[str, Any], warm: dict[str, Any], visit: Visit, seen: Seen
) -> dict[str, Any]:
    """Return the portrait that this very session must have."""
    kept = {name: visit.env[name] for name in _KEPT}
    own = {} if seen.cold else {name: warm[name] for name in OWN_WAY}
    return {
        **cold,
        **own,
        'environment': {**cold['environment'], **kept},
        'os.environ': {**cold['os.environ'], **kept},
        'umask': f'{visit.umask:o}',
        'standard': seen.pipes[2],
    }


def differences(wanted: Any, found: Any, where: str) -> Iterator[str]:
    """Yield in which places two things of JSON differ."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for name in sorted({*wanted, *found}):
            yield from differences(
                wanted.get(name), found.get(name), f'{where}: {name}'
            )
    elif wanted != found:
        yield f'{where} is {found!r:.300} instead of {wanted!r:.300}'


# -- the run -----------------------------------------------------------------


class Run:
    """A node, its clients, and what must be."""

    def __init__(self, node: WarmNode, scenery: Scenery, report: Report):
        self._node = node
        self._scenery = scenery
        self.report = report
        self._cold: dict[tuple[Kind, str, int], Answer] = {}
        self._warm: dict[tuple[Kind, str, int], Answer] = {}
        self._numbers: set[int] = set()
        self._guard = threading.Lock()
        self._visitors: list[Visitor] = []

    def have(self, clients: int, stack: contextlib.ExitStack) -> None:
        """Start the clients."""
        pash = self._node.command('ann')[3]
        for _each in range(clients):
            self._visitors.append(stack.enter_context(Visitor(pash)))

    def _each_client(self, work: Callable[[int], None]) -> None:
        with ThreadPoolExecutor(len(self._visitors)) as pool:
            list(pool.map(work, range(len(self._visitors))))

    def learn(self) -> None:
        """Have every errand done once cold, and once warm."""

        wanted = {
            each.alike: each for each in sorted(self._errands(0), key=str)
        }
        errands = list(wanted.values())

        def work(client: int) -> None:
            # Others than the first look at its repositories, and write too;
            # they wait for each other then.
            for errand in errands[client :: len(self._visitors)]:
                chance = random.Random(f'{errand}')
                for known, warm in ((self._cold, False), (self._warm, True)):
                    visit = self._visit(errand, chance, warm)
                    seen = self._visitors[client].visit(visit)
                    known[errand.alike] = Answer.of(seen, errand.repo)

        self._each_client(work)
        for errand in errands:
            self._learned(
                errand, self._cold[errand.alike], self._warm[errand.alike]
            )

    def _learned(self, errand: Errand, cold: Answer, warm: Answer) -> None:
        tells = errand.kind in _TELLS and self._may(errand)
        if tells and not (cold.portrait and warm.portrait):
            words = f'{errand} tells nothing: {cold.err!r} {warm.err!r}'
            raise AssertionError(words)
        if not tells and cold.portrait:
            raise AssertionError(f'{errand} tells something')
        for part in OWN_WAY if tells else ():
            assert cold.portrait is not None
            assert warm.portrait is not None
            for words in differences(
                cold.portrait[part], warm.portrait[part], part
            ):
                self.report.differs[words] += 1

    @staticmethod
    def _may(errand: Errand) -> bool:
        return errand.kind not in _WRITES or errand.user != 'bob'

    def _errands(self, client: int) -> set[Errand]:
        """Return all that a client may do; it writes to its own alone."""
        found = {Errand(Kind.BANNER, user, '') for user in USERS if client == 0}
        for setting in range(len(SETTINGS)):
            repo = self._scenery.name(setting, client)
            found |= {
                Errand(kind, user, repo, setting)
                for kind in Kind
                if kind not in (Kind.BANNER, Kind.DENIED)
                for user in USERS
                if kind not in (Kind.CUT, Kind.HELLO) or user == 'ann'
            }
        return found | {Errand(Kind.DENIED, 'bob', CLOSED)}

    def work(self, sessions: int) -> None:
        """Have so many sessions, and take samples between them."""
        began = time.monotonic()
        count = max(8, min(SAMPLES, sessions // 100))
        known = [
            sorted(self._errands(client), key=str)
            for client in range(len(self._visitors))
        ]
        shared = sorted(
            {one for each in known for one in each if one.kind not in _WRITES},
            key=str,
        )
        self._sample()
        for batch in range(count):
            done = sessions * batch // count
            total = sessions * (batch + 1) // count - done

            def work(client: int, b: int = batch, t: int = total) -> None:
                chance = random.Random(f'{self.report.seed} {b} {client}')
                clients = len(self._visitors)
                for _each in range(t // clients + (client < t % clients)):
                    self._go(client, chance, known[client], shared)

            self._each_client(work)
            self._sample()
        self.report.seconds = time.monotonic() - began

    def _go(
        self,
        client: int,
        chance: random.Random,
        own: list[Errand],
        shared: list[Errand],
    ) -> None:
        (kind,) = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))
        among = own if kind in _WRITES else shared
        errand = chance.choice([one for one in among if one.kind is kind])
        visit = self._visit(errand, chance, True)
        seen = self._visitors[client].visit(visit)
        with self._guard:
            self.report.sessions += 1
            self.report.kinds[kind.value] += 1
            self.report.declined += seen.cold
            number = self.report.sessions
            for words in self._judge(errand, visit, seen):
                self.report.leaks.append(f'session {number}, {errand}: {words}')

    def _judge(self, errand: Errand, visit: Visit, seen: Seen) -> Iterator[str]:
        found, cold = Answer.of(seen, errand.repo), self._cold[errand.alike]
        for part in ('out', 'err', 'status'):
            yield from differences(
                getattr(cold, part), getattr(found, part), part
            )
        warm = self._warm[errand.alike]
        if not (found.portrait and cold.portrait and warm.portrait):
            return
        wanted = expected(cold.portrait, warm.portrait, visit, seen)
        number = found.portrait.pop('number')
        wanted.pop('number')
        if number in self._numbers:
            yield f'number: another session has drawn {number}'
        self._numbers.add(number)
        for part, value in wanted.items():
            yield from differences(value, found.portrait.get(part), part)

    def _visit(
        self, errand: Errand, chance: random.Random, warm: bool
    ) -> Visit:
        """Make up what does not matter to the answer."""
        mark = f'{chance.getrandbits(48):x}'
        command = serve(errand.repo) if errand.repo else ''
        return Visit(
            tuple(self._node.command(errand.user, warm)[4:]),
            {
                'SSH_ORIGINAL_COMMAND': command,
                'HOME': f'/home/{mark}',
                'SSH_CLIENT': f'10.0.0.1 {chance.randrange(65536)} 22',
                'SSH_CONNECTION': f'10.0.0.1 {mark} 10.0.0.2 22',
                # All that follows must never get in.
                'LANG': chance.choice(_LOCALES),
                'LC_ALL': chance.choice(_LOCALES),
                'TZ': chance.choice(('UTC', 'Asia/Tokyo')),
                'HGRCPATH': f'/{mark}',
                'HGPLAIN': '',
                'PYTHONPATH': f'/{mark}',
                'USER': mark,
                f'STRANGE_{mark}': mark,
            },
            self._said(errand),
            chance.choice((0o022, 0o002, 0o027, 0o077, 0)),
        )

    def _said(self, errand: Errand) -> str:
        listing = call(b'listkeys', namespace=b'bookmarks')
        moving = call(
            b'pushkey',
            namespace=b'bookmarks',
            key=b'new',
            old=b'',
            new=self._scenery.tip,
        )
        pushing = push(self._scenery.bundle)
        said = {
            Kind.LIST: HELLO + listing,
            Kind.KEY: HELLO + moving,
            Kind.PUSH: pushing,
            Kind.CUT: pushing[: -len(self._scenery.bundle) // 2],
            Kind.HELLO: b'hello\n',
        }
        return said.get(errand.kind, b'').decode('latin-1')

    # -- the server ----------------------------------------------------------

    def _sample(self) -> None:
        """Measure the server when no session is left."""
        if self.report.samples:
            most = self.report.samples[0].processes
            try:
                wait(
                    f'the server does not go back to {most} processes',
                    lambda: len(self._node.family()) <= most,
                    lambda: f'{len(self._node.family())} are there',
                )
            except AssertionError as problem:
                self.report.other.append(f'{problem}')
        else:
            gauge.settle(self._node)
        self.report.samples.append(gauge.take(self._node))

    def close(self) -> None:
        """Judge what the samples say, and the logs."""
        self.report.other += self._node.broken()
        self.report.other += [
            f'the server has {each} open'
            for each in gauge.opened(self._node)
            if _LEDGER in each
        ]
        self.report.other += gauge.judged(self.report.samples)


def run(
    folder: Path,
    sessions: int,
    seed: str,
    suite: bool = True,
    clients: int = CLIENTS,
    settings: str = '',
    begin: Callable[[], object] = lambda: None,
) -> Report:
    """Have so many sessions; return what came of it.

    ``settings`` are added to the node's; ``begin`` is called when it is known
    what sessions must see.
    """
    report = Report(seed)
    with contextlib.ExitStack() as stack:
        node = WarmNode(folder, suite, settings)
        scenery = Scenery(node, clients)
        stack.enter_context(node)
        it = Run(node, scenery, report)
        it.have(clients, stack)
        it.learn()
        begin()
        it.work(sessions)
        it.close()
    return report


def tell(report: Report) -> None:
    """Print what happened and what was found."""
    rate = report.sessions / report.seconds
    print(f'{report.seconds:.0f} s, {rate:.0f} sessions a second')
    for words, count in sorted(report.kinds.items()):
        print(f'{count:7}: {words}')
    for words, count in report.differs.most_common(longrun.MOST):
        print(f'always, in {count} errands: {words}')
    print(
        'server, at rest:',
        *(
            f'{s.memory:.1f} MiB/{s.descriptors} fds/{s.processes} processes'
            for s in report.samples[:: max(1, len(report.samples) // 4)]
        ),
        sep=' ',
    )
    for words in [*report.leaks, *report.other][: longrun.MOST]:
        print(f'! {words}')


def _more(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add('--bare', action='store_true', help='only what a session needs')
    add('--clients', type=int, default=CLIENTS, metavar='N')


def main(argv: list[str]) -> int:
    """Run what the command line asks for; return the exit code."""
    return longrun.main(
        argv,
        __doc__,
        'leaks',
        '--sessions',
        100_000,
        lambda folder, asked: run(
            folder, asked.count, asked.seed, not asked.bare, asked.clients
        ),
        tell,
        _more,
    )


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
