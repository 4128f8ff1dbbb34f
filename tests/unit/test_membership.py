"""Mirrors agree on what may be shown, whatever happens in between.

What must be true at any moment is in :meth:`testlib.simulation.World.check`:
who serves has all that was ever shown, is waited for, and never goes back.
"""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from hgext3rd.fleet.core.errors import LedgerUnavailable, OutcomeUnknown
from testlib.simulation import PARTITIONS, TTL, Mirror, World

THOROUGH = bool(os.environ.get('HGFLEET_THOROUGH'))

ROLES = (
    ('mirror',),
    ('mirror', 'mirror'),
    ('mirror', 'mirror', 'mirror'),
    ('mirror', 'mirror', 'primary'),
    ('mirror', 'mirror', 'mirror', 'primary'),
)
# Clocks may be wrong by less than the grace makes up for.
SLOWEST, FASTEST = 0.93, 1.07
FAILURES: tuple[type[Exception], ...] = (LedgerUnavailable, OutcomeUnknown)

numbers = st.integers(0, 3)
places = st.sampled_from(range(PARTITIONS))
calls = st.sampled_from(['attend', 'acknowledge'])
times = st.sampled_from([0.01, 1.0, 2.0, 4.0, TTL, 1.3 * TTL, 10 * TTL])


class Fleet(RuleBasedStateMachine):
    """Anything may happen between any two things that a node does."""

    world: World

    @initialize(
        roles=st.sampled_from(ROLES),
        wait=st.sampled_from(['none', 'visible']),
        random=st.randoms(use_true_random=False),
    )
    def begin(
        self, roles: tuple[str, ...], wait: str, random: random.Random
    ) -> None:
        rates = tuple(random.uniform(SLOWEST, FASTEST) for _ in roles)
        self.world = World(rates, roles, wait)
        for mirror in self.world.mirrors:
            self.world.start(mirror)
            self.world.run(mirror)

    def teardown(self) -> None:
        if hasattr(self, 'world'):
            self.world.close()

    def node(self, number: int) -> Mirror:
        return self.world.mirrors[number % len(self.world.mirrors)]

    @rule(number=numbers, what=calls)
    def whole_call(self, number: int, what: str) -> None:
        node = self.node(number)
        if node.membership is not None:
            self.world.run(node, what)

    @rule(number=numbers, what=calls, steps=st.integers(1, 4))
    def part_of_a_call(self, number: int, what: str, steps: int) -> None:
        node = self.node(number)
        if node.membership is None:
            return
        if node.call is None:
            self.world.begin(node, what)
        for _ in range(steps):
            if node.call is not None:
                self.world.go(node)
                self.world.check()

    @rule(partition=places)
    def push(self, partition: int) -> None:
        self.world.push(partition)

    @rule(number=numbers, partition=places, most=st.sampled_from([1, 1000]))
    def apply(self, number: int, partition: int, most: int) -> None:
        self.world.apply(self.node(number), partition, most)

    @rule(order=st.permutations(range(4)), partition=places)
    def a_good_round(self, order: list[int], partition: int) -> None:
        """Whoever is not held up does what there is to be done."""
        self.world.push(partition)
        for what in ('acknowledge', 'attend'):
            for number in order:
                node = self.node(number)
                if node.membership is not None and node.call is None:
                    self.world.apply(node, partition)
                    self.world.run(node, what)

    @rule(seconds=times)
    def time_passes(self, seconds: float) -> None:
        self.world.time += seconds

    @rule(number=numbers, forgets=st.sampled_from([0, 0, 1, 3]))
    def crash(self, number: int, forgets: int) -> None:
        self.world.crash(self.node(number), forgets)

    @rule(number=numbers)
    def wipe(self, number: int) -> None:
        self.world.wipe(self.node(number))

    @rule(number=numbers)
    def start(self, number: int) -> None:
        node = self.node(number)
        if node.membership is None:
            self.world.start(node)

    @rule(number=numbers, how=st.sampled_from(FAILURES))
    def fail_next(self, number: int, how: type[Exception]) -> None:
        self.node(number).fails.append(how)

    @precondition(lambda self: hasattr(self, 'world'))
    @invariant()
    def all_is_well(self) -> None:
        self.world.check()


TestFleet = Fleet.TestCase
if not THOROUGH:
    TestFleet.settings = settings(max_examples=40, stateful_step_count=40)


@pytest.mark.parametrize('seed', range(60 if THOROUGH else 12))
def test_a_long_story(seed: int) -> None:
    """As above, at length; most nodes do well, and some are held up."""
    chance = random.Random(seed)
    roles = chance.choice(ROLES)
    rates = tuple(chance.uniform(SLOWEST, FASTEST) for _ in roles)
    world = World(rates, roles, chance.choice(['none', 'visible']))
    try:
        for _ in range(250):
            _something(world, chance)
            world.check()
    finally:
        world.close()


def _something(world: World, chance: random.Random) -> None:
    node = chance.choice(world.mirrors)
    kind = chance.random()
    if node.membership is None:
        world.start(node)
    elif kind < 0.03:
        world.crash(node, chance.choice([0, 0, 1, 3]))
    elif kind < 0.035:
        world.wipe(node)
    elif kind < 0.055:
        node.fails.append(chance.choice(FAILURES))
    elif kind < 0.15:
        world.time += chance.choice([0.01, 1, 2, 4, 6, 7])
    elif kind < 0.30:
        _good_round(world, chance)
    elif node.call is None:
        world.apply(node, 0, chance.choice([1, 1000]))
        world.begin(node, chance.choice(['attend', 'acknowledge']))
    elif kind < 0.4:
        world.run(node)
    else:
        world.go(node)


def _good_round(world: World, chance: random.Random) -> None:
    if chance.random() < 0.5:
        world.push()
    free = [one for one in world.mirrors if one.membership]
    chance.shuffle(free)
    for what in ('acknowledge', 'attend'):
        for one in free[: chance.choice([1, 2, 3])]:
            if one.call is None:
                world.apply(one)
                world.run(one, what)
