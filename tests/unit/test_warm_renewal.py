"""When a master executes itself anew, step by step."""

from __future__ import annotations

import math

import pytest

from hgext3rd.warmserver.renewal import (
    CALM,
    CHANGED,
    OUTDATED,
    PATIENCE,
    Renewal,
)

NOW = 100.0


def test_nothing_is_due_without_a_reason() -> None:
    one = Renewal()
    one.ready(NOW)
    assert one.at == math.inf
    assert not one.is_first
    assert not one.is_void


def test_a_change_is_followed_by_a_trial_when_all_is_calm() -> None:
    one = Renewal()
    one.changed()
    assert one.at == math.inf
    one.ready(NOW)
    assert one.at == NOW + CALM
    one.tries(NOW)
    assert one.at == math.inf
    assert one.tried(fine=True)


def test_another_change_puts_it_off() -> None:
    one = Renewal()
    one.changed()
    one.ready(NOW)
    one.changed()
    assert one.at == math.inf
    one.ready(NOW + 5)
    assert one.at == NOW + 5 + CALM


def test_a_change_makes_a_trial_void() -> None:
    one = Renewal()
    one.changed()
    one.ready(NOW)
    one.tries(NOW)
    assert not one.is_void
    one.changed()
    assert one.is_void
    assert one.is_vain(NOW)
    # Whatever happens before it has ended.
    one.failed(NOW, 1)
    assert one.at == math.inf
    assert not one.tried(fine=True)
    assert one.at == NOW
    one.tries(NOW)
    assert one.tried(fine=True)


def test_a_trial_that_fails_waits_for_the_next_server() -> None:
    one = Renewal()
    one.changed()
    one.ready(NOW)
    one.tries(NOW)
    assert not one.is_vain(NOW + PATIENCE / 2)
    assert one.is_vain(NOW + PATIENCE)
    assert not one.is_void
    assert not one.tried(fine=False)
    assert one.at == math.inf
    one.ready(NOW + 9)
    assert one.at == NOW + 9 + CALM


@pytest.mark.parametrize(
    ('behind', 'code', 'at'),
    [
        (True, 1, NOW),
        (True, CHANGED, math.inf),
        (True, OUTDATED, NOW),
        (False, 1, math.inf),
        (False, CHANGED, math.inf),
        (False, OUTDATED, NOW),
    ],
)
def test_a_start_that_fails(behind: bool, code: int, at: float) -> None:
    one = Renewal()
    if behind:
        one.changed()
    one.failed(NOW, code)
    assert one.at == at
    assert not one.is_first
    if at == NOW:
        one.tries(NOW)
        assert one.is_first
        assert not one.tried(fine=False)
    # What has kept it from starting is gone; who knows what it was.
    one.ready(NOW + 1)
    assert one.at == NOW + 1 + CALM
