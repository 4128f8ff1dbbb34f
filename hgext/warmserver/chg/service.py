"""The process that waits for clients, and its workers.

A worker serves one connection and ends.  Some are forked ahead of time and
have rehearsed what each request begins with; when they are all in use, one
is forked on demand.  The process itself never reads what clients say.

Workers that wait hang on a pipe, the *leash*: they end when the server
closes it, or ends in any other way.
"""

from __future__ import annotations

import gc
import os
import selectors
import signal
import socket
import struct
import sys
import time
import traceback
from contextlib import suppress
from typing import Any

from mercurial import chgserver, commandserver, encoding, error
from mercurial.i18n import _

from ...fleet.adapters import unixsocket
from . import early, handover, rehearsal
from .address import Handler
from .handover import Handed
from .reader import Reader
from .session import PATIENCE, Known, Refused, Session

STUCK = 2.0
"""Seconds after which one more worker than allowed is forked.

Workers may be waiting for each other: hooks call hg as well.
"""

_QUIET = 0.1
_READY, _BUSY = b'r', b'b'
_FAILED = 255
_NONSENSE = (Refused, ValueError, AssertionError, struct.error)


def create(ui: Any, repo: Any, opts: Any, dispatch: Any) -> Any:
    """Return the service for ``hg serve --cmdserver chgunix``."""
    # For what it does to the environment.
    chgserver.chgunixservice(ui, repo, opts, dispatch)
    return Service(
        ui, None, opts, dispatch, handler=Handler(ui, opts, dispatch)
    )


class Service(commandserver.unixforkingservice):
    """The loop."""

    _servicehandler: Any
    _sock: Any
    _mainipc: Any

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        ui = self.ui
        self._most = max(1, ui.configint(b'warmserver', b'chg-workers'))
        ahead = ui.configint(b'warmserver', b'chg-idle-workers')
        handler = self._servicehandler
        # A worker has the cached repositories of when it was forked.
        caches = ui.configint(b'cmdserver', b'max-repo-cache') > 0
        self._ahead = 0 if caches or handler.inputs.broken else ahead
        self._in_place = ui.configbool(b'warmserver', b'chg-in-place')
        self._rehearsing: set[int] = set()
        self._idle: set[int] = set()
        self._busy: set[int] = set()
        self._requests = 0
        self._retires = False
        self._moved = time.monotonic()

    # -- the beginning -------------------------------------------------------

    def init(self) -> None:
        """Listen; with a client handed over, go on with it beside that."""
        handed = handover.received()
        handler = self._servicehandler
        if handed is None:
            early.leave_for(handler.folder, self.address, handler.inputs.key)
            super().init()
            early.listening()
        elif handed.lock is None or handler.inputs.broken or os.fork():
            self._serve_handed(handed)
        else:
            os.close(handed.link)
            os.close(handed.folder)
            self._requests = 1
            self._inherit(handed)
            os.close(handed.lock)
        self._prepare()

    def _inherit(self, handed: Handed) -> None:
        handler = self._servicehandler
        if handed.listener is not None:
            handler.bindsocket = lambda sock, _address: handler.inherit(
                sock, handed
            )
        elif handler.folder.alive(handler.inputs.key):
            # It was not known what its extensions read; but it is there.
            os._exit(0)
        super().init()

    def _prepare(self) -> None:
        self._server = os.getpid()
        self._leash, self._holds = os.pipe()
        self._news, self._tells = socket.socketpair(
            socket.AF_UNIX, socket.SOCK_DGRAM
        )
        self._waking, self._woken = socket.socketpair()
        for one in (self._news, self._waking, self._woken):
            one.setblocking(False)
        signal.signal(signal.SIGTERM, self._retire)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._woken.fileno())
        handler = self._servicehandler
        self._stage = rehearsal.stage(handler.folder) if self._ahead else None
        gc.collect()
        gc.freeze()

    def _retire(self, *_signal: object) -> None:
        self._retires = True

    # -- the loop ------------------------------------------------------------

    def _mainloop(self) -> None:
        handler = self._servicehandler
        exiting = drains = soon = False
        with selectors.DefaultSelector() as selector:
            for one in (self._news, self._waking, self._mainipc):
                selector.register(one, selectors.EVENT_READ)
            while True:
                self._hear()
                self._reap_ended()
                if not exiting and (self._retires or handler.shouldexit()):
                    drains = not handler.replaced
                    self._unlinksocket()
                    self._let_go()
                    if drains:
                        # Who looked the address up before is refused.
                        self._sock.shutdown(socket.SHUT_RDWR)
                    exiting = True
                if not exiting:
                    soon = self._replenish()
                    handler.say(
                        self._requests, len(self._busy), len(self._idle)
                    )
                    self._watch(selector)
                elif drains and self._accept():
                    # It has connected before the address was left.
                    continue
                else:
                    break
                pause = _QUIET if soon else handler.pollinterval
                for key, _mask in selector.select(pause):
                    if key.fileobj is self._sock:
                        self._accept()
                    elif key.fileobj is self._mainipc:
                        self._handlemainipc(self._mainipc, selector)
        signal.set_wakeup_fd(-1)

    def _let_go(self) -> None:
        """Close this process's end of the leash, which may be closed."""
        holds, self._holds = self._holds, -1
        if holds >= 0:
            os.close(holds)

    def _hear(self) -> None:
        """Take note of which workers are ready, or have begun to serve."""
        with suppress(BlockingIOError):
            while self._waking.recv(4096):
                pass
        with suppress(BlockingIOError):
            while True:
                said = self._news.recv(64)
                pid = int(said[1:])
                self._rehearsing.discard(pid)
                if said.startswith(_READY):
                    self._idle.add(pid)
                else:
                    self._idle.discard(pid)
                    self._begun(pid)

    def _begun(self, pid: int) -> None:
        self._busy.add(pid)
        self._requests += 1
        self._moved = time.monotonic()
        self._servicehandler.newconnection()

    def _reap_ended(self) -> None:
        while self._workers:
            try:
                pid, _status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                for group in self._groups:
                    group.clear()
                return
            if not pid:
                return
            self._moved = time.monotonic()
            self._hear()
            self._gone(pid)

    @property
    def _groups(self) -> tuple[set[int], ...]:
        return self._busy, self._idle, self._rehearsing

    @property
    def _workers(self) -> bool:
        return any(self._groups)

    def _gone(self, pid: int) -> None:
        if pid in self._busy:
            message = b'worker process exited (pid=%d)\n'
            self.ui.log(b'cmdserver', message, pid)
        for group in self._groups:
            group.discard(pid)

    def _replenish(self) -> bool:
        """Fork ahead, unless commands need the processors; is it too early?"""
        ahead = len(self._idle) + len(self._rehearsing)
        wanted = min(self._ahead, self._most - len(self._busy)) - ahead
        if wanted <= 0 or not self._requests:
            return False
        if self._busy and time.monotonic() - self._moved < _QUIET:
            return True
        for _each in range(wanted):
            self._rehearsing.add(self._fork(None))
        return False

    def _watch(self, selector: Any) -> None:
        """Accept connections where no worker that waits will do it."""
        stuck = time.monotonic() - self._moved > STUCK
        wants = not self._idle and (len(self._busy) < self._most or stuck)
        watched = self._sock in selector.get_map()
        if wants and not watched:
            selector.register(self._sock, selectors.EVENT_READ)
        elif watched and not wants:
            selector.unregister(self._sock)

    def _accept(self) -> bool:
        try:
            link, _address = self._sock.accept()
        except OSError:
            return False
        self._begun(self._fork(link))
        link.close()
        return True

    def _reapworkers(self, options: int) -> None:
        """Wait for the workers at the very end."""
        while self._workers:
            try:
                pid, _status = os.waitpid(-1, options)
            except ChildProcessError:
                return
            if not pid:
                return
            self._gone(pid)

    # -- workers -------------------------------------------------------------

    def _fork(self, link: socket.socket | None) -> int:
        pid = os.fork()
        if pid:
            return pid
        code = _FAILED
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGCHLD, self._oldsigchldhandler)
            self._let_go()
            for one in (self._news, self._waking, self._woken, self._mainipc):
                one.close()
            commandserver._initworkerprocess()
            first = not self._requests
            self._serve(link or self._await(), first)
            code = 0
        finally:
            os._exit(code)

    def _await(self) -> socket.socket:
        """Wait for a connection; ends with the server."""
        handler = self._servicehandler
        rehearsal.rehearse(
            self.ui, handler.inputs, handler._dispatch, self._stage
        )
        self._tell(_READY)
        waiting = selectors.PollSelector()
        waiting.register(self._sock, selectors.EVENT_READ)
        waiting.register(self._leash, selectors.EVENT_READ)
        while True:
            ready = [key.fileobj for key, _mask in waiting.select()]
            if self._leash in ready:
                return self._inherit_queue()
            with suppress(BlockingIOError):
                link: socket.socket = self._sock.accept()[0]
                self._tell(_BUSY)
                return link

    def _tell(self, news: bytes) -> None:
        """Tell the server; it may be gone, and its clients still there."""
        with suppress(OSError):
            self._tells.send(news + b'%d' % os.getpid())

    def _inherit_queue(self) -> socket.socket:
        """Serve who waits for a server that was killed; ends if nobody does."""
        handler = self._servicehandler
        key = handler.inputs.key
        if os.getppid() == self._server or handler.folder.alive(key):
            os._exit(0)
        # Others are refused from here on, and start a server.
        self._sock.shutdown(socket.SHUT_RDWR)
        while True:
            try:
                link: socket.socket = self._sock.accept()[0]
            except OSError:
                os._exit(0)
            if not os.fork():
                commandserver._initworkerprocess()
                return link
            link.close()

    def _serve(self, link: socket.socket, first: bool) -> None:
        if unixsocket.user(link) != os.geteuid():
            link.close()
            return
        handler = self._servicehandler
        message = b'forked worker process (pid=%d)\n'
        self.ui.log(b'cmdserver', message, os.getpid())
        known = Known(
            handler.inputs,
            handler.folder,
            os.getppid(),
            self._sock,
            first,
            self._in_place,
        )
        self._talk(link, known, None)

    def _serve_handed(self, handed: Handed) -> None:
        """Go on with the client that was handed over, and end with it.

        What is for a server is let go first: a command may take for ever, and
        others wait for the lock, or come to a socket at which nobody is.
        """
        for one in (handed.lock, handed.listener):
            if one is not None:
                os.close(one)
        handler = self._servicehandler
        code = _FAILED
        try:
            known = Known(
                handler.inputs, handler.folder, 0, None, True, self._in_place
            )
            link = socket.socket(fileno=handed.link)
            self._talk(link, known, handed)
            code = 0
        finally:
            os._exit(code)

    def _talk(
        self, link: socket.socket, known: Known, handed: Handed | None
    ) -> None:
        link.settimeout(PATIENCE)
        unread = handed.unread.encode('latin-1') if handed else b''
        answers = link.makefile('wb')
        reader = Reader(link, unread)
        setups = [] if handed else [self._reposetup]
        talk = Session(
            self.ui,
            reader,
            answers,
            link,
            self._servicehandler._dispatch,
            setups,
            known,
        )
        try:
            if handed:
                talk.go_on(handed)
                while talk.serveone():
                    pass
            else:
                talk.serve()
        except (BrokenPipeError, TimeoutError, KeyboardInterrupt, EOFError):
            pass
        except error.Abort as problem:
            self.ui.error(_(b'abort: %s\n') % problem.message)
        except _NONSENSE as problem:
            talk.cerr.write(b'abort: %s\n' % encoding.strtolocal(str(problem)))
        except BaseException:
            # A command has failed, and its client is to know how.
            talk.cerr.write(encoding.strtolocal(traceback.format_exc()))
            raise
        finally:
            talk.cleanup()
            with suppress(OSError):
                answers.close()
            link.close()
            sys.stdout.flush()
            # What is left undone by objects that are still there.
            gc.collect()
