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
class Needles:
    """One of these words is in every line that matches.

    They are in lower case, unless ``exact``.  Where there are none but the
    expressions are ``free``, a line can match only in a text that does.
    """

    words: frozenset[bytes]
    exact: bool = False
    free: bool = False

    @staticmethod
    def of(rules: Iterable[re.Pattern[str]]) -> Needles:
        """Return the words for several expressions together."""
        rules = list(rules)
        exact = not any(_ignores_case(rule) for rule in rules)
        found: set[bytes] = set()
        for rule in rules:
            some = words(rule.pattern)
            if not some:
                free = not any(_BOUND.search(one.pattern) for one in rules)
                return Needles(frozenset(), free=free)
            found.update(one.encode() for one in some)
        if exact:
            return Needles(frozenset(found), exact)
        return Needles(frozenset(one.lower() for one in found))

    def lines(self, text: bytes, lower: bytes) -> Iterator[bytes]:
        """Yield each line that may match, once; ``lower`` is in lower case."""
        if not self.words:
            yield from text.split(b'\n')
            return
        where = text if self.exact else lower
        starts = set()
        for word in self.words:
            at = where.find(word)
            while at >= 0:
                starts.add(where.rfind(b'\n', 0, at) + 1)
                end = where.find(b'\n', at)
                at = where.find(word, end) if end >= 0 else -1
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
