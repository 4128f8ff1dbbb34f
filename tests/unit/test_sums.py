"""Sums over files: continued, compared, and read from anything."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgext3rd.fleet.core import sums as core
from hgext3rd.fleet.core.sums import Sum
from hgext3rd.replicate import sums


@given(st.lists(st.binary()))
def test_a_sum_is_that_of_the_whole(pieces: list[bytes]) -> None:
    one = Sum()
    for piece in pieces:
        one = one.then(piece)
    whole = b''.join(pieces)
    assert one == Sum(len(whole), zlib.crc32(whole))


@given(st.dictionaries(st.text(), st.builds(Sum, st.integers(), st.integers())))
def test_what_is_encoded_is_decoded(some: dict[str, Sum]) -> None:
    assert core.decode(core.encode(some)) == some
    assert core.difference(some, some) == ''


@pytest.mark.parametrize('body', [5, {'a': 5}, {'a': [1]}, {'a': ['1', '2']}])
def test_what_is_no_sum_is_refused(body: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        core.decode(body)


def test_every_difference_is_told() -> None:
    one, two = Sum().then(b'1'), Sum().then(b'2')
    assert core.difference({'a': one}, {'a': two}).startswith('a has 1 bytes')
    assert core.difference({'a': one}, {}) == 'a is missing'
    assert core.difference({}, {'a': one}) == 'a should not be there'


def test_what_was_appended_to_is_summed_on(tmp_path: Path) -> None:
    (tmp_path / 'store').mkdir()
    file = tmp_path / 'store' / 'obsstore'
    file.write_bytes(b'one')
    first = sums.take(str(tmp_path), {})
    file.write_bytes(b'XXXtwo')
    # The start is not read again.
    assert sums.take(str(tmp_path), first) == {
        'store/obsstore': Sum().then(b'onetwo')
    }
    file.write_bytes(b'1')
    assert sums.take(str(tmp_path), first) == {
        'store/obsstore': Sum().then(b'1')
    }
