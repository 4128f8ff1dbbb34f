"""Servers that are started while another one is being started, or is there.

chg starts a server whenever it finds none, and so do twenty of them at the
same moment.  The first that gets here holds a lock until it listens; the
others wait for that, let the address which their chg is waiting for lead to
it, and end.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from typing import Any

from . import handover, inputs
from .folder import Folder

PATIENCE = 20.0
"""Seconds to wait for another server; chg waits for 60."""

_POLL = 0.005

_lock: int | None = None


def join(ui: Any) -> None:
    """Wait for who was earlier; if there is somebody, end here."""
    global _lock
    if handover.received() is not None:
        return
    address = _address()
    if address is None:
        return
    folder = Folder.of(address)
    with inputs.as_the_client():
        hashed = inputs.confighash(ui)
    client = os.getppid()
    _lock = folder.lock(hashed, PATIENCE, lambda: os.getppid() == client)
    leave_for(folder, address, inputs.key(ui, hashed, folder.reads(hashed)))


def leave_for(folder: Folder, address: bytes, key: str) -> None:
    """End, if there is a server with this key that chg can have instead."""
    if address == folder.base or not folder.alive(key):
        return
    client = os.getppid()
    folder.point(address, key)
    # A chg whose child ends before it is connected gives up.
    while os.path.lexists(address):
        if os.getppid() != client:
            with suppress(OSError):
                os.unlink(address)
            break
        if not folder.alive(key):
            # The link stays until it leads here: chg may be about to rename it.
            return
        time.sleep(_POLL)
    os._exit(0)


def listening() -> None:
    """Let the others go on."""
    global _lock
    if _lock is not None:
        os.close(_lock)
        _lock = None


def _address() -> bytes | None:
    """Return the address on the command line."""
    words = [os.fsencode(word) for word in sys.argv]
    for at, word in enumerate(words[:-1]):
        if word == b'--address':
            return words[at + 1]
    return None
