"""Whether a primary can take pushes now: what its load balancer is told.

The ledger decides which push counts, so nothing depends on this answer but
how long clients wait, and whether they meet a primary that must refuse them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

GREETING = b'SSH-2.0-'
"""How an sshd begins to speak."""


@dataclass(frozen=True)
class Vitals:
    """What a primary knows of itself.

    ``now`` and ``until`` are of one clock: until then its last sign of life
    in the ledger holds.  ``behind`` is how many entries it lacks of those
    that there were when it started, None while it does not know; ``trouble``
    is what keeps it from following.  ``free`` are the bytes left where it has
    the least room, ``needed`` how many there are to be.  ``door`` says
    whether its sshd answers.
    """

    now: float
    until: float
    behind: int | None = None
    trouble: str = ''
    fenced: bool = False
    free: float = math.inf
    needed: int = 0
    door: bool = True


def refusal(vitals: Vitals) -> str:
    """Return why this primary cannot take pushes now, or ''."""
    # Asked this way round, what is not a number has run out as well.
    if not vitals.now < vitals.until:
        return 'this primary has lost touch with the ledger'
    if vitals.behind is None or vitals.behind > 0:
        lacks = '' if vitals.behind is None else f', {vitals.behind} to go'
        return f'this primary is catching up with the ledger{lacks}'
    if vitals.trouble:
        return f'this primary cannot follow the ledger: {vitals.trouble}'
    if vitals.fenced:
        return 'this primary is fenced'
    if vitals.free < vitals.needed:
        return (
            f'this primary has {vitals.free / (1 << 20):.0f} MB left, less '
            f'than {vitals.needed / (1 << 20):.0f}'
        )
    if not vitals.door:
        return 'the sshd of this primary does not answer'
    return ''
