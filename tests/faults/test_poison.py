"""Damage: each kind is named, stops one repository, and heals when cured.

All repositories are damaged at once, each in its own way, and cured at once;
the tests look at what happened to each of them.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import pytest

from . import poison
from .client import stock
from .fleet import Fleet
from .poison import Cure
from .yard import Yard

SETTINGS = {'partitions': '1', 'lease': '3', 'inline-limit': '1 KB'}
SOUND = 'sound'


@dataclass(frozen=True)
class Case:
    """A way to damage, and what is then to be read.

    ``size`` changesets are in the entry that is damaged after it was
    acknowledged; 0 where a record is added instead.
    """

    damage: Callable[[Fleet, str], Cure]
    size: int
    words: str
    entry: str = 'entry 3'


CASES = {
    'unknown-kind': Case(poison.unknown_kind, 0, "'merge-queue'"),
    'unknown-version': Case(poison.unknown_version, 0, 'has format 9'),
    'no-entry': Case(poison.no_entry, 0, 'is not an entry'),
    'damaged-entry': Case(
        poison.damaged_entry, 1, 'its checksum is wrong', 'entry after 2'
    ),
    'damaged-payload': Case(
        poison.damaged_payload, 1, 'the inline payload should have'
    ),
    'senseless-payload': Case(poison.senseless_payload, 1, 'cannot be applied'),
    'wrong-digest': Case(poison.wrong_digest, 1, f'states {"0" * 64}'),
    'missing-blob': Case(poison.missing_blob, 8, 'is not in'),
    'damaged-blob': Case(poison.damaged_blob, 8, 'is damaged'),
}


@dataclass
class Ward:
    """What was seen of each repository while it was sick.

    ``told`` is what a client was told, ``aside`` what each daemon noted, and
    ``offset`` the place of the bad record.
    """

    yard: Yard
    told: dict[str, str] = field(default_factory=dict)
    aside: dict[str, dict[str, str]] = field(default_factory=dict)
    offset: dict[str, int] = field(default_factory=dict)
    behind: dict[str, list[int]] = field(default_factory=dict)
    cures: dict[str, Cure] = field(default_factory=dict)
    problem: BaseException | None = None

    def prepare(self, repo: str) -> None:
        """Make a repository, and damage it while p2 and m1 are stopped."""
        case = CASES[repo]
        if case.size:
            self.yard.pushed(repo, size=case.size)
        self.cures[repo] = case.damage(self.yard.fleet, repo)
        self.offset[repo] = poison.last(self.yard.fleet, repo)[1]
        self.told[repo] = self.yard.refused(repo, 'p2')

    def examine(self, repo: str) -> None:
        """Note what the daemons have to say."""
        sick = ['p2', 'm1'] if CASES[repo].size else ['p1', 'p2', 'm1']
        self.aside[repo] = {n: self.yard.aside(repo, n) for n in sick}
        nodes = self.yard.fleet.nodes
        self.behind[repo] = [nodes[name].at(repo) for name in sick]


@pytest.fixture(scope='module')
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    folder = tmp_path_factory.mktemp('ward')
    with Fleet(folder, 2, 1, SETTINGS) as fleet, stock(fleet) as hg:
        ward = Ward(Yard(fleet, hg))
        fleet.start()
        _each(ward.yard.create, [SOUND, *CASES])
        for repo in CASES:
            fleet.reached(repo, 2)
        fleet.joined()
        fleet.stop('p2', 'm1')
        _each(ward.prepare, CASES)
        fleet.start('p2', 'm1')
        _each(ward.examine, CASES)
        try:
            _others_go_on(ward.yard)
        except AssertionError as problem:
            ward.problem = problem
        for cure in ward.cures.values():
            cure()
        yield ward


def _each(job: Callable[[str], object], repos: Iterable[str]) -> None:
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        list(pool.map(job, repos))


def _others_go_on(yard: Yard) -> None:
    for through in ('p1', 'p2'):
        yard.pushed(SOUND, through)
    yard.equal(SOUND)
    yard.shows(SOUND)


def test_one_poisoned_repository_never_stops_the_others(ward: Ward) -> None:
    if ward.problem is not None:
        raise ward.problem


@pytest.mark.parametrize('repo', CASES)
def test_message_names_the_repository_and_the_entry(
    ward: Ward, repo: str
) -> None:
    case = CASES[repo]
    entry = case.entry if case.size else 'the entry after 2'
    wanted = (f'{repo}: ', entry, f'offset {ward.offset[repo]} of', case.words)
    for said in (ward.told[repo], *ward.aside[repo].values()):
        for each in wanted:
            assert each in said
    for name, reason in ward.aside[repo].items():
        assert reason in ward.yard.fleet.nodes[name].complaints()


@pytest.mark.parametrize('repo', CASES)
def test_nothing_of_a_bad_entry_is_applied(ward: Ward, repo: str) -> None:
    assert set(ward.behind[repo]) == {2}


@pytest.mark.parametrize('repo', CASES)
def test_cured_repository_is_followed_again_by_itself(
    ward: Ward, repo: str
) -> None:
    ward.yard.equal(repo)
    ward.yard.pushed(repo, 'p2')
    ward.yard.equal(repo)
