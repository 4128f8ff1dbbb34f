"""What one session may use of the machine, as the settings say.

A limit holds for the worker that becomes the session, and for whatever its
hooks start.  One that the server itself may not exceed cannot be raised.
"""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from typing import Any

from ..fleet.core.errors import SettingError
from ..fleet.edge import text


@dataclass(frozen=True)
class Limits:
    """0, and None for the umask, stand for what the server itself has."""

    files: int = 0
    memory: int = 0
    cpu: int = 0
    nice: int = 0
    umask: int | None = None


def read(ui: Any) -> Limits:
    """Return the limits in the settings; SettingError when one is wrong."""

    def number(item: bytes, value: int, least: int, most: int) -> int:
        if least <= value <= most:
            return value
        raise SettingError(
            f'warmserver.{text(item)} is {value}; use {least} to {most}'
        )

    umask = text(ui.config(b'warmserver', b'umask') or b'')
    if not set(umask) <= set('01234567') or int(umask or '0', 8) > 0o777:
        raise SettingError(
            f'warmserver.umask is {umask!r}', 'use three octal digits'
        )
    section, most = b'warmserver', 1 << 62
    return Limits(
        files=number(b'files', ui.configint(section, b'files'), 0, most),
        memory=number(b'memory', ui.configbytes(section, b'memory'), 0, most),
        cpu=number(b'cpu', ui.configint(section, b'cpu'), 0, most),
        nice=number(b'nice', ui.configint(section, b'nice'), 0, 19),
        umask=int(umask, 8) if umask else None,
    )


_imposed = False


def imposed() -> bool:
    """Tell whether this process has its limits."""
    return _imposed


def impose(limits: Limits) -> None:
    """Impose the limits on this process, and the umask."""
    apply(limits)
    if limits.umask is not None:
        os.umask(limits.umask)


def apply(limits: Limits) -> None:
    """Impose the limits on this process, for ever; the umask is not one."""
    global _imposed
    _imposed = True
    for kind, value in (
        (resource.RLIMIT_NOFILE, limits.files),
        (resource.RLIMIT_AS, limits.memory),
        (resource.RLIMIT_CPU, limits.cpu),
    ):
        if value:
            hard = resource.getrlimit(kind)[1]
            if hard != resource.RLIM_INFINITY:
                value = min(value, hard)
            resource.setrlimit(kind, (value, value))
    if limits.nice:
        os.nice(limits.nice)
