"""What the server says of itself: lines on its standard output, or nowhere.

A line that cannot be written at once, such as to a full disk, or to a pipe
that nobody empties, is lost: no session may end for that, or wait.  Nor may it
stay in a buffer, which whoever is forked would inherit, and write to its
client.
"""

from __future__ import annotations

import os
import select
from contextlib import suppress
from typing import Any

from ..fleet import edge

_OUTPUT = 1


def say(ui: Any, said: str) -> None:
    """Write one line."""
    if not ui.quiet:
        looked = select.poll()
        looked.register(_OUTPUT, select.POLLOUT)
        with suppress(OSError):
            if looked.poll(0):
                os.write(_OUTPUT, edge.local(f'{said}\n'))
