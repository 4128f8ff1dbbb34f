"""Which words a line must have for a regular expression to match in it.

Searching for a few words is far quicker than for an expression.  What is
found is looked at with the expression itself, so nothing changes but the
time.  The words come from the expression as Python parses it; where there are
none in it, every line is looked at.
"""

from __future__ import annotations

import re
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
# What depends on where a line begins or ends, or may.
_BOUND = re.compile(r'[\^$]|\(\?[<=!]|\\[bBAZ]')


@dataclass(frozen=True)
class Rule:
    """What every line has that one expression matches in.

    It has one word of each of ``sets``, the most telling first, and that many
    bytes.  Words are in lower case, unless ``exact``.
    """

    sets: tuple[frozenset[bytes], ...]
    least: int
    exact: bool

    @staticmethod
    def of(rule: re.Pattern[str]) -> Rule:
        """Return it for one expression."""
        exact = not _ignores_case(rule)
        parsed = parser.parse(rule.pattern)
        found = sorted(
            (one for one in _candidates(parsed) if _worth(one) > (0, 0)),
            key=_worth,
            reverse=True,
        )
        sets = tuple(
            frozenset((w if exact else w.lower()).encode() for w in one)
            for one in found
        )
        return Rule(sets, int(parsed.getwidth()[0]), exact)

    def starts(self, text: bytes, lower: bytes) -> Iterator[int]:
        """Yield where lines begin that may match."""
        where = text if self.exact else lower
        first, *others = self.sets
        for word in first:
            at = where.find(word)
            while at >= 0:
                start = where.rfind(b'\n', 0, at) + 1
                end = where.find(b'\n', at)
                end = end if end >= 0 else len(where)
                if end - start >= self.least:
                    line = where[start:end]
                    if all(any(one in line for one in set_) for set_ in others):
                        yield start
                at = where.find(word, end)


@dataclass(frozen=True)
class Needles:
    """What lines have that any of several expressions matches in.

    Where nothing is known of one, every line may match; but when all are
    ``free``, only in a text that does.
    """

    rules: tuple[Rule, ...]
    free: bool = False

    @staticmethod
    def of(rules: Iterable[re.Pattern[str]]) -> Needles:
        """Return it for several expressions together."""
        rules = list(rules)
        found = tuple(Rule.of(rule) for rule in rules)
        if all(rule.sets for rule in found):
            return Needles(found)
        free = not any(_BOUND.search(one.pattern) for one in rules)
        return Needles((), free)

    def lines(self, text: bytes, lower: bytes) -> Iterator[bytes]:
        """Yield each line that may match, once; ``lower`` is in lower case."""
        if not self.rules:
            yield from text.split(b'\n')
            return
        starts = {
            start for rule in self.rules for start in rule.starts(text, lower)
        }
        for start in sorted(starts):
            end = text.find(b'\n', start)
            yield text[start : end if end >= 0 else len(text)]


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
    """Longer is better, and then fewer."""
    if not words or len(words) > _MOST:
        return (0, 0)
    shortest = min(map(len, words))
    return (shortest, -len(words)) if shortest >= _SHORTEST else (0, 0)


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
