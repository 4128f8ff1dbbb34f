"""What a master hands over when it executes itself anew: its estate.

That is JSON in its environment, and the descriptors that it names.  A
generation is *starting*, then *serving*, then *draining*, and then it ends;
one that is given up drains without having served.
"""

from __future__ import annotations

import enum
import json
from dataclasses import asdict, dataclass, field
from typing import Any


class Stage(enum.Enum):
    """What a generation is doing."""

    STARTING = 'starting'
    SERVING = 'serving'
    DRAINING = 'draining'


@dataclass
class Generation:
    """One server; ``leash`` is the descriptor that leads to it."""

    pid: int
    leash: int
    stage: str
    since: float
    known: dict[str, Any] = field(default_factory=dict)


@dataclass
class Estate:
    """What is handed over when the master executes itself anew."""

    listener: int
    owns: bool
    generations: list[Generation] = field(default_factory=list)
    counts: dict[str, float] = field(default_factory=dict)
    handovers: int = 0
    lock: int = -1
    """The descriptor that holds the lock of a node's warm server."""
    bound: list[int] | None = None
    """What tells our socket from others."""
    lost: float | None = None
    """When nothing served any more, in seconds of the monotonic clock."""
    wants: bool = True
    """Whether what serves, if anything does, is not what there should be."""

    @property
    def descriptors(self) -> list[int]:
        """What has to stay open."""
        leashes = [one.leash for one in self.generations]
        return [self.listener, self.lock, *leashes]

    def encode(self) -> bytes:
        """Return what :meth:`decode` reads."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, data: bytes) -> Estate:
        """Return what an earlier life has left."""
        found = json.loads(data)
        found['generations'] = [Generation(**g) for g in found['generations']]
        return cls(**found)
