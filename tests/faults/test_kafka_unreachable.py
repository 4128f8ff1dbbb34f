"""Kafka is away before, while, or after the entry of a push is appended."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from testlib import kafka
from testlib.netproxy import Passage

from . import book, picture, watcher
from .brokers import Brokers
from .client import Verdict, stock, verdict
from .fleet import HG, Fleet, refusal, serves, until
from .web import Reader, Web
from .yard import Yard

# Longer than any of the outages in which reading goes on.
LEASE = 60.0
SHORT = 6.0
PATIENCE = 6.0
# In which a push that waits is found, and Kafka taken away.
PAUSE = 6
NAMES = ('p1', 'm1', 'm2')
MAYBE = 'the push may still arrive; pull before trying again'


@dataclass
class Place:
    """A fleet, its brokers, and what its mirrors answer."""

    yard: Yard
    brokers: Brokers
    webs: list[Web]

    @property
    def fleet(self) -> Fleet:
        return self.yard.fleet

    @contextmanager
    def away(
        self, passage: Passage = Passage.CUT, *names: str
    ) -> Iterator[None]:
        """Let nobody (or not these) reach Kafka within."""
        self.brokers.disturb(names or NAMES, passage)
        try:
            yield
        finally:
            self.brokers.disturb(names or NAMES, Passage.OPEN)

    def tips(self, repo: str) -> list[str]:
        return [web.tip(repo) for web in self.webs]


@contextmanager
def place(folder: Path, lease: float) -> Iterator[Place]:
    try:
        kafka.jars()
    except kafka.Missing as reason:
        pytest.skip(str(reason))
    settings = {'partitions': '1', 'lease': str(lease)}
    with ExitStack() as opened:
        brokers = Brokers(folder / 'kafka', NAMES, 1, PATIENCE, brokers=1)
        opened.enter_context(brokers)
        fleet = Fleet(folder / 'fleet', 1, 2, settings, brokers=brokers)
        opened.enter_context(fleet)
        yard = Yard(fleet, opened.enter_context(stock(fleet)))
        fleet.start()
        fleet.joined()
        webs = [
            opened.enter_context(Web(fleet, node.name))
            for node in fleet.mirrors
        ]
        yield Place(yard, brokers, webs)


@pytest.fixture(scope='module')
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A fleet in which each test makes a repository of its own."""
    with place(tmp_path_factory.mktemp('patient'), LEASE) as one:
        yield one


def made(here: Place, repo: str) -> str:
    """Make a repository with one push that all show; return its tip."""
    here.yard.create(repo)
    here.yard.shows(repo)
    tip = here.yard.clones[repo].line[here.yard.clones[repo].at]
    assert here.tips(repo) == [tip, tip]
    return tip


def on_primary(here: Place, repo: str) -> list[str]:
    node = here.fleet.nodes['p1']
    seen = picture.take(here.yard.hg, node, repo)
    assert seen is not None
    return seen.nodes


def ssh_tip(here: Place, repo: str) -> str:
    """Return the tip that a client gets from the primary."""
    clone = here.yard.clones[repo]
    node = here.fleet.nodes['p1']
    door = here.fleet.door(node, f'read.{repo}', '')
    done = subprocess.run(
        [HG, 'identify', '--debug', '-r', 'tip', '--id', f'ssh://p1/{repo}'],
        env={**_client(here), **door},
        cwd=clone.path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[-1]


def _client(here: Place) -> dict[str, str]:
    hgrc = here.fleet.folder / 'clients' / 'hgrc'
    return {**here.fleet.environment(), 'HGRCPATH': str(hgrc)}


def nothing_happened(here: Place, repo: str, tip: str, reader: Reader) -> None:
    """Check what everybody has and has seen after a push that failed."""
    assert on_primary(here, repo)[-1] == tip
    assert ssh_tip(here, repo) == tip
    assert here.tips(repo) == [tip, tip]
    assert set(reader.seen) == {tip}
    assert len(reader.seen) > 2


def all_agree(here: Place, repo: str) -> None:
    here.yard.equal(repo)
    here.yard.shows(repo)
    (one,) = set(here.tips(repo))
    assert one == on_primary(here, repo)[-1]
    for node in here.fleet.nodes.values():
        assert node.quarantined(repo) == ''


def test_away_before_the_push(here: Place) -> None:
    tip = made(here, 'before')
    with Reader(here.webs, 'before') as reader, here.away():
        verdict, said = here.yard.push('before')
        assert verdict is Verdict.REFUSED, said
        assert 'no answer in time' in said
        assert MAYBE not in said
        assert 'Traceback' not in said
        nothing_happened(here, 'before', tip, reader)
    here.yard.clones['before'].at -= 1
    assert here.yard.entries('before') == 2
    here.yard.pushed('before')
    all_agree(here, 'before')


def _push_into(
    here: Place, repo: str, point: str, passage: Passage
) -> tuple[Verdict, str]:
    """Push; Kafka goes away when the push has come to a failpoint."""
    clone = here.yard.clones[repo]
    node = here.fleet.nodes['p1']
    before = here.yard.entries(repo)
    push = clone.pushing(
        node, f'p1.{repo}', '-r', clone.ahead(1), point=f'{point} pause {PAUSE}'
    )
    if point == 'publish.appended':
        until('nothing is appended', lambda: here.yard.entries(repo) > before)
    else:
        until('no push has begun', lambda: node.unfinished(repo))
    here.brokers.disturb(NAMES, passage)
    said, _nothing = push.communicate(timeout=240)
    return verdict(push.returncode, said), said


def test_cut_off_while_it_is_appended(here: Place) -> None:
    # It cannot have been sent.
    assert not _sent(here, 'during-cut', Passage.CUT)


@pytest.mark.parametrize('passage', [Passage.MUTE, Passage.HELD])
def test_away_while_it_is_appended(here: Place, passage: Passage) -> None:
    # It is not sent when a connection was still to be made just then.
    name = f'during-{passage.name.lower()}'
    assert any(_sent(here, f'{name}-{n}', passage) for n in range(4))


def _sent(here: Place, repo: str, passage: Passage) -> bool:
    """Push into an outage; check all, and tell whether it may have arrived."""
    tip = made(here, repo)
    with Reader(here.webs, repo) as reader, here.away(Passage.OPEN):
        told, said = _push_into(here, repo, 'publish.before', passage)
        assert 'Traceback' not in said
        assert 'rollback completed' in said
        sent = MAYBE in said
        assert told is (Verdict.UNKNOWN if sent else Verdict.REFUSED), said
        nothing_happened(here, repo, tip, reader)
    if not sent:
        here.yard.clones[repo].at -= 1
    # What may still arrive has arrived before this one, or never will.
    here.yard.pushed(repo)
    arrived = book.read(here.fleet.source).by_user(f'p1.{repo}')
    if not sent:
        assert arrived == []
    elif passage is Passage.MUTE:
        assert [page.valid for page in arrived] == [True]
    all_agree(here, repo)
    return sent


def test_away_after_it_was_appended(here: Place) -> None:
    """Nothing came between, so the ledger need not be asked any more."""
    tip = made(here, 'after')
    clone = here.yard.clones['after']
    with Reader(here.webs, 'after') as reader, here.away(Passage.OPEN):
        told, said = _push_into(here, 'after', 'publish.appended', Passage.CUT)
        assert (told, MAYBE in said) == (Verdict.DONE, False), said
        assert 'Traceback' not in said
        assert on_primary(here, 'after')[-1] == clone.line[clone.at] != tip
        assert set(reader.seen) <= {tip, *clone.line}
        # One may know already that both have it, and the other not yet.
        seen = watcher.glance(here.fleet.mirrors, ['after'])
    assert not [*watcher.early([seen], book.read(here.fleet.source))]
    all_agree(here, 'after')
    assert on_primary(here, 'after')[-1] == clone.line[clone.at]


def _stops(node: str, fleet: Fleet) -> Callable[[], bool]:
    return lambda: not serves(fleet.nodes[node])


def test_longer_than_a_lease(tmp_path: Path) -> None:
    """Who is cut off alone and who is not cannot be told from there."""
    with place(tmp_path, SHORT) as here:
        fleet = here.fleet
        tip = made(here, 'demo')
        with here.away(Passage.CUT, 'm1'):
            until('m1 serves without a lease', _stops('m1', fleet))
            here.yard.pushed('demo')
            here.yard.shows('demo', 'm2')
            assert here.webs[0].ask('demo/raw-rev/tip')[0] == 503
            assert here.webs[1].tip('demo') != tip
        all_agree(here, 'demo')
        with here.away():
            for node in fleet.mirrors:
                until(f'{node.name} serves', _stops(node.name, fleet))
                assert 'lost touch' in refusal(node)
            assert {web.ask('demo/raw-rev/tip')[0] for web in here.webs} == {
                503
            }
            assert ssh_tip(here, 'demo') == on_primary(here, 'demo')[-1]
        all_agree(here, 'demo')
        here.yard.pushed('demo')
        all_agree(here, 'demo')
