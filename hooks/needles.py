"""Which lines a regular expression may match in: those with some words.

Searching for a few words is far quicker than for an expression.  What is
found is looked at with the expression itself, so nothing changes but the
time.  The words come from the expression as Python parses it.

Most secrets are long runs of letters and digits, which few lines have.  Where
each match of an expression has such a run, only these lines are searched.
Where there is neither in an expression, every line is looked at.
"""

from __future__ import annotations

import re
import string
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

if sys.version_info >= (3, 11):
    from re import _constants as ops  # type: ignore[attr-defined]
    from re import _parser as parser  # type: ignore[attr-defined]
else:
    import sre_constants as ops
    import sre_parse as parser

_SHORTEST = 2
_MOST = 40
# What runs are of; and whatever is not ASCII, since that may be a letter or
# a digit as well.
_SOLID = frozenset((string.ascii_letters + string.digits + '_-+/\\').encode())
_MARK = b'x'
_MARKS = bytes(
    _MARK[0] if byte in _SOLID or byte > 127 else ord(' ')
    for byte in range(256)
)
_LONG = 20
_ZERO_WIDTH = (ops.AT, ops.ASSERT, ops.ASSERT_NOT)
_SOLID_KINDS = (ops.CATEGORY_DIGIT, ops.CATEGORY_WORD)


class Text:
    """Lines to be searched: as they are, and in lower case.

    ``runs`` is the same with one mark for all bytes that runs are of.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.lower = data.lower()
        self.runs = data.translate(_MARKS)

    @property
    def dense(self) -> Text | None:
        """The lines that have a long run, if any."""
        if _MARK * _LONG not in self.runs:
            return None
        starts = _each(self.data, self.runs, _MARK * _LONG)
        return Text(b'\n'.join(map(self.line, starts)))

    def line(self, start: int) -> bytes:
        """Return the line that begins there."""
        end = self.data.find(b'\n', start)
        return self.data[start : end if end >= 0 else len(self.data)]


@dataclass(frozen=True)
class Rule:
    """What every line has that one expression matches in.

    It has one word of each of ``sets``, the most telling first, that many
    bytes, and a run of that many.  Words are in lower case, unless ``exact``.
    """

    sets: tuple[frozenset[bytes], ...]
    least: int
    exact: bool
    run: int = 0

    @staticmethod
    def of(rule: re.Pattern[str]) -> Rule:
        """Return it for one expression."""
        exact = not _ignores_case(rule)
        parsed = parser.parse(rule.pattern, rule.flags)
        found = sorted(
            (one for one in _candidates(parsed) if _worth(one) > (0, 0)),
            key=_worth,
            reverse=True,
        )
        sets = tuple(
            frozenset((w if exact else w.lower()).encode() for w in one)
            for one in found
        )
        return Rule(sets, int(parsed.getwidth()[0]), exact, _longest(parsed))

    @property
    def tells(self) -> bool:
        """Whether it is known what to search for."""
        return bool(self.sets) or self.run >= _LONG

    def starts(self, text: Text) -> Iterator[int]:
        """Yield where lines begin that may match."""
        run = _MARK * self.run if self.run >= _LONG else b''
        if run not in text.runs:
            return
        where = text.data if self.exact else text.lower
        first = self.sets[0] if self.sets else ()
        there = [word for word in first if word in where]
        if first and not there:
            return
        marked, wanted = (text.runs, [run]) if run else (where, there)
        for each in wanted:
            for start in _each(where, marked, each):
                end = where.find(b'\n', start)
                line = where[start : end if end >= 0 else len(where)]
                if len(line) >= self.least and self._has_all(line):
                    yield start

    def _has_all(self, line: bytes) -> bool:
        # Loops, since this is asked often, and generators take longer.
        for some in self.sets:
            for word in some:
                if word in line:
                    break
            else:
                return False
        return True


@dataclass(frozen=True)
class Needles:
    """What lines have that any of several expressions matches in.

    Where nothing is known of one, every line may match.  ``dense`` says that
    only lines with a long run do.
    """

    rules: tuple[Rule, ...]
    dense: bool = False

    @staticmethod
    def of(rules: Iterable[re.Pattern[str]]) -> Needles:
        """Return it for several expressions together."""
        found = tuple(map(Rule.of, rules))
        if not all(rule.tells for rule in found):
            return Needles(())
        return Needles(found, all(rule.run >= _LONG for rule in found))

    def lines(self, text: Text) -> list[bytes]:
        """Return the lines that may match, each once, in order."""
        if not self.rules:
            return text.data.split(b'\n')
        starts: set[int] = set()
        for rule in self.rules:
            starts.update(rule.starts(text))
        return [text.line(start) for start in sorted(starts)] if starts else []


def _each(data: bytes, where: bytes, wanted: bytes) -> Iterator[int]:
    """Yield where lines begin that have it; where is like data, but marked."""
    at = where.find(wanted)
    while at >= 0:
        yield data.rfind(b'\n', 0, at) + 1
        end = data.find(b'\n', at)
        at = where.find(wanted, end) if end >= 0 else -1


def _ignores_case(rule: re.Pattern[str]) -> bool:
    # Whatever a part of it does; that is seldom.
    return bool(rule.flags & re.IGNORECASE) or '(?i' in rule.pattern


def words(pattern: str) -> frozenset[str]:
    """Return words of which every match has one, but for case."""
    return _needed(parser.parse(pattern))


def _needed(parsed: Any) -> frozenset[str]:
    """Return words of which every match has one; none where unknown."""
    best: frozenset[str] = frozenset()
    for some in _candidates(parsed):
        if some and _worth(some) > _worth(best):
            best = some
    return best


def _worth(words: frozenset[str]) -> tuple[int, int]:
    """Longer is better, and then fewer; single letters are everywhere."""
    if not words or len(words) > _MOST:
        return (0, 0)
    if any(len(word) < _SHORTEST and word.isalnum() for word in words):
        return (0, 0)
    return (min(map(len, words)), -len(words))


def _candidates(parsed: Any) -> Iterator[frozenset[str]]:
    """Yield sets of words; each would do."""
    run = ''
    for op, value in parsed:
        if op is ops.LITERAL and value < 128:
            run += chr(value)
            continue
        if run:
            yield frozenset({run})
            run = ''
        if op is ops.SUBPATTERN:
            yield _needed(value[-1])
        elif op is ops.BRANCH:
            every = [_needed(one) for one in value[1]]
            if all(every):
                yield frozenset().union(*every)
        elif op is ops.MAX_REPEAT and value[0] > 0:
            yield _needed(value[2])
    if run:
        yield frozenset({run})


def longest(pattern: str) -> int:
    """Return how long a run every match has at least."""
    return _longest(parser.parse(pattern))


def _longest(parsed: Any) -> int:
    best = run = 0
    for item in parsed:
        op, value = item
        if op in _ZERO_WIDTH:
            continue
        if _is_solid(item):
            run += _width(item)
            best = max(best, run)
            continue
        run = 0
        if op is ops.SUBPATTERN:
            best = max(best, _longest(value[-1]))
        elif op is ops.BRANCH:
            best = max(best, min(map(_longest, value[1])))
        elif op is ops.MAX_REPEAT and value[0] > 0:
            best = max(best, _longest(value[2]))
    return best


def _is_solid(item: Any) -> bool:
    """Tell whether all that it matches is a part of a run."""
    op, value = item
    if op is ops.LITERAL:
        return value > 127 or value in _SOLID
    if op is ops.RANGE:
        asked = range(value[0], min(value[1], 127) + 1)
        return all(one in _SOLID for one in asked)
    if op is ops.CATEGORY:
        return value in _SOLID_KINDS
    if op is ops.IN:
        return all(map(_is_solid, value))
    if op is ops.SUBPATTERN:
        return all(map(_is_solid, value[-1]))
    if op is ops.BRANCH:
        return all(_is_solid(one) for some in value[1] for one in some)
    if op is ops.MAX_REPEAT:
        return all(map(_is_solid, value[2]))
    return op in _ZERO_WIDTH


def _width(item: Any) -> int:
    """Return how many characters it matches at least."""
    op, value = item
    if op is ops.SUBPATTERN:
        return sum(map(_width, value[-1]))
    if op is ops.BRANCH:
        return min(sum(map(_width, one)) for one in value[1])
    if op is ops.MAX_REPEAT:
        return int(value[0]) * sum(map(_width, value[2]))
    return 0 if op in _ZERO_WIDTH else 1
