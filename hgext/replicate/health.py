"""What the daemon of a primary answers to its load balancer, over HTTP.

With ``fleet.ready = HOST:PORT`` the daemon listens there:

``/readyz``
    200 while pushes can be taken here; 503, with the reason in a line, as
    long as they cannot
``/healthz``
    200 as long as the daemon lives, with the same as one JSON object

It is ready while all of this is true: its lease holds, so within the last
``replicate.lease`` seconds it has written to the ledger and read that back;
it has applied what was in the ledger when it started, and goes on; it is not
fenced; there is ``fleet.room`` left on its disk; and the sshd at
``fleet.sshd`` answers, if one is named.

Asking costs no more than reading a few numbers.  Only sshd, which makes a
process for everyone who connects, is greeted once in a while, and each time
after it has not answered.
"""

from __future__ import annotations

import http.server
import json
import os
import socket
import threading
from collections.abc import Iterable
from functools import partial

from ..fleet.core import entry as entries
from ..fleet.core import ready
from ..fleet.core.entry import FENCE_KEY, Record
from ..fleet.core.errors import EntryUnreadable, SettingError
from ..fleet.core.ready import Vitals
from ..fleet.ports import Ledger
from . import fence, shelf
from .membership import Membership
from .node import Node, stream

_PATIENCE = 1.0
_GREETED_EVERY = 5.0
_SLOWEST_CLIENT = 5.0


class Health:
    """What a primary knows of itself; for several threads.

    ``positions`` is the follower's own table of how far it has come.
    """

    def __init__(
        self, node: Node, membership: Membership, positions: dict[int, int]
    ) -> None:
        self._node = node
        self._membership = membership
        self._positions = positions
        self._goal: dict[int, int] | None = None
        self._trouble = ''
        # Of each node, its last fence: where it stands, and whether it holds.
        self._fences: dict[str, tuple[int, bool]] = {}
        self._guard = threading.Lock()
        self._greeted = -_GREETED_EVERY

    def begin(self, ledger: Ledger) -> None:
        """Look once at what the ledger holds; raises LedgerError."""
        if self._goal is None:
            goal = {p: ledger.end(stream(p)) for p in self._positions}
            self.hear(0, shelf.records(ledger, stream(0), {FENCE_KEY}))
            self._goal = goal

    def hear(self, partition: int, records: Iterable[Record]) -> None:
        """Note the fences among records of a partition, in any order.

        A fence is in all partitions; in the first one it comes last.
        """
        for record in records if partition == 0 else ():
            if record.key != FENCE_KEY:
                continue
            try:
                said = entries.decode(record.key, record.value)
            except EntryUnreadable:
                # Nor can any repository of the partition be followed.
                continue
            before, _holds = self._fences.get(said.text or '', (-1, False))
            if record.offset > before:
                holds = said.source == fence.FENCE
                self._fences[said.text or ''] = (record.offset, holds)

    def step(self, trouble: str = '') -> None:
        """Note that the daemon follows the ledger, or what hinders it."""
        self._trouble = trouble

    def refusal(self) -> str:
        """Return why this primary cannot take pushes now, or ''."""
        vitals = self._vitals()
        reason = ready.refusal(vitals)
        if reason or self._answers():
            return reason
        return ready.refusal(Vitals(vitals.now, vitals.until, 0, door=False))

    def document(self) -> dict[str, object]:
        """Return what ``/healthz`` tells."""
        reason = self.refusal()
        vitals = self._vitals()
        return {
            'node': self._node.settings.node,
            'serving': not reason,
            'reason': reason,
            'lease': round(max(0.0, vitals.until - vitals.now), 3),
            'positions': {str(p): n for p, n in self._positions.items()},
        }

    def _vitals(self) -> Vitals:
        its = self._node.settings
        goal, behind = self._goal, None
        if goal is not None:
            behind = sum(
                max(0, end - self._positions[p]) for p, end in goal.items()
            )
        return Vitals(
            now=self._node.clock.boot(),
            until=self._membership.until,
            behind=behind,
            trouble=self._trouble,
            fenced=self._fences.get(its.node, (0, False))[1],
            free=min(_free(its.root), _free(its.state)),
            needed=its.room,
        )

    def _answers(self) -> bool:
        """Tell whether sshd answers, or did a moment ago."""
        its = self._node.settings
        if not its.sshd:
            return True
        with self._guard:
            now = self._node.clock.boot()
            if now - self._greeted < _GREETED_EVERY:
                return True
            if not _greets(address('fleet.sshd', its.sshd)):
                return False
            self._greeted = now
            return True


def _free(folder: str) -> float:
    try:
        found = os.statvfs(folder)
    except OSError:
        return 0.0
    return found.f_bavail * found.f_frsize


def _greets(where: tuple[str, int]) -> bool:
    said = b''
    try:
        with socket.create_connection(where, _PATIENCE) as one:
            while len(said) < len(ready.GREETING):
                more = one.recv(256)
                if not more:
                    break
                said += more
    except OSError:
        return False
    return said.startswith(ready.GREETING)


def address(item: str, value: str) -> tuple[str, int]:
    """Return (host, port) of ``HOST:PORT``; SettingError."""
    host, colon, port = value.rpartition(':')
    if not colon or not host or not port.isascii() or not port.isdigit():
        raise SettingError(
            f'{item} is {value!r}', 'use HOST:PORT, such as 127.0.0.1:9022'
        )
    return host.strip('[]'), int(port)


class _Handler(http.server.BaseHTTPRequestHandler):
    # Whoever sends nothing must not keep a thread for ever.
    timeout = _SLOWEST_CLIENT

    def __init__(self, health: Health, *rest: object) -> None:
        self._health = health
        super().__init__(*rest)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """Answer what the manual of this module lists."""
        if self.path == '/readyz':
            reason = self._health.refusal()
            said = f'{reason or "ready"}\n'
            self._say(503 if reason else 200, 'text/plain', said)
        elif self.path == '/healthz':
            said = json.dumps(self._health.document()) + '\n'
            self._say(200, 'application/json', said)
        else:
            self._say(404, 'text/plain', 'here are /readyz and /healthz\n')

    do_HEAD = do_GET

    def _say(self, status: int, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header('Content-Type', f'{kind}; charset=utf-8')
        self.send_header('Content-Length', str(len(body)))
        self.send_header('Cache-Control', 'no-store')
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(body)

    def log_message(self, *_words: object) -> None:
        """Say nothing: this is asked several times a second."""


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_words: object) -> None:
        """Say nothing of clients that went away."""


def listen(health: Health, where: str) -> None:
    """Answer at ``where``, in threads that end with this process.

    Raises SettingError when nobody can listen there.
    """
    place = address('fleet.ready', where)
    try:
        server = _Server(place, partial(_Handler, health))
    except OSError as problem:
        raise SettingError(
            f'cannot listen at fleet.ready, {where}: {problem.strerror}',
            'name a free port of this machine',
        ) from None
    threading.Thread(target=server.serve_forever, daemon=True).start()
