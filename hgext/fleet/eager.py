"""Imports for processes with threads.

``hg`` imports lazily: a module is read when something in it is first needed.
Two threads that need it at the same moment may both begin, and one of them
finds half of it.  So a daemon reads what has been put off before its threads
begin, and puts nothing off from then on.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def imports() -> Iterator[None]:
    """Within, there are no lazy imports, and none is left from before."""
    import hgdemandimport

    with hgdemandimport.deactivated():
        _finish()
        yield


def _finish() -> None:
    """Read every module that has been put off, and what that one names."""
    done: set[str] = set()
    while left := set(sys.modules) - done:
        for name in left:
            # Some are for other systems, and cannot be read here.
            with suppress(Exception):
                getattr(sys.modules.get(name), '__name__', None)
        done |= left
