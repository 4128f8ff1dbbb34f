"""The runner counts right, and chooses what was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from testlib import runner, selection, tally
from testlib.tally import Tally

REPORT = """<?xml version="1.0"?>
<testsuites><testsuite errors="1" failures="1" skipped="2" tests="6">
  <testcase classname="a" name="one"/>
  <testcase classname="a" name="two"/>
  <testcase name="three"><failure message="x"/></testcase>
  <testcase name="four"><error message="x"/></testcase>
  <testcase name="five"><skipped>missing feature: snow</skipped></testcase>
  <testcase classname="a" name="six"><skipped message="optional: wrk"/>
  </testcase>
</testsuite></testsuites>
"""


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / 'report.xml'
    path.write_text(REPORT)
    return path


def test_results_are_counted(report: Path) -> None:
    found = tally.read(report, 1)
    assert str(found) == '2 passed, 2 failed, 2 skipped'
    assert found.skips == [('five', 'snow'), ('a.six', 'optional: wrk')]


def test_only_optional_skips_are_accepted_where_all_can_be_had(
    report: Path,
) -> None:
    found = tally.read(report, 1)
    found.forbid_skips()
    assert str(found) == '2 passed, 3 failed, 1 skipped'


def test_a_run_that_broke_is_a_failure(tmp_path: Path) -> None:
    assert tally.read(tmp_path / 'none.xml', 3) == Tally(failed=1)
    empty = tmp_path / 'empty.xml'
    empty.write_text('<testsuite tests="0"/>')
    assert tally.read(empty, 3) == Tally(failed=1)


@pytest.mark.parametrize(
    ('counted', 'good'),
    [
        (Tally(), False),
        (Tally(skips=[('a', 'b')]), False),
        (Tally(passed=1), True),
        (Tally(passed=1, failed=1), False),
    ],
)
def test_something_must_have_passed(counted: Tally, good: bool) -> None:
    assert counted.good is good


def test_the_last_line_is_the_sum(capsys: pytest.CaptureFixture[str]) -> None:
    total = Tally(passed=3, skips=[('one', 'no snow')])
    assert runner.close(total, strict=False) == 0
    assert runner.close(total, strict=True) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == '3 passed, 0 failed, 1 skipped'
    assert lines[-1] == '3 passed, 1 failed, 0 skipped'
    assert lines[0] == 'skipped: one: no snow'


@pytest.mark.parametrize(
    ('pattern', 'scripts', 'items'),
    [
        ('test-smoke.t', ['test-smoke.t'], []),
        ('tests/test-smoke.t', ['test-smoke.t'], []),
        ('smoke', ['test-smoke.t'], []),
        ('test-smo*.t', ['test-smoke.t'], []),
        ('test_runner.py', [], ['tests/unit/test_runner.py']),
        ('tests/unit/test_runner.py', [], ['tests/unit/test_runner.py']),
        ('unit', [], ['tests/unit']),
        ('test_runner.py::a', [], ['tests/unit/test_runner.py::a']),
    ],
)
def test_patterns_name_tests(
    pattern: str, scripts: list[str], items: list[str]
) -> None:
    chosen = selection.select([pattern])
    assert (chosen.scripts, chosen.items) == (scripts, items)


def test_a_pattern_that_names_nothing_is_an_error() -> None:
    with pytest.raises(selection.NothingMatches):
        selection.select(['tests/unit/test_no_such_thing.py'])
    assert runner.main(['no-such-test-at-all']) == 2
