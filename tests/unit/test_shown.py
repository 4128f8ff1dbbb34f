"""What a mirror may show: whatever is doubtful is a refusal."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hgext3rd.fleet.core.shown import Shown, decode, encode, refusal

texts = st.text(max_size=8)
times = st.floats(allow_nan=False, allow_infinity=False)
allowed = st.builds(
    Shown,
    node=texts,
    boot=texts,
    until=times,
    positions=st.dictionaries(st.integers(0, 99), st.integers(0, 2**60)),
    joining=st.booleans(),
)
MAY = Shown('m1', 'boot', 100.0, {0: 5}, joining=False)


def test_within_its_lease_it_serves() -> None:
    assert refusal(MAY, 'boot', 99.9) == ''


@pytest.mark.parametrize(
    ('shown', 'boot', 'now', 'reason'),
    [
        (None, 'boot', 0.0, 'not joined'),
        (replace(MAY, joining=True), 'boot', 0.0, 'catching up'),
        (MAY, 'boot', 100.0, 'lost touch'),
        (MAY, 'boot', 1e9, 'lost touch'),
        (MAY, 'another', 0.0, 'lost touch'),
        (MAY, '', 0.0, 'lost touch'),
        (replace(MAY, until=math.nan), 'boot', 0.0, 'lost touch'),
        (MAY, 'boot', math.nan, 'lost touch'),
        (Shown('m1', 'boot', 100.0), 'boot', 0.0, 'catching up'),
    ],
)
def test_whatever_is_doubtful_is_a_refusal(
    shown: Shown | None, boot: str, now: float, reason: str
) -> None:
    assert reason in refusal(shown, boot, now)


@given(allowed, texts, times)
def test_who_serves_has_a_lease_of_this_boot(
    shown: Shown, boot: str, now: float
) -> None:
    serves = refusal(shown, boot, now) == ''
    assert serves == (
        not shown.joining and shown.boot == boot and now < shown.until
    )


@given(allowed)
def test_what_is_encoded_comes_back(shown: Shown) -> None:
    assert decode(encode(shown)) == shown


@given(st.binary(max_size=30))
@example(b'')
@example(b'\0' * 100)
@example(b'[' * 200_000)
@example(b'null')
def test_arbitrary_bytes_are_nothing(data: bytes) -> None:
    assert decode(data) is None


@given(
    st.sampled_from(['node', 'boot', 'until', 'joining', 'positions']),
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | texts
    | st.lists(texts, max_size=2)
    | st.dictionaries(texts, st.floats() | texts, max_size=2),
)
@example('positions', {'0': math.inf})
@example('until', 10**400)
@example('joining', None)
@example('joining', 0)
def test_any_value_in_any_field_never_serves_by_mistake(
    name: str, content: Any
) -> None:
    body = {**json.loads(encode(MAY)), name: content}
    found = decode(json.dumps(body).encode())
    if found is None or refusal(found, 'boot', 99.0):
        return
    assert name not in ('boot', 'joining') or content in ('boot', False)
    assert name != 'until' or float(content) > 99.0


def test_without_a_word_about_joining_it_does_not_serve() -> None:
    body = json.loads(encode(MAY))
    del body['joining']
    assert decode(json.dumps(body).encode()) is None
