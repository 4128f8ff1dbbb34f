"""Leases and the barrier, one case after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from hgext3rd.fleet.core import barrier, shown
from hgext3rd.fleet.core.barrier import GRACE, STREAM, Eviction
from hgext3rd.fleet.core.errors import LedgerUnavailable, OutcomeUnknown
from testlib.memory import MemoryLedger
from testlib.simulation import PARTITIONS, TTL, Mirror, World


@pytest.fixture
def make() -> Iterator[Callable[..., World]]:
    """Make worlds whose nodes are up, and that end with the test."""
    worlds = []

    def world(*roles: str, wait: str = 'none') -> World:
        found = World((1.0,) * len(roles), roles, wait)
        worlds.append(found)
        for node in found.mirrors:
            found.start(node)
        settle(found)
        return found

    yield world
    for found in worlds:
        found.close()


def settle(world: World) -> None:
    """Let all nodes apply and say what there is."""
    for _ in range(3):
        for node in world.mirrors:
            if node.membership is not None and node.call is None:
                for partition in range(PARTITIONS):
                    world.apply(node, partition)
                world.run(node, 'acknowledge')
                world.run(node)


def serving(world: World) -> list[str]:
    return [node.name for node in world.mirrors if node.serving()]


def at(node: Mirror) -> int:
    """Up to where the node shows partition 0."""
    assert node.said is not None
    return node.said.positions[0]


def test_a_push_is_shown_when_all_have_it(make: Callable[..., World]) -> None:
    world = make('mirror', 'mirror', 'primary')
    one, two, _primary = world.mirrors
    assert serving(world) == ['m0', 'm1']
    world.push()
    world.apply(one)
    world.run(one, 'acknowledge')
    world.run(one)
    world.run(two)
    assert (at(one), at(two)) == (0, 0)
    world.apply(two)
    world.run(two, 'acknowledge')
    world.run(one)
    world.run(two)
    assert (at(one), at(two)) == (1, 1)


def test_all_who_read_the_same_agree(make: Callable[..., World]) -> None:
    world = make('mirror', 'mirror', 'mirror', 'primary')
    world.time += 2 * TTL
    world.run(world.mirrors[0])
    settle(world)
    for node in world.mirrors:
        world.run(node)
    first = world.members()
    for node in world.mirrors:
        assert node.membership is not None
        # Nothing is due, so each has now read all there is.
        world.run(node)
        assert node.membership.position == world.ledger.end(STREAM)
        assert node.membership._members == first


def test_who_joins_asks_for_what_was_acknowledged_meanwhile(
    make: Callable[..., World],
) -> None:
    """The other's older record, which it would see, is gone."""
    world = make('mirror')
    (other,) = world.mirrors
    world.push()
    settle(world)
    late = joiner(world)
    late.positions, late.has = dict(other.positions), dict(other.has)
    world.run_to(late, 'append')
    world.push()
    settle(world)
    world.run_to(late, 'was appended')
    world.run(other, 'acknowledge')
    world.run(late)
    world.run(late)
    assert late.name not in serving(world)
    settle(world)
    assert late.name in serving(world)


def joiner(world: World) -> Mirror:
    """Start one more mirror, with nothing."""
    more = World((1.0,) * (len(world.mirrors) + 1))
    more.close()
    late = more.mirrors[-1]
    late.clock = type(late.clock)(world, 1.0, 5000.0)
    world.mirrors.append(late)
    world.start(late)
    return late


def test_a_late_eviction_does_not_hide_an_earlier_one(
    make: Callable[..., World],
) -> None:
    world = make('mirror', 'mirror', 'primary')
    held_up, other, evictor = world.mirrors
    world.time += 0.8 * TTL
    world.run(other)
    world.run(evictor)
    world.run_to(held_up, 'append', 'acknowledge')
    world.time += 0.7 * TTL
    world.run_to(evictor, 'append')
    world.run(other)
    world.push()
    world.apply(other)
    world.run(other, 'acknowledge')
    world.run(other)
    assert at(other) == 1
    world.run_to(held_up, 'was appended')
    # In the compacted stream this takes the place of the other's eviction.
    world.run_to(evictor, 'was appended')
    world.run(held_up)
    world.run(held_up)
    assert serving(world) == [other.name]
    settle(world)
    assert serving(world) == [held_up.name, other.name]


def test_an_eviction_that_comes_very_late_is_harmless(
    make: Callable[..., World],
) -> None:
    world = make('mirror', 'mirror', 'primary')
    back, other, evictor = world.mirrors
    world.time += 1.5 * TTL
    world.run_to(evictor, 'append')
    world.run(other)
    for node in (other, back):
        world.run(node, 'acknowledge')
        world.run(node)
    assert serving(world) == [back.name, other.name]
    world.run(evictor)
    for node in (other, back):
        world.run(node)
    assert serving(world) == [back.name, other.name]


def test_a_lease_counts_from_before_it_was_sent(
    make: Callable[..., World],
) -> None:
    world = make('mirror', 'mirror')
    node, other = world.mirrors
    world.run_to(node, 'was appended', 'acknowledge')
    world.run(other)
    world.time += 0.3 * TTL
    world.run(node)
    world.run(node)
    assert serving(world) == ['m0', 'm1']
    world.time += 0.5 * TTL
    world.run(other)
    world.time += 0.47 * TTL
    # Which evicts it.
    world.run(other)
    assert serving(world) == ['m1']


def test_who_comes_back_is_not_waited_for_while_it_is_behind(
    make: Callable[..., World],
) -> None:
    world = make('mirror', 'mirror', 'mirror')
    behind, *others = world.mirrors
    world.time += 2 * TTL
    for node in others:
        world.run(node)
    for number in range(1, 6):
        world.push()
        for node in others:
            world.apply(node)
            world.run(node, 'acknowledge')
        # The thread that applies entries may be the first to speak.
        world.apply(behind, most=1 if number > 2 else 0)
        world.run(behind, 'acknowledge')
        for node in world.mirrors:
            world.run(node)
        assert [at(node) for node in others] == [number, number]
    settle(world)
    assert serving(world) == ['m0', 'm1', 'm2']


def test_a_restart_does_not_keep_serving_what_others_pass(
    make: Callable[..., World],
) -> None:
    """The file of its earlier life still allows to serve."""
    world = make('mirror', 'mirror')
    node, other = world.mirrors
    world.crash(node)
    world.push()
    world.apply(other)
    world.run(other, 'acknowledge')
    assert serving(world) == ['m0', 'm1']
    world.start(node)
    world.run(node)
    world.run(other)
    assert (serving(world), at(other)) == (['m1'], 1)
    settle(world)
    assert serving(world) == ['m0', 'm1']


def test_a_quick_restart_is_not_noticed(make: Callable[..., World]) -> None:
    world = make('mirror', 'mirror')
    node, _other = world.mirrors
    world.crash(node)
    world.start(node)
    world.begin(node, 'attend')
    while node.call is not None:
        world.go(node)
        assert serving(world) == ['m0', 'm1']


def test_what_was_shown_is_remembered(make: Callable[..., World]) -> None:
    world = make('mirror', 'mirror')
    world.push()
    settle(world)
    node = world.mirrors[0]
    world.crash(node)
    world.start(node)
    assert node.node is not None
    assert node.node.barriers[0] == 1
    # Even if nothing is left of what the fleet said.
    world.time += 2 * TTL
    world.ledger = MemoryLedger(world.pause)
    world.run(node)
    assert at(node) == 1


def test_who_forgot_what_it_had_does_not_show_less(
    make: Callable[..., World],
) -> None:
    world = make('mirror')
    (node,) = world.mirrors
    for _ in range(3):
        world.push()
    settle(world)
    assert at(node) == 3
    world.crash(node, forgets=2)
    world.start(node)
    for _ in range(3):
        world.run(node)
        assert (at(node), serving(world)) == (3, [])
    settle(world)
    assert (at(node), serving(world)) == (3, ['m0'])


def test_the_only_mirror_comes_back_empty(make: Callable[..., World]) -> None:
    world = make('mirror', 'primary')
    mirror, _primary = world.mirrors
    for _ in range(3):
        world.push()
        settle(world)
    assert at(mirror) == 3
    world.wipe(mirror)
    # Cut off once more before it has got anywhere.
    for _ in range(2):
        world.crash(mirror)
        world.start(mirror)
        for _ in range(2):
            world.run(mirror)
            world.run(mirror, 'acknowledge')
        assert not mirror.serving()
        world.apply(mirror, most=1)
    settle(world)
    assert at(mirror) == 3
    assert serving(world) == ['m0']


def test_who_is_always_a_little_behind_can_join(
    make: Callable[..., World],
) -> None:
    """There are pushes all the time, and the others are faster."""
    world = make('mirror', 'mirror')
    slow = joiner(world)
    for _ in range(6):
        has = world.ledger.end('entries-0')
        for _ in range(3):
            world.push()
            for node in world.mirrors[:2]:
                world.apply(node)
                world.run(node, 'acknowledge')
                world.run(node)
        slow.positions[0] = slow.has[0] = has
        world.run(slow, 'acknowledge')
        world.run(slow)
    assert slow.serving()


def test_a_dead_mirror_holds_the_others_up_no_longer_than_its_lease(
    make: Callable[..., World],
) -> None:
    world = make('mirror', 'mirror', 'mirror')
    dead, *others = world.mirrors
    for node in world.mirrors:
        world.run(node)
    died = world.time
    world.crash(dead)
    world.push()
    for node in others:
        world.apply(node)
        world.run(node, 'acknowledge')
    while at(others[0]) == 0 or at(others[1]) == 0:
        world.time += TTL / 100
        for node in others:
            assert node.serving()
            act_when_due(world, node)
    took = world.time - died
    assert TTL * GRACE < took <= TTL * GRACE + TTL / 3 + TTL / 50


def act_when_due(world: World, node: Mirror) -> None:
    assert node.membership is not None
    news = {STREAM: node.membership.position}
    if node.membership.until_next() <= 0 or world.ledger.wait(news, 0):
        world.run(node)


def test_idle_nodes_only_renew(make: Callable[..., World]) -> None:
    for wait in ('none', 'visible'):
        world = make('mirror', 'mirror', 'primary', 'primary', wait=wait)
        before = world.ledger.end(STREAM)
        for _ in range(300):
            world.time += TTL / 100
            for node in world.mirrors:
                act_when_due(world, node)
        said = world.ledger.end(STREAM) - before
        assert 4 * 8 <= said <= 4 * 10
        assert serving(world) == ['m0', 'm1']
        world.close()


def test_with_wait_visible_each_says_soon_what_it_shows(
    make: Callable[..., World],
) -> None:
    world = make('mirror', 'mirror', wait='visible')
    world.push()
    for node in world.mirrors:
        world.apply(node)
        world.run(node, 'acknowledge')
    for node in world.mirrors:
        # It shows first, and says so then: whoever waits may read at once.
        world.run_to(node, 'was appended')
        assert at(node) == 1
        assert world.members().leases[node.name].shown[0] == 1
        world.run(node)


def test_with_wait_visible_what_nobody_waited_for_is_shown_at_once(
    make: Callable[..., World],
) -> None:
    world = make('mirror', 'mirror', 'primary', wait='visible')
    one, two, primary = world.mirrors
    settle(world)
    for node in (one, two):
        world.crash(node)
    world.time += 2 * TTL
    world.run(primary)
    assert world.members().live() == []
    # Its pusher is told at once that every live mirror shows it.
    world.push()
    for node in (one, two):
        world.start(node)
    for _ in range(2):
        world.run(one)
        world.run(two)
    assert serving(world) == []
    # As long as the other one lacks it, it cannot be shown.
    world.apply(one)
    world.run(one, 'acknowledge')
    world.run(one)
    assert serving(world) == []
    settle(world)
    assert serving(world) == ['m0', 'm1']
    assert at(one) == at(two) == 1


def test_without_the_ledger_everybody_stops_and_then_returns(
    make: Callable[..., World],
) -> None:
    world = make('mirror', 'mirror', 'primary')
    for _ in range(10):
        world.time += TTL / 4
        for node in world.mirrors:
            node.fails[:] = [LedgerUnavailable]
            world.run(node)
    assert serving(world) == []
    for node in world.mirrors:
        node.fails.clear()
    settle(world)
    assert serving(world) == ['m0', 'm1']


def test_a_renewal_of_unknown_outcome_counts_when_it_is_read(
    make: Callable[..., World],
) -> None:
    world = make('mirror', 'mirror')
    node = world.mirrors[0]
    world.time += TTL / 2
    node.fails.append(OutcomeUnknown)
    world.run(node)
    world.run(node)
    world.time += 0.8 * TTL
    assert node.serving()


def test_what_cannot_be_read_is_silence(make: Callable[..., World]) -> None:
    world = make('mirror', 'mirror')
    world.ledger.append(STREAM, 'lease/m9', b'of a newer version')
    world.ledger.append(STREAM, 'evict/m0', b'[' * 200_000)
    world.push()
    for node in world.mirrors:
        world.apply(node)
        world.run(node, 'acknowledge')
    for node in world.mirrors:
        world.run(node)
    assert serving(world) == ['m0', 'm1']
    assert at(world.mirrors[0]) == 1


def test_a_false_eviction_stops_a_mirror_only_for_a_moment(
    make: Callable[..., World],
) -> None:
    world = make('mirror', 'mirror')
    node = world.mirrors[0]
    beat = world.members().leases['m0'].beat
    false = Eviction('m0', beat, 'x')
    world.ledger.append(STREAM, false.key, barrier.encode(false))
    world.begin(node, 'attend')
    while node.call is not None:
        world.go(node)
    world.check()
    assert node.serving()


def test_primaries_write_no_file(make: Callable[..., World]) -> None:
    world = make('primary')
    assert world.files.read(f'p0/{shown.FILE}') is None
    assert world.members().leases['p0'].role == 'primary'
