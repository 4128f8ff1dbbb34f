"""Bringing a fleet down, also one whose supervisor was killed."""

from __future__ import annotations

import signal
import time

from . import lock, process, running
from .layout import Layout
from .running import Leftovers

# How long to wait for a supervisor that was told to stop, and then for what
# it has left.
_PATIENCE = 15.0
_GRACE = 5.0
_PAUSE = 0.03


def down(layout: Layout) -> bool:
    """Stop the fleet; tell whether there was anything to stop."""
    leftovers = Leftovers()
    deadline = time.monotonic() + _PATIENCE
    told = None
    while True:
        seen = running.read(layout)
        leftovers.known.update(seen.processes())
        held = lock.attempt(layout)
        if held is not None:
            break
        if time.monotonic() > deadline:
            process.finish(leftovers, 0.0)
        elif seen.keeper and seen.keeper != told:
            told = seen.keeper
            process.send(told, signal.SIGTERM)
        time.sleep(_PAUSE)
    with held:
        some = told is not None or bool(list(leftovers()))
        process.finish(leftovers, _GRACE)
        running.write(layout, seen.stopped())
    return some
