"""Named places at which a test can have the process killed.

``devel.fleet-failpoint = NAME`` makes :func:`hit` with that name kill the
process with SIGKILL, as a crash at that place would.  Without the setting a
call costs one comparison.
"""

from __future__ import annotations

import os
import signal
from typing import Any

_armed = ''


def arm(ui: Any) -> None:
    """Take over the setting."""
    global _armed
    _armed = ui.config(b'devel', b'fleet-failpoint').decode()


def hit(name: str) -> None:
    """Die here when the setting says so."""
    if _armed == name:
        os.kill(os.getpid(), signal.SIGKILL)
