"""Where a server for chg listens: it takes an address, owns it, and leaves it.

The address has the key of what the server depends on, so that each client
finds the one that fits.  A server takes the place of another one by listening
on the same socket; whoever finds that somebody has come in its own place ends.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import suppress
from typing import Any

from mercurial import chgserver

from . import handover
from .folder import Described, Folder, Register
from .handover import Handed
from .inputs import Inputs


class Handler(chgserver.chgunixservicehandler):
    """The address of a server: taking it, owning it, leaving it."""

    _socketstat: Any

    def __init__(self, ui: Any, opts: Any, dispatch: Any) -> None:
        super().__init__(ui, dispatch)
        self.folder = Folder.of(opts[b'address'])
        self.inputs = Inputs.now(ui)
        self._register: Register | None = None
        self._most = ui.configint(b'warmserver', b'chg-servers')

    def bindsocket(self, sock: socket.socket, address: bytes) -> None:
        """Listen at the address that belongs to the configuration."""
        waits = handover.received() is None
        self._take(sock, address if waits else b'', None)

    def inherit(self, sock: socket.socket, handed: Handed) -> None:
        """Listen where another server listens, and let it end."""
        before = self.folder.process(self.inputs.key)
        if before is None:
            # What it has listened on may have been shut down.
            self._take(sock, b'', None)
            return
        self._take(sock, b'', handed.listener)
        with suppress(ProcessLookupError):
            os.kill(before, signal.SIGTERM)

    def _take(
        self, sock: socket.socket, address: bytes, listener: int | None
    ) -> None:
        inputs = self.inputs
        self._baseaddress = self.folder.base
        self._realaddress = self.folder.address(inputs.key)
        self.ui.log(
            b'cmdserver',
            b'confighash = %s mtimehash = %s\n',
            inputs.confighash.encode(),
            b'0' * 12,
        )
        if listener is None:
            self._bind(sock)
        else:
            os.dup2(listener, sock.fileno(), inheritable=False)
            os.close(listener)
            self._socketstat = os.stat(self._realaddress)
        sock.setblocking(False)
        self.folder.make()
        self.folder.note_reads(inputs.confighash, inputs.pairs)
        self._register = Register(
            self.folder,
            Described(os.getpid(), inputs.key, inputs.confighash, time.time()),
        )
        self.folder.crowd_out(inputs.key, self._most)
        self.folder.point(address or self.folder.base, inputs.key)

    def _issocketowner(self) -> bool:
        """Tell whether nobody has come in this server's place."""
        return super()._issocketowner() and (
            self._register is None or self._register.mine
        )

    @property
    def replaced(self) -> bool:
        """Whether another server listens on the same socket.

        One that was started after the socket had been taken away does not.
        """
        return (
            self._register is not None
            and not self._register.mine
            and super()._issocketowner()
        )

    def unlinksocket(self, address: bytes) -> None:
        """Leave the address, if it is still the own one.

        Else somebody may be removing the folder, and is not to be disturbed.
        """
        if not self._issocketowner():
            return
        super().unlinksocket(address)
        if self._register:
            self._register.strike()

    def say(self, requests: int, workers: int, idle: int) -> None:
        """Tell the other servers what this one does."""
        if self._register:
            self._register.say(requests=requests, workers=workers, idle=idle)
