"""The servers for chg that a user has, as they describe themselves."""

from __future__ import annotations

import os
from collections.abc import Mapping

from .folder import Described, Folder


def place(environ: Mapping[bytes, bytes]) -> bytes:
    """Return the address that chg connects to, in an environment."""
    given = environ.get(b'CHGSOCKNAME')
    if given:
        return given
    runtime = environ.get(b'XDG_RUNTIME_DIR')
    if runtime and _is_private(runtime):
        return os.path.join(runtime, b'chg', b'server')
    folder = environ.get(b'TMPDIR', b'/tmp')
    return os.path.join(folder, b'chg%d' % os.geteuid(), b'server')


def _is_private(folder: bytes) -> bool:
    try:
        found = os.lstat(folder)
    except OSError:
        return False
    return found.st_uid == os.geteuid() and found.st_mode & 0o777 == 0o700


def servers(address: bytes) -> list[Described]:
    """Return the servers that clients of this address use, the last first.

    Not for servers themselves, which would let go of their own locks.
    """
    found = sorted(
        Folder.of(address).servers(), key=lambda pair: pair[0], reverse=True
    )
    return [described for _used, described in found]
