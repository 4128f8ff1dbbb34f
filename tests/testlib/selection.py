"""Which tests a command line means.

A pattern is the path or name of a script (``test-smoke.t``) or of a file,
folder or item that pytest takes (``tests/unit``, ``test_ledger.py``,
``tests/unit/test_ledger.py::test_gap``), or a part of such a name
(``ledger``). It may hold the shell's ``*``, ``?`` and ``[...]``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from .places import ROOT, TESTS

# The longest first: one process runs all of it, while another does the rest.
FOLDERS = ('faults', 'unit', 'contract', 'advisories', 'fuzz')


class NothingMatches(Exception):
    """A pattern names no test; the argument is the pattern."""


@dataclass
class Selection:
    """Scripts by name, and arguments for pytest."""

    scripts: list[str] = field(default_factory=list)
    items: list[str] = field(default_factory=list)
    whole: bool = False


def everything() -> Selection:
    """Return all tests that there are."""
    folders = [TESTS / name for name in FOLDERS]
    items = [
        str(one.relative_to(ROOT))
        for one in folders
        if next(one.glob('**/test_*.py'), None)
    ]
    return Selection(_scripts(), items, whole=True)


def select(patterns: list[str]) -> Selection:
    """Return the tests that match any of the patterns, or all for none."""
    if not patterns:
        return everything()
    chosen = Selection()
    for pattern in patterns:
        scripts = [name for name in _scripts() if _matches(name, pattern)]
        items = _items(pattern)
        if not scripts and not items:
            raise NothingMatches(pattern)
        chosen.scripts += [x for x in scripts if x not in chosen.scripts]
        chosen.items += [x for x in items if x not in chosen.items]
    return chosen


def _scripts() -> list[str]:
    return sorted(path.name for path in TESTS.glob('test-*.t'))


def _items(pattern: str) -> list[str]:
    path, colons, item = pattern.partition('::')
    for base in (ROOT, TESTS):
        exact = base / path
        if exact.is_dir() or (exact.is_file() and exact.suffix == '.py'):
            return [str(exact.relative_to(ROOT)) + colons + item]
    files = [f for name in FOLDERS for f in (TESTS / name).rglob('test_*.py')]
    return [
        str(one.relative_to(ROOT)) + colons + item
        for one in sorted(files)
        if _matches(one.name, path)
    ]


def _matches(name: str, pattern: str) -> bool:
    if '/' in pattern:
        folder, pattern = str(Path(pattern).parent), Path(pattern).name
        if folder not in ('tests', '.', str(TESTS)):
            return False
    return fnmatch(name, pattern) or pattern in name
