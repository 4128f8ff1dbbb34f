"""How large a warm server is while it serves nobody, and whether it grows.

Memory is what is a process's own (RssAnon), of the largest process of the
server, since all others are forks; the descriptors are those of the server
itself.
"""

from __future__ import annotations

import contextlib
import os
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hgext3rd.warmserver import status
from testlib.warmnode import WarmNode, wait

_QUIET = 100


@dataclass(frozen=True)
class Sample:
    """What the server is like while nobody is served."""

    memory: float
    descriptors: int
    processes: int


def take(node: WarmNode) -> Sample:
    """Measure the server of a node."""
    family = node.family()
    return Sample(
        max(map(resident, family)),
        len(opened(node)),
        len(family),
    )


def opened(node: WarmNode) -> list[str]:
    """Return what the descriptors of the server lead to."""
    found = []
    for one in Path(f'/proc/{node.pid}/fd').iterdir():
        with contextlib.suppress(OSError):
            found.append(os.readlink(one))
    return found


def settle(node: WarmNode) -> None:
    """Wait until the server has all the workers that it forks ahead."""
    quiet, before = 0, [0]

    def settled() -> bool:
        nonlocal quiet, before
        family = sorted(node.family())
        quiet = quiet + 1 if family == before else 0
        before = family
        # It rests for a moment between two of them, more often when asked.
        if quiet > _QUIET:
            said = status.read(node.place.state)['servers']
            stages = [one['rehearsing'] + one['serving'] for one in said]
            quiet = 0 if stages != [0] else quiet
        return quiet > _QUIET

    wait('the server does not come to rest', settled)


def resident(pid: int) -> float:
    """Return the MiB of memory that are a process's own, 0 if it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f'/proc/{pid}/status').read_text().splitlines():
            name, _colon, value = line.partition(':')
            if name == 'RssAnon':
                return int(value.split()[0]) / 1024
    return 0.0


def judged(samples: list[Sample]) -> Iterator[str]:
    """Yield what grows.

    Memory is compared by the medians of the second and the last quarter.  A
    sample may be taken while a worker is still to be forked, so that the
    counts of the last quarter are compared with the highest of the first half.
    """
    quarter = len(samples) // 4
    early, late = samples[quarter : 2 * quarter], samples[-quarter:]
    for name, slack, usual, before in (
        ('memory', 1.0, statistics.median, early),
        ('descriptors', 0, max, samples[: 2 * quarter]),
        ('processes', 0, max, samples[: 2 * quarter]),
    ):
        most = usual(getattr(one, name) for one in before)
        after = statistics.median(getattr(one, name) for one in late)
        if after > most * 1.02 + slack:
            yield f'{name} of the server grew from {most:g} to {after:g}'
