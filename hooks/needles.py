"""Which words a line must have for a regular expression to match in it.

Searching for a few words is far quicker than for an expression.  What is
found is looked at with the expression itself, so nothing changes but the
time.  The words come from the expression as Python parses it; where there are
none in it, every line is looked at.
"""

from __future__ import annotations

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


@dataclass(frozen=True)
class Needles:
    """One of these, in lower case, is in every line that matches."""

    words: frozenset[bytes]

    @staticmethod
    def of(patterns: Iterable[str]) -> Needles:
        """Return the words for several expressions together."""
        found: set[bytes] = set()
        for pattern in patterns:
            some = words(pattern)
            if not some:
                return Needles(frozenset())
            found.update(one.encode() for one in some)
        return Needles(frozenset(found))

    def may_be_in(self, lower: bytes) -> bool:
        """Tell whether text in lower case may match."""
        return not self.words or any(word in lower for word in self.words)

    def lines(self, text: bytes, lower: bytes) -> Iterator[bytes]:
        """Yield each line that may match, once."""
        if not self.words:
            yield from text.split(b'\n')
            return
        starts = set()
        for word in self.words:
            at = lower.find(word)
            while at >= 0:
                starts.add(lower.rfind(b'\n', 0, at) + 1)
                end = lower.find(b'\n', at)
                at = lower.find(word, end) if end >= 0 else -1
        for start in sorted(starts):
            end = text.find(b'\n', start)
            yield text[start : end if end >= 0 else len(text)]


def words(pattern: str) -> frozenset[str]:
    """Return words, in lower case, of which every match has one."""
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
            run += chr(value).lower()
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
