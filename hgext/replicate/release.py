"""How a copy that has been mended is given back.

A daemon may have passed over entries of a repository in quarantine, and only
it knows; so where one runs, it ends the quarantine, and nobody else.
"""

from __future__ import annotations

import os

from ..fleet import daemon, files
from ..fleet.core.errors import SettingError
from ..fleet.core.mending import Cause
from .node import Hosted


def announce(hosted: Hosted, how: str) -> None:
    """Have the daemon go on with a copy that was refused."""
    if os.path.exists(hosted.quarantine):
        said = f'{hosted.name}: {how}; the daemon goes on with it soon'
        hosted.refuse(said, Cause.REBUILT)


def lift(hosted: Hosted) -> bool:
    """End the quarantine, unless a daemon runs; tell whether it has ended."""
    if not os.path.exists(hosted.quarantine):
        return True
    its = hosted.node.settings
    path = hosted.node.state('daemon.lock')
    try:
        with daemon.alone(path, f'the daemon of {its.node}', 0.0):
            files.remove(hosted.quarantine)
    except SettingError:
        return False
    return True
