"""When a quarantined copy is made anew, and the bytes of a quarantine."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from hgext3rd.fleet.core import mending
from hgext3rd.fleet.core.mending import (
    RARELY,
    SOON,
    Attempts,
    Cause,
    Quarantine,
    due,
)

quarantines = st.builds(
    Quarantine,
    repo=st.just('a/b'),
    reason=st.text(),
    partition=st.integers(0, 99),
    since=st.integers(0, 2000),
    cause=st.sampled_from(Cause),
)
attempts = st.builds(
    Attempts, failed=st.integers(0, 2000), last=st.floats(0, 2000)
)


def of(cause: Cause, since: int = 1000) -> Quarantine:
    return Quarantine('a', 'why', 0, since, cause)


@given(quarantines)
def test_what_is_encoded_comes_back(one: Quarantine) -> None:
    assert mending.decode(mending.encode(one), one.repo) == one


@given(st.binary() | st.sampled_from([b'{}', b'[]', b'1', b'[' * 100_000]))
def test_what_cannot_be_read_still_refuses(data: bytes) -> None:
    found = mending.decode(data, 'a')
    assert found is not None
    assert 'cannot be read' in found.reason


def test_without_a_file_nothing_is_refused() -> None:
    assert mending.decode(None, 'a') is None


def test_a_file_of_before_causes_were_noted_may_be_the_entrys_fault() -> None:
    body = json.loads(mending.encode(of(Cause.DAMAGED)))
    del body['cause']
    found = mending.decode(json.dumps(body).encode(), 'a')
    assert found == of(Cause.STUCK)


def test_a_damaged_copy_is_made_anew_at_once() -> None:
    assert due(of(Cause.DAMAGED), Attempts(), 1000.0) == 0


def test_where_following_may_help_it_is_tried_first() -> None:
    assert due(of(Cause.STUCK), Attempts(), 1000.0) == SOON
    assert due(of(Cause.STUCK), Attempts(), 1000.0 + SOON) == 0


@given(st.sampled_from([Cause.WAITING, Cause.REBUILT]), attempts)
def test_a_sound_copy_is_never_made_anew(cause: Cause, tried: Attempts) -> None:
    assert due(of(cause), tried, 1000.0) is None


@given(quarantines, attempts, st.floats(0, 4000))
def test_every_wait_has_an_end_whatever_the_clock_does(
    one: Quarantine, tried: Attempts, now: float
) -> None:
    left = due(one, tried, now)
    assert left is None or 0 <= left <= RARELY


def test_failing_makes_attempts_rare() -> None:
    """A week of failures costs no more than an attempt an hour."""
    one, tried, now, count = of(Cause.STUCK, 0), Attempts(), 0.0, 0
    while now < 7 * 86400:
        left = due(one, tried, now)
        assert left is not None
        now += left
        tried = tried.failing(now)
        count += 1
    assert count < 7 * 24 + 15
