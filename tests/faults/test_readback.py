"""What was pushed can be read at once, while mirrors are killed."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from testlib import haproxy

from . import readback
from .readback import Blow, Reader, Report, Shelf, Way, path, shown

T = TypeVar('T')

THOROUGH = bool(os.environ.get('HGFLEET_THOROUGH'))
READS = 500 if THOROUGH else 150
SEED = os.environ.get('HGFLEET_SEED') or '2026'


def test_a_push_can_be_read_at_once(tmp_path: Path) -> None:
    try:
        haproxy.program()
    except haproxy.Missing as reason:
        pytest.skip(str(reason))
    report = readback.run(tmp_path / 'fleet', READS, SEED)
    assert not report.violations, '\n'.join(report.violations[:10])
    assert not report.other, '\n'.join(report.other[:10])
    assert report.reads >= READS
    assert report.pushes
    assert report.blows


PLACES = {'aa': 0, 'bb': 1}


@pytest.mark.parametrize(
    ('way', 'body', 'place'),
    [
        (Way.HEADS, 'bb\n', 1),
        (Way.HEADS, '0000\n', None),
        (Way.BRANCHMAP, 'default aa', 0),
        (Way.LOOKUP, '1 aa\n', 0),
        (Way.LOOKUP, '1 bb\n', None),
        (Way.LOOKUP, "0 unknown revision 'aa'\n", None),
        (Way.PUSHLOG, '{"pushes": {"1": {"changesets": ["bb"]}}}', 1),
        (Way.PUSHLOG, '{"pushes": {}}', None),
    ],
)
def test_what_an_answer_shows(way: Way, body: str, place: int | None) -> None:
    assert shown(way, body, PLACES, 'aa') == place


@pytest.mark.parametrize(
    ('status', 'body', 'violations'),
    [
        (200, 'bb', 0),
        (200, 'aa', 1),
        (200, '', 1),
        (500, 'bb', 1),
        (503, '', 0),
    ],
)
def test_an_older_state_is_a_violation(
    monkeypatch: pytest.MonkeyPatch, status: int, body: str, violations: int
) -> None:
    shelf = Shelf()
    shelf.note(['aa', 'bb'], 2)
    reader = Reader('r1', {'haproxy': 1, 'web1': 2}, {'a': shelf}, Always())
    monkeypatch.setattr(readback, 'ask', lambda *_where: (status, body))
    reader.read()
    assert len(reader.violations) == violations
    assert (reader.reads, reader.refused) == (status != 503, status == 503)


class Always(random.Random):
    """Chance that always takes the first."""

    def choice(self, seq: Sequence[T]) -> T:  # type: ignore[override]
        return seq[0]


def test_what_is_not_acknowledged_yet_is_not_asked_for() -> None:
    shelf = Shelf()
    shelf.note(['aa', 'bb'], 0)
    reader = Reader('r1', {'haproxy': 1, 'web1': 2}, {'a': shelf}, Always())
    reader.read()
    assert (reader.reads, reader.refused) == (0, 0)
    assert path('a', Way.LOOKUP, 'aa') == '/a?cmd=lookup&key=aa'


def test_the_closing_line() -> None:
    report = Report('7', reads=9, refused=2, pushes=3, violations=['x'])
    report.blows[Blow.NODE] = 4
    assert report.closing() == (
        'reads 9, violations 1, refused 2, pushes 3, kills 4, seed 7'
    )
