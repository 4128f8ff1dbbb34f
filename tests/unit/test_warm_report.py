"""What the server counts and writes down."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgext3rd.warmserver import report, status
from hgext3rd.warmserver.report import Counts, Report

reports = st.builds(
    Report,
    outcome=st.sampled_from(report.OUTCOMES),
    user=st.text(max_size=20),
    repo=st.text(max_size=20),
    status=st.none() | st.integers(0, 255),
    detail=st.text(max_size=20),
)


@given(reports)
def test_a_report_is_read_as_it_was_said(one: Report) -> None:
    assert report.decode(report.encode(one)) == one


@given(reports)
def test_a_line_is_one_line_whatever_is_in_it(one: Report) -> None:
    line = report.line(one, report.SPARE, 1.5, 0.25)
    assert line.isascii()
    assert line.isprintable()
    assert f'outcome={one.outcome} ' in line


@pytest.mark.parametrize('packet', [b'', b'[]', b'["x", "", "", 0, ""]'])
def test_what_is_no_report(packet: bytes) -> None:
    with pytest.raises(ValueError, match=r'.'):
        report.decode(packet)


def test_a_line() -> None:
    one = Report(report.SERVED, 'ann', 'tools/build', 0, 'a "b"')
    assert report.line(one, report.FORKED, 0.5, 0.0123) == (
        'session user=ann repo=tools/build outcome=served status=0 '
        'worker=forked seconds=0.500 cpu=0.012 detail="a \\"b\\""'
    )


@given(st.lists(reports), st.lists(reports))
def test_counts_add_up(some: list[Report], more: list[Report]) -> None:
    one, other, both = Counts(), Counts(), Counts()
    for counts, those in ((one, some), (other, more), (both, some + more)):
        for each in those:
            counts.add(each, report.SPARE, 1, 2)
    assert one.including(other).numbers() == both.numbers()
    assert Counts(both.numbers()).numbers() == both.numbers()


def test_metrics_are_whole_without_any_session() -> None:
    nothing = {'counts': {}, 'servers': [], 'handovers': 0}
    lines = list(status.metrics(nothing))
    assert 'hgfleet_warm_sessions_total{outcome="served"} 0' in lines
    names = {line.split('{')[0].split()[0] for line in lines if line[0] != '#'}
    assert names == {line.split()[2] for line in lines if line[0] == '#'}
