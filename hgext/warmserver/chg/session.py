"""The talk with one client: Mercurial's, but for who decides.

Whether this process may serve a request is found out when the client asks
for it (``validate``), and again when it has not asked for this very command
line.  If it may not, the request goes on in another process (``handover``),
or the client is sent to a server that is there already.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from dataclasses import dataclass
from typing import Any

from mercurial import chgserver, encoding, error
from mercurial.i18n import _
from mercurial.utils import procutil, stringutil

from . import handover
from .folder import Folder
from .handover import Handed
from .inputs import Inputs
from .reader import Reader

PATIENCE = 5.0
"""Seconds in which a client has to say more, before it runs a command."""

WAIT = 20.0
"""Seconds to wait for another process that starts a server."""


@dataclass(frozen=True)
class Known:
    """What a worker knows of its server."""

    inputs: Inputs
    folder: Folder
    pid: int
    listener: socket.socket | None
    """Its listening socket, to be handed on until a command is run."""
    first: bool
    """Whether nobody was served before."""
    in_place: bool
    """Whether servers are started by workers, and not by clients."""

    @property
    def heir(self) -> int | None:
        """The descriptor of the listening socket, while that is open."""
        if self.listener is None or self.listener.fileno() < 0:
            return None
        return self.listener.fileno()

    @property
    def address(self) -> bytes:
        """Where it listens."""
        return self.folder.address(self.inputs.key)


class Refused(Exception):
    """What a client has said is no request; the argument says why."""


class Session(chgserver.chgcmdserver):
    """One connection."""

    def __init__(
        self,
        ui: Any,
        reader: Reader,
        answers: Any,
        link: socket.socket,
        dispatch: Any,
        reposetups: Any,
        known: Known,
    ) -> None:
        hashes = chgserver.hashstate(known.inputs.confighash.encode(), b'', [])
        nobody: Any = None
        said: Any = reader
        base = known.folder.base
        super().__init__(
            ui, nobody, said, answers, link, dispatch, reposetups, hashes, base
        )
        self._reader = reader
        self._known = known
        self._title = b''
        self._given: list[bytes] | None = None
        self._checked: list[bytes] | None = None
        self.capabilities = {
            **self.capabilities,
            **_ANSWERS,
        }

    # -- what is asked -------------------------------------------------------

    def setprocname(self) -> None:
        """Change the title that the process is listed with."""
        self._title = self._readstr()
        self.ui.log(b'chgserver', b'setprocname: %r\n', self._title)
        self._show_title()

    def _show_title(self) -> None:
        show: Any = getattr(procutil, 'setprocname', None)
        if show and self._title:
            show(self._title)

    def _readlist(self) -> list[bytes]:
        given, self._given = self._given, None
        words: list[bytes] = super()._readlist() if given is None else given
        return words

    def validate(self) -> None:
        """Answer whether this process will serve a command line, or who."""
        args = self._readlist()
        local, code = self._reload(args)
        if local is None:
            self.cresult.write(b'exit %d' % code)
            return
        instructions = self._instructions(local, args)
        self._answer(instructions)
        if not instructions:
            self._checked = args

    def runcommand(self) -> Any:
        """Run it, if this process may."""
        args = self._readlist()
        if args != self._checked:
            local, code = self._reload(args)
            if local is None:
                self.cresult.write(struct.pack(b'>i', code))
                return None
            if not self._may(*self._belongs(local)):
                self._hand_over_running(local, args)
        return self._run(args)

    def _run(self, args: list[bytes]) -> Any:
        self._checked = None
        self._given = args
        if self._known.listener is not None:
            # Who outlives the server must not keep clients waiting.
            self._known.listener.close()
        # How long a command takes is up to its user.
        self.clientsock.settimeout(None)
        try:
            return super().runcommand()
        finally:
            self.clientsock.settimeout(PATIENCE)

    def _answer(self, instructions: list[bytes]) -> None:
        self.ui.log(
            b'chgserver',
            b'validate: %s\n',
            stringutil.pprint(instructions),
        )
        self.cresult.write(b'\0'.join(instructions) or b'\0')

    def _reload(self, args: list[bytes]) -> tuple[Any, int]:
        """Read the configuration; None and an exit code if that fails."""
        code = 255
        try:
            self.ui, local = chgserver._loadnewui(self.ui, args, self.cdebug)
        except error.RepoError as problem:
            # Mercurial's own words, which its commands say as well.
            self.ui.error(_(b'abort: %s\n') % stringutil.forcebytestr(problem))
            if problem.hint:
                self.ui.error(_(b'(%s)\n') % problem.hint)
        except error.Error as problem:
            if problem.detailed_exit_code is not None:
                code = problem.detailed_exit_code
            self.ui.error(problem.format())
        except OSError as problem:
            # The option --cwd may name anything.
            said = encoding.strtolocal(problem.strerror or f'{problem}')
            name = stringutil.forcebytestr(problem.filename or b'')
            self.ui.error(_(b"abort: %s: '%s'\n") % (said, name))
        else:
            return local, 0
        self.ui.flush()
        detailed = self.ui.configbool(b'ui', b'detailed-exit-code')
        return None, code if detailed else 255

    # -- who serves it -------------------------------------------------------

    def _belongs(self, local: Any) -> tuple[str, bool]:
        """Return the key that a request has, and whether code is stale."""
        inputs = self._known.inputs
        hashed, key = inputs.belongs(local, self._known.folder)
        changed = inputs.marks.changed()
        # Who was first was there before this process read anything.
        unsure = inputs.broken or inputs.doubtful
        self.ui.log(
            b'cmdserver',
            b'confighash = %s mtimehash = %s\n',
            hashed.encode(),
            b'0' * 12 if changed is None else b'f' * 12,
        )
        stale = changed is not None or (unsure and not self._known.first)
        return key, stale

    def _may(self, key: str, stale: bool) -> bool:
        return key == self._known.inputs.key and not stale

    def _instructions(self, local: Any, args: list[bytes]) -> list[bytes]:
        """Return what the client is to do; may become another process."""
        key, stale = self._belongs(local)
        if self._may(key, stale):
            return []
        known = self._known
        if not known.in_place:
            return self._as_ever(key, stale)
        if key == known.inputs.key:
            if not known.inputs.would_load(local):
                return self._as_ever(key, stale)
            return self._renew(args)
        return self._elsewhere(local, args)

    def _as_ever(self, key: str, stale: bool) -> list[bytes]:
        """Let the client start what is missing, as Mercurial does."""
        found = []
        if stale:
            found.append(b'unlink %s' % self._known.address)
            if not self._known.inputs.broken:
                found.append(b'reconnect')
        if key != self._known.inputs.key:
            found.append(b'redirect %s' % self._known.folder.address(key))
        return found

    def _renew(self, args: list[bytes]) -> list[bytes]:
        """Become the process that takes the place of this server."""
        known = self._known
        lock = known.folder.lock(known.inputs.confighash, WAIT, _always)
        there = known.folder.process(known.inputs.key)
        if there is not None and there != known.pid:
            return [b'reconnect']
        listener = None if there is None else known.heir
        self._hand_over(args, False, lock, listener)
        return [b'unlink %s' % known.address, b'reconnect']

    def _elsewhere(self, local: Any, args: list[bytes]) -> list[bytes]:
        """Send the client to another server, or become one."""
        folder, inputs = self._known.folder, self._known.inputs
        hashed, key = inputs.belongs(local, folder)
        if not inputs.would_load(local):
            # Mercurial's own server, which only a client can start.
            return [b'redirect %s' % folder.address(hashed)]
        if not folder.alive(key):
            lock = folder.lock(hashed, WAIT, _always)
            # Meanwhile it may be known what those extensions read.
            _hashed, key = inputs.belongs(local, folder)
            if not folder.alive(key):
                self._hand_over(args, False, lock, None)
        folder.point(folder.base, key)
        return [b'redirect %s' % folder.address(key)]

    def _hand_over_running(self, local: Any, args: list[bytes]) -> None:
        """Become another process for a client that has not asked before."""
        known = self._known
        hashed, key = known.inputs.belongs(local, known.folder)
        lock = known.folder.lock(hashed, WAIT, _always)
        own = key == known.inputs.key
        if not known.inputs.would_load(local):
            raise Refused('the server for this command has to be started anew')
        if known.folder.process(key) == (known.pid if own else None):
            self._hand_over(args, True, lock, known.heir if own else None)
        self._hand_over(args, True, None, None)
        raise Refused('no process could be started for this command')

    def _hand_over(
        self,
        args: list[bytes],
        runs: bool,
        lock: int | None,
        listener: int | None,
    ) -> None:
        """Become another process; returns when that is not possible."""
        self.ui.flush()
        handed = Handed(
            link=self.clientsock.fileno(),
            folder=os.open('.', os.O_PATH | os.O_DIRECTORY),
            args=[one.decode('latin-1') for one in args],
            runs=runs,
            attached=self._ioattached,
            unread=self._reader.unread.decode('latin-1'),
            base=self._known.folder.base.decode('latin-1'),
            born=time.time_ns(),
            lock=lock,
            listener=listener,
            title=self._title.decode('latin-1'),
        )
        try:
            handover.go(handed)
        except OSError as problem:
            self.ui.log(
                b'chgserver',
                b'cannot be handed over: %s\n',
                stringutil.forcebytestr(problem),
            )

    # -- the talk ------------------------------------------------------------

    def go_on(self, handed: Handed) -> None:
        """Answer what was asked of another process; this one may serve."""
        if handed.attached:
            # The descriptors are there, and files for them as well.
            self.cin, self.cout, self.cerr = (
                self.ui.fin,
                self.ui.fout,
                self.ui.ferr,
            )
            self._ioattached = True
        self._title = handed.title.encode('latin-1')
        self._show_title()
        # To get here, the options of the client may have changed it.
        os.fchdir(handed.folder)
        os.close(handed.folder)
        args = handed.words
        if handed.runs:
            self._run(args)
            return
        local, code = self._reload(args)
        if local is None:
            self.cresult.write(b'exit %d' % code)
            return
        self._checked = args
        self._answer([])


_ANSWERS: dict[bytes, Any] = {
    b'validate': Session.validate,
    b'runcommand': Session.runcommand,
    b'setprocname': Session.setprocname,
}


def _always() -> bool:
    return True
