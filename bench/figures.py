"""What a benchmark found: figures, their targets, and how they are shown.

report = Report('visibility', machine(), load())
report.add('acknowledged to visible, p50', 3.1, 'ms', most(120))
report.note('200 pushes')
print(report.table())          # or report.json()
sys.exit(report.exit_code())   # 1 when a target was missed
"""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any


def p50(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def p99(values: Sequence[float]) -> float:
    """Return the smallest value that 99 % of the values do not exceed."""
    return sorted(values)[math.ceil(len(values) * 0.99) - 1]


@dataclass(frozen=True)
class Target:
    """What a figure must be, and how that is said."""

    said: str
    met: Callable[[float], bool]


def most(limit: float) -> Target:
    """Return the target "no more than"."""
    return Target(f'<= {limit:g}', lambda value: value <= limit)


def least(limit: float) -> Target:
    """Return the target "no less than"."""
    return Target(f'>= {limit:g}', lambda value: value >= limit)


def flat(tolerance: float) -> Target:
    """Return the target for a ratio that should be 1, give or take."""
    low, high = 1 - tolerance, 1 + tolerance
    return Target(f'{low:g} to {high:g}', lambda ratio: low <= ratio <= high)


@dataclass(frozen=True)
class Row:
    """One figure; without a target it is only told."""

    name: str
    value: float
    unit: str
    target: Target | None = None

    @property
    def ok(self) -> bool | None:
        """Whether the target is met; None when there is none."""
        return self.target.met(self.value) if self.target else None

    @property
    def said(self) -> str:
        """The value with its unit."""
        digits = 2 if self.unit in ('', 'x') else 1
        return f'{self.value:.{digits}f} {self.unit}'.rstrip()


@dataclass
class Report:
    """All figures of one benchmark, and on which machine they were taken."""

    name: str
    machine: dict[str, Any]
    load: float
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(
        self, name: str, value: float, unit: str, target: Target | None = None
    ) -> None:
        """Add a figure."""
        self.rows.append(Row(name, value, unit, target))

    def note(self, text: str) -> None:
        """Add a remark on how the figures came about."""
        self.notes.append(text)

    def exit_code(self) -> int:
        """Return 1 when a target was missed, else 0."""
        return 1 if any(row.ok is False for row in self.rows) else 0

    def table(self) -> str:
        """Return everything as text for people."""
        lines = [
            f'{self.name}: {self.machine["date"]}, load {self.load:.2f}',
            '{cores} x {cpu}, Python {python}, Mercurial {mercurial}, '
            '{system}'.format(**self.machine),
            *self.notes,
            '',
        ]
        cells = [('name', 'measured', 'target', 'ok')]
        for row in self.rows:
            said = {True: 'ok', False: 'MISSED', None: ''}[row.ok]
            target = row.target.said if row.target else ''
            cells.append((row.name, row.said, target, said))
        wide = [max(len(each[at]) for each in cells) for at in range(4)]
        for name, value, target, said in cells:
            line = f'{name:{wide[0]}}  {value:>{wide[1]}}  '
            lines.append(f'{line}{target:{wide[2]}}  {said}'.rstrip())
        return '\n'.join(lines)

    def json(self) -> str:
        """Return everything as one JSON object."""
        body = {
            'name': self.name,
            'machine': self.machine,
            'load': self.load,
            'notes': self.notes,
            'rows': [
                {
                    'name': row.name,
                    'measured': round(row.value, 3),
                    'unit': row.unit,
                    'target': row.target.said if row.target else None,
                    'ok': row.ok,
                }
                for row in self.rows
            ],
        }
        return json.dumps(body, indent=2)


def machine() -> dict[str, Any]:
    """Return what is to be known of this machine."""
    return {
        'date': time.strftime('%Y-%m-%d %H:%M:%S %z'),
        'cores': len(os.sched_getaffinity(0)),
        'cpu': _cpu(),
        'system': platform.platform(terse=True),
        'python': platform.python_version(),
        'mercurial': metadata.version('mercurial'),
    }


def load() -> float:
    """Return the load of the machine in the last minute."""
    return os.getloadavg()[0]


def say(text: str) -> None:
    """Tell about progress, beside the figures."""
    sys.stderr.write(f'{text}\n')
    sys.stderr.flush()


def _cpu() -> str:
    with open('/proc/cpuinfo', encoding='utf-8') as file:
        for line in file:
            name, _colon, value = line.partition(':')
            if name.strip() == 'model name':
                return value.strip()
    return platform.machine()
