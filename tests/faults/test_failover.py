"""Primaries behind haproxy: one is killed, or may not go on; the other does."""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from hgext3rd.fleet.adapters.ledger_sqlite import SqliteLedger
from testlib import haproxy

from . import book, failover
from .book import Book, Page
from .checker import Finding, Kind
from .client import Verdict
from .failover import Author, Blow, Push, Report, Run
from .fleet import HG, PLAIN, until
from .picture import Changeset, Picture

THOROUGH = bool(os.environ.get('HGFLEET_THOROUGH'))
KILLS = 10 if THOROUGH else 2
SEED = os.environ.get('HGFLEET_SEED') or '2026'


@pytest.fixture(autouse=True, scope='module')
def program() -> str:
    try:
        return haproxy.program()
    except haproxy.Missing as reason:
        pytest.skip(str(reason))


def test_a_standby_takes_over(tmp_path: Path) -> None:
    report = failover.run(tmp_path / 'fleet', KILLS, SEED)
    assert not report.findings, '\n'.join(map(str, report.findings[:10]))
    assert report.kills == KILLS
    assert set(report.victims) == {'hg1', 'hg2'}
    assert all(0 < wait < math.inf for wait in report.waits)


def test_who_took_the_last_push(tmp_path: Path) -> None:
    """It is not in the lists that a mirror writes between."""
    path = tmp_path / 'ledger.db'
    with contextlib.closing(SqliteLedger(str(path))) as ledger:
        for node in ('hg1', 'hg2'):
            ledger.append('entries-0', 'a', book.encode({'node': node}))
        ledger.append('entries-1', '!snapshot/a', b'{}')
    assert failover.last_node(path) == 'hg2'


def test_a_primary_that_freezes_is_left_and_comes_back(tmp_path: Path) -> None:
    """Also one whose sessions wake up when another one has gone on."""
    with failover.opened(tmp_path / 'fleet', SEED) as run:
        first = pushed(run)
        other = 'hg2' if first == 'hg1' else 'hg1'
        asleep = threading.Thread(target=run.authors[1].push)
        before = come(run, first)
        with run.machines.frozen(first):
            # Until haproxy has noticed, pushes still go there.
            asleep.start()
            up(run, other)
            assert pushed(run) == other
            assert pushed(run) == other
        asleep.join()
        (late,) = run.authors[1].pushes
        assert late.verdict is Verdict.DONE, late.said
        # On a slow machine it comes when haproxy has noticed.
        in_time = come(run, first) > before
        taken = failover.last_node(run.machines.ledger)
        assert taken == (first if in_time else other)
        up(run, 'hg1', 'hg2')
        assert pushed(run) == other
        run.compare()
        assert not run.report.findings, run.report.findings


@pytest.fixture(scope='module')
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp('behind') / 'fleet'
    with failover.opened(folder, SEED) as run:
        yield run


def told(run: Run, command: str, name: str) -> None:
    """Run an administrator's command about a node, on another one."""
    other = 'hg2' if name == 'hg1' else 'hg1'
    done = subprocess.run(
        [HG, command, name],
        env={**PLAIN, 'HGRCPATH': str(run.machines.nodes[other].hgrc)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def pushed(run: Run) -> str:
    """Push until that is done; return which node took it."""
    author = run.authors[0]
    before = author.done
    while author.done == before:
        author.push()
    return failover.last_node(run.machines.ledger)


def up(run: Run, *names: str) -> None:
    """Wait until haproxy sends pushes to these nodes only."""
    until(
        lambda: f'up are {run.balancer.up("primaries")}, not {names}',
        lambda: run.balancer.up('primaries') == set(names),
    )


def come(run: Run, name: str) -> int:
    """Return how many connections haproxy has passed on to a primary."""
    return run.balancer.count('primaries', 'stot')[name]


def test_whoever_took_the_last_push_takes_the_next(behind: Run) -> None:
    for _try in range(20):
        missed = behind.balancer.count('primaries', 'chkdown', 'wredis')
        first = pushed(behind)
        found = [pushed(behind) for _each in range(3)]
        # On a busy machine one may look dead for a moment.
        if behind.balancer.count('primaries', 'chkdown', 'wredis') == missed:
            break
    assert found == [first] * 3


def test_a_fenced_primary_gets_no_pushes(behind: Run) -> None:
    first = pushed(behind)
    other = 'hg2' if first == 'hg1' else 'hg1'
    told(behind, 'replicate::fence', first)
    up(behind, other)
    assert pushed(behind) == other
    told(behind, 'replicate::unfence', first)
    up(behind, 'hg1', 'hg2')
    # It came back, and is not gone back to.
    assert pushed(behind) == other


@pytest.mark.parametrize('kind', ['daemon', 'sshd'])
def test_a_part_that_is_missing_is_enough(behind: Run, kind: str) -> None:
    first = pushed(behind)
    other = 'hg2' if first == 'hg1' else 'hg1'
    behind.machines.kill(first, kind)
    # A push that came before anybody has noticed would be taken, too.
    up(behind, other)
    assert pushed(behind) == other
    up(behind, other)
    behind.machines.start(first)
    up(behind, 'hg1', 'hg2')


def test_when_none_is_ready_clients_are_told_why(behind: Run) -> None:
    pushed(behind)
    for name in ('hg1', 'hg2'):
        told(behind, 'replicate::fence', name)
    up(behind)
    author = behind.authors[0]
    author.push()
    assert 'which is fenced' in author.pushes[-1].said
    for name in ('hg1', 'hg2'):
        told(behind, 'replicate::unfence', name)
    up(behind, 'hg1', 'hg2')
    pushed(behind)


def test_a_long_question_gets_through(behind: Run) -> None:
    """Clients ask about thousands of changesets at once, in headers."""
    count = 4000
    words = 'nodes=' + '+'.join(['f' * 40] * count)
    asked = {
        f'X-HgArg-{n + 1}': words[at : at + 1000]
        for n, at in enumerate(range(0, len(words), 1000))
    }
    url = f'http://127.0.0.1:{behind.balancer.http}/a?cmd=known'
    request = urllib.request.Request(url, headers=asked)
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.read() == b'0' * count


def page(seq: int, kind: str = 'push', changesets: int = 1) -> Page:
    words = {'digest': '', 'text': None, 'user': 'admin', 'time': 0}
    return Page(
        *('entries-0', seq, True, kind, 'a', seq, seq - 1, 'hg1'),
        push_id=seq,
        changesets=changesets,
        **words,  # type: ignore[arg-type]
    )


def seen(*nodes: str) -> Picture:
    changesets = tuple(Changeset(node, (), 'public', ()) for node in nodes)
    return Picture(changesets, (), b'', b'', None)


ENTRIES = (page(1, 'create', 0), page(2), page(3))


@pytest.mark.parametrize(
    ('pages', 'nodes', 'kinds'),
    [
        (ENTRIES, 'xy', []),
        # It arrived, and its client was cut off and never came again.
        ((*ENTRIES, page(4)), 'xyz', []),
        (ENTRIES, 'x', [Kind.LOST, Kind.DIVERGENT]),
        (ENTRIES[:2], 'x', [Kind.LOST, Kind.LOST]),
        (ENTRIES, 'yx', [Kind.DIVERGENT]),
        (ENTRIES, 'xyz', [Kind.DIVERGENT]),
        ((*ENTRIES, page(4), page(5)), 'xyzx', [Kind.DOUBLED, Kind.DIVERGENT]),
        ((*ENTRIES[:2], page(3, changesets=2)), 'xy', [Kind.DOUBLED]),
    ],
)
def test_what_does_not_fit_is_found(
    pages: tuple[Page, ...], nodes: str, kinds: list[Kind]
) -> None:
    nobody = cast(Any, None)
    author = Author('a', Path(), {}, nobody, '7', line=list('xyz'), done=2)
    run = Run(nobody, nobody, [author], nobody, Report('7'))
    run._author(author, Book(pages), {'hg1': seen(*nodes)})
    assert [one.kind for one in run.report.findings] == kinds


def test_what_another_node_accepts_next_is_measured() -> None:
    nobody = cast(Any, None)
    pushes = [
        Push('x', 0.0, 1.0, Verdict.DONE, ''),
        # The victim had taken it, and its client hears of that afterwards.
        Push('y', 1.0, 2.5, Verdict.DONE, ''),
        Push('z', 2.5, 3.0, Verdict.UNKNOWN, ''),
        Push('z', 3.0, 4.5, Verdict.DONE, ''),
    ]
    author = Author(
        'a', Path(), {}, nobody, '7', line=list('xyz'), pushes=pushes
    )
    run = Run(nobody, nobody, [author], nobody, Report('7'))
    run.blows.append(Blow('hg1', 2.0))
    other = replace(page(4), node='hg2')
    run._measure(Book((*ENTRIES, other)))
    assert run.report.waits == [2.5]
    assert run.report.kills == 1


def test_the_closing_line_counts_what_was_found() -> None:
    report = Report('7', 4, waits=[2.0, 1.0, 3.0, 4.0])
    report.findings = [
        Finding(kind, 'something')
        for kind in (Kind.LOST, Kind.DOUBLED, Kind.DOUBLED, Kind.OTHER)
    ]
    assert report.closing() == (
        'kills 4, lost 1, doubled 2, divergent 0, p50 2.00 s, p99 4.00 s, '
        'seed 7'
    )
