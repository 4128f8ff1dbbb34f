"""Count results, read from the XML files that both test runners write.

Under continuous integration (``CI=true``) a skip is a failure, because a
machine that is made for testing can have all that the tests need. Only a
reason that starts with ``optional:`` is accepted there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

OPTIONAL = 'optional:'
_MISSING = 'missing feature: '


@dataclass
class Tally:
    """Numbers of results, and the reasons for which tests were skipped."""

    passed: int = 0
    failed: int = 0
    skips: list[tuple[str, str]] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Add the results of another run to these."""
        self.passed += other.passed
        self.failed += other.failed
        self.skips += other.skips

    def forbid_skips(self) -> None:
        """Turn skips into failures, except the optional ones."""
        allowed = [one for one in self.skips if one[1].startswith(OPTIONAL)]
        self.failed += len(self.skips) - len(allowed)
        self.skips = allowed

    @property
    def good(self) -> bool:
        """Whether something ran and nothing failed."""
        return self.failed == 0 and self.passed > 0

    def __str__(self) -> str:
        return (
            f'{self.passed} passed, {self.failed} failed, '
            f'{len(self.skips)} skipped'
        )


def read(report: Path, status: int, label: str = '') -> Tally:
    """Return the results in an XML report of a run that exited with status.

    A run that failed as a whole counts as one failure, whatever its report
    says: a report may be missing, or lack the test that broke the runner.
    """
    tally = Tally()
    if report.exists():
        for suite in ElementTree.parse(report).getroot().iter('testsuite'):
            tally.failed += int(suite.get('failures', 0))
            tally.failed += int(suite.get('errors', 0))
            for case in suite.iter('testcase'):
                _count(case, tally, label)
    if status and not tally.failed:
        tally.failed = 1
    return tally


def _count(case: ElementTree.Element, tally: Tally, label: str) -> None:
    skipped = case.find('skipped')
    if skipped is not None:
        reason = (skipped.get('message') or skipped.text or '').strip()
        name = '.'.join(filter(None, (case.get('classname'), case.get('name'))))
        tally.skips.append((name + label, reason.removeprefix(_MISSING)))
    elif case.find('failure') is None and case.find('error') is None:
        tally.passed += 1
