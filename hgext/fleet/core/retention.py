"""Whether a ledger that forgets may forget too much.

A record may go when the newest snapshot of its repository has it.  What no
snapshot has must stay; a ledger that deletes by age warns of it in good time,
when half of that age is reached, and of one that deletes by size nobody can
say when.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

_MARGIN = 0.5


@dataclass(frozen=True)
class Keeping:
    """How long (seconds), and how much (bytes), a ledger keeps."""

    seconds: float = math.inf
    size: float = math.inf

    @property
    def forever(self) -> bool:
        """Whether nothing is ever deleted."""
        return math.isinf(self.seconds) and math.isinf(self.size)


@dataclass(frozen=True)
class Uncovered:
    """The oldest entry of a repository that no snapshot has.

    ``time`` is in seconds since 1970.
    """

    repo: str
    seq: int
    time: float


def endangered(
    keeping: Keeping, oldest: Iterable[Uncovered], now: float
) -> list[str]:
    """Return what may be lost, a sentence for each repository."""
    found = []
    for one in oldest:
        age = max(0.0, now - one.time)
        if not math.isinf(keeping.size):
            when = 'when the ledger has grown enough'
        elif age >= keeping.seconds * _MARGIN:
            left = max(0.0, keeping.seconds - age) / 86400
            when = f'in {left:.1f} days'
        else:
            continue
        found.append(
            f'entry {one.seq} of {one.repo} is in no snapshot, and the ledger '
            f'deletes it {when}'
        )
    return found
