"""The checker itself: it is silent about what is sound, and sees the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from .book import Book, Page
from .checker import Evidence, Kind, check, pushlog
from .client import Verdict, added, verdict
from .picture import Changeset, Picture
from .pusher import Attempt, Wish
from .schedule import (
    BROKERS,
    LASTING,
    NETWORK,
    RELAYS,
    STORAGE,
    Action,
    Deed,
    Fault,
    Mix,
    Scene,
    schedule,
)
from .trouble import AFTERMATH, Troubles, Window
from .watcher import Glance, backward, early

NODES = [f'{n:040x}' for n in (1, 2, 3)]
PARENTS = {NODES[0]: '', NODES[1]: NODES[0], NODES[2]: NODES[1]}
DEED = Action(1, Deed.PUSH, 'a', 0, 1, Fault.NONE, 0.0, '', '')


def page(offset: int, kind: str, user: str, count: int, **more: object) -> Page:
    seq = offset + 1
    one = Page(
        stream='entries-0',
        offset=offset,
        valid=True,
        kind=kind,
        repo='a',
        seq=seq,
        prev=seq - 1,
        node='p1',
        user=user,
        time=1000 + offset,
        push_id=offset,
        changesets=count,
        digest='',
        text=None,
    )
    return replace(one, **more)  # type: ignore[arg-type]


def picture(count: int = 3) -> Picture:
    entries = (page(1, 'push', 'u1', 2), page(2, 'push', 'u2', 1))
    log, pushers = pushlog(entries)
    return Picture(
        changesets=tuple(
            Changeset(
                node,
                (NODES[at - 1],) if at else (),
                'public',
                ('b',) if at == 2 else (),
            )
            for at, node in enumerate(NODES[:count])
        ),
        markers=(),
        pushlog=log,
        pushers=pushers,
        hgrc=None,
    )


def attempt(session: str, head: str, count: int, **wish: object) -> Attempt:
    wanted = replace(Wish(heads=(head,)), **wish)  # type: ignore[arg-type]
    return Attempt(session, 'a', DEED, wanted, Verdict.DONE, count)


def sound() -> Evidence:
    """Return what is to be seen after two pushes to two nodes."""
    digest = picture().digest()
    return Evidence(
        book=Book(
            (
                page(0, 'create', 'root', 0),
                page(1, 'push', 'u1', 2, digest='1' * 64),
                page(2, 'push', 'u2', 1, digest=digest),
            )
        ),
        attempts=[
            attempt('u1', NODES[1], 2),
            attempt('u2', NODES[2], 1, bookmark=('b', NODES[2])),
        ],
        parents=PARENTS,
        pictures={'a': {'p1': picture(), 'm1': picture()}},
        applied={'a': {'p1': 3, 'm1': 3}},
        publishing=frozenset('a'),
    )


def with_picture(seen: Evidence, node: str, one: Picture | None) -> Evidence:
    return replace(seen, pictures={'a': {**seen.pictures['a'], node: one}})


def both(seen: Evidence, one: Picture) -> Evidence:
    return replace(seen, pictures={'a': {'p1': one, 'm1': one}})


def with_page(seen: Evidence, at: int, **what: object) -> Evidence:
    pages = list(seen.book.pages)
    pages[at] = replace(pages[at], **what)  # type: ignore[arg-type]
    return replace(seen, book=Book(tuple(pages)))


def with_attempt(seen: Evidence, at: int, **what: object) -> Evidence:
    attempts = list(seen.attempts)
    attempts[at] = replace(attempts[at], **what)  # type: ignore[arg-type]
    return replace(seen, attempts=attempts)


Change = Callable[[Evidence], Evidence]

MARKED = Wish(heads=(NODES[1],), marker=(NODES[0], NODES[1]))
PLANTED: dict[str, tuple[Kind, Change]] = {
    'a changeset is missing on a mirror': (
        Kind.LOST,
        lambda seen: with_picture(seen, 'm1', picture(2)),
    ),
    'a changeset is missing everywhere': (
        Kind.LOST,
        lambda seen: both(seen, picture(2)),
    ),
    'a repository is missing on a mirror': (
        Kind.LOST,
        lambda seen: with_picture(seen, 'm1', None),
    ),
    'a node is behind': (
        Kind.LOST,
        lambda seen: replace(seen, applied={'a': {'p1': 3, 'm1': 2}}),
    ),
    'a push was recorded twice': (
        Kind.DOUBLED,
        lambda seen: both(
            seen, replace(picture(), pushlog=picture().pushlog + b'x' * 32)
        ),
    ),
    'an acknowledged push has no entry': (
        Kind.LOST,
        lambda seen: with_page(seen, 2, valid=False),
    ),
    'a push has two entries': (
        Kind.DOUBLED,
        lambda seen: with_page(seen, 2, user='u1'),
    ),
    'a refused push has an entry': (
        Kind.DOUBLED,
        lambda seen: with_attempt(seen, 0, verdict=Verdict.REFUSED),
    ),
    'an entry brought fewer changesets than it states': (
        Kind.DOUBLED,
        lambda seen: with_page(seen, 2, changesets=2),
    ),
    'the order of revisions differs': (
        Kind.DIVERGENT,
        lambda seen: both(
            seen,
            replace(picture(), changesets=picture().changesets[::-1]),
        ),
    ),
    'a bookmark is where nobody put it': (
        Kind.LOST,
        lambda seen: with_attempt(
            seen, 1, wish=Wish(heads=(NODES[2],), bookmark=('b', NODES[0]))
        ),
    ),
    'a marker is missing': (
        Kind.LOST,
        lambda seen: with_attempt(seen, 0, wish=MARKED),
    ),
    'the digest is not what the entry states': (
        Kind.DIVERGENT,
        lambda seen: with_page(seen, 2, digest='0' * 64),
    ),
    'a mirror has another hgrc': (
        Kind.DIVERGENT,
        lambda seen: with_picture(
            seen, 'm1', replace(picture(), hgrc='[web]\n')
        ),
    ),
    'a push that nobody disturbed was refused': (
        Kind.OTHER,
        lambda seen: with_attempt(
            seen, 0, verdict=Verdict.UNKNOWN, said='abort: no'
        ),
    ),
}


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    assert check(sound()) == []


@pytest.mark.parametrize('name', PLANTED)
def test_what_was_planted_is_found(name: str) -> None:
    kind, change = PLANTED[name]
    assert kind in {finding.kind for finding in check(change(sound()))}


def test_who_was_disturbed_may_be_refused() -> None:
    refused = with_attempt(
        sound(), 0, verdict=Verdict.REFUSED, said='abort: no', disturbed=True
    )
    told = {one.kind for one in check(refused)}
    # It has an entry all the same.
    assert told == {Kind.DOUBLED}
    unknown = with_attempt(sound(), 0, verdict=Verdict.UNKNOWN, disturbed=True)
    assert check(unknown) == []
    raving = with_attempt(sound(), 0, said='Traceback (most', disturbed=True)
    assert {one.kind for one in check(raving)} == {Kind.OTHER}


def test_trouble_is_from_when_it_begins_until_after_its_end() -> None:
    troubles = Troubles([Window(10.0, 20.0)])
    assert not troubles.met(1.0, 9.0)
    assert troubles.met(1.0, 11.0)
    assert troubles.met(12.0, 13.0)
    assert troubles.met(20.0 + AFTERMATH / 2, 99.0)
    assert not troubles.met(21.0 + AFTERMATH, 99.0)
    with troubles.window():
        pass
    assert troubles.met(0.0, 1e18)


def glance(shown: int, position: int, **more: object) -> Glance:
    seen = Glance(
        moment=0.0,
        shown={'m1': {0: shown}, 'm2': {0: 1}},
        serving=frozenset(('m1', 'm2')),
        aside=frozenset(),
        applied={'m1': {'a': (3, 3)}, 'm2': {'a': (position, position)}},
    )
    return replace(seen, **more)  # type: ignore[arg-type]


def test_early_is_what_a_serving_mirror_lacks() -> None:
    book = sound().book
    assert list(early([glance(3, 3)], book)) == []
    assert list(early([glance(2, 2)], book)) == []
    (words,) = early([glance(3, 2)], book)
    assert words.startswith('m1 shows a up to offset 2, while m2 serves')
    away = glance(3, 2, serving=frozenset(('m1',)))
    assert list(early([away], book)) == []
    aside = glance(3, 2, aside=frozenset([('m2', 'a')]))
    assert list(early([aside], book)) == []


def test_backward_is_what_has_shrunk() -> None:
    assert list(backward([glance(2, 2), glance(3, 3)])) == []
    assert len(list(backward([glance(3, 3), glance(2, 2)]))) == 2
    rolled_back = glance(2, 3, open=frozenset([('m2', 'a')]))
    assert list(backward([rolled_back, glance(2, 2)])) == []
    assert len(list(backward([glance(2, 3), glance(2, 2)]))) == 1


@pytest.mark.parametrize(
    ('status', 'said', 'meaning'),
    [
        (0, 'remote: added 1 changesets with 1 changes', Verdict.DONE),
        (1, 'no changes found', Verdict.DONE),
        (255, 'remote: (pull and push again)', Verdict.RETRY),
        (255, 'abort: push creates new remote head 1', Verdict.RETRY),
        (255, 'abort: stream ended unexpectedly (got 0', Verdict.UNKNOWN),
        (255, 'remote: (the push may still arrive; pull', Verdict.UNKNOWN),
        (255, 'remote: abort: no\nabort: push failed', Verdict.REFUSED),
        (1, 'remote: abort: no', Verdict.REFUSED),
        (-9, '', Verdict.UNKNOWN),
    ],
)
def test_what_a_client_is_told(
    status: int, said: str, meaning: Verdict
) -> None:
    assert verdict(status, said) is meaning


def test_added_counts_what_the_server_says() -> None:
    assert added('remote: added 12 changesets with 3 changes to 1 files') == 12
    assert added('added 12 changesets') == 0


def test_schedule_follows_from_the_seed() -> None:
    def first(
        seed: str, worker: str, mix: Mix = Mix.KILLS, storage: bool = False
    ) -> list[Action]:
        scene = Scene(
            ['p1'], ['m1', 'm2'], ['a', 'c'], frozenset('c'), mix, 3, storage
        )
        actions = schedule(seed, worker, scene)
        return [next(actions) for _n in range(600)]

    assert first('1', 'w1') == first('1', 'w1')
    assert first('1', 'w1') != first('1', 'w2')
    assert first('1', 'w1') != first('2', 'w1')
    struck = {one.fault for one in first('1', 'w1', Mix.KAFKA, storage=True)}
    assert struck == set(Fault) - {Fault.PAUSE}
    stops = LASTING - NETWORK - BROKERS - RELAYS - STORAGE - {Fault.OUTAGE}
    for mix, lasting in ((Mix.KILLS, frozenset[Fault]()), (Mix.STOPS, stops)):
        struck = {one.fault for one in first('1', 'w1', mix)}
        assert struck & LASTING == lasting
        assert not struck & (RELAYS | NETWORK | BROKERS | STORAGE)
        struck = {one.fault for one in first('1', 'w1', mix, storage=True)}
        assert struck & LASTING == lasting | STORAGE
    for one in first('1', 'w1', Mix.KAFKA, storage=True):
        assert (one.lasting > 0) == (one.fault in LASTING)
    assert {one.deed for one in first('1', 'w1')} == set(Deed)
