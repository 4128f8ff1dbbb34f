"""Named places at which a test can have the process killed or held up.

``devel.fleet-failpoint = NAME`` makes :func:`hit` with that name kill the
process with SIGKILL, as a crash at that place would.  ``NAME pause SECONDS``
makes it wait there instead, each time.  Without the setting a call costs one
comparison.
"""

from __future__ import annotations

import os
import re
import signal
import time
from typing import Any

from .core.errors import SettingError

_SETTING = re.compile(r'(?P<name>\S+)?(?: pause (?P<pause>[0-9.]+))?')

_armed = ''
_pause = 0.0


def arm(ui: Any) -> None:
    """Take over the setting; raises SettingError when it makes no sense."""
    global _armed, _pause
    setting = ui.config(b'devel', b'fleet-failpoint').decode()
    match = _SETTING.fullmatch(setting)
    if match is None:
        raise SettingError(
            f'devel.fleet-failpoint = {setting} makes no sense',
            'give the name of a failpoint, or "NAME pause SECONDS"',
        )
    _armed = match['name'] or ''
    _pause = float(match['pause'] or 0)


def hit(name: str) -> None:
    """Die or wait here when the setting says so."""
    if _armed != name:
        return
    if _pause:
        time.sleep(_pause)
        return
    os.kill(os.getpid(), signal.SIGKILL)
