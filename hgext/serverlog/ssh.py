"""What is recorded of a session over SSH.

Mercurial reads the name of a command, calls ``dispatch``, and sends what that
returns, which for a pull is most of the work.  So a command has ended when
Mercurial waits for the name of the next one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mercurial import encoding, extensions, wireprotov1server

from ..fleet import edge
from .record import Recorder, Span, Tally, new_session


class Session:
    """One client, from its first byte to its last."""

    def __init__(self, recorder: Recorder, repo: str, user: str) -> None:
        source = encoding.environ.get(b'SSH_CLIENT', b'').split(b' ')[0]
        self._recorder = recorder
        self._fields = {
            'session': new_session(),
            'door': 'ssh',
            'repo': repo,
            'user': user,
            'from': edge.text(source),
        }
        self.tally = Tally()
        self._command: Span | None = None
        self._answered = False

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Within, this session is the one that Mercurial serves."""
        whole = self._span('session', self._fields)
        failed: dict[str, bool] = {'failed': True}
        try:
            # Outside of whatever may refuse a command.
            with extensions.wrappedfunction(
                wireprotov1server, 'dispatch', self._dispatched
            ):
                yield
            failed = {}
        finally:
            self._end_command(**failed)
            whole.end(**failed)
            self._recorder.close()

    def _dispatched(
        self, orig: Any, repo: Any, proto: Any, command: bytes, **options: Any
    ) -> Any:
        self._answered = False
        fields = {**self._fields, 'command': edge.text(command)}
        self._command = self._span('command', fields)
        result = orig(repo, proto, command, **options)
        self._answered = True
        return result

    def waits(self) -> None:
        """Take notice that Mercurial is about to read a line."""
        if self._answered:
            self._end_command()

    def _end_command(self, **more: bool) -> None:
        command, self._command = self._command, None
        self._answered = False
        if command is not None:
            command.end(**more)

    def _span(self, what: str, fields: dict[str, str]) -> Span:
        return Span(self._recorder, what, fields, self.tally, time.process_time)


class Reader:
    """The file that a client is read from."""

    def __init__(self, file: Any, session: Session) -> None:
        self._file = file
        self._session = session
        self._tally = session.tally

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def readline(self, *size: int) -> bytes:
        self._session.waits()
        line: bytes = self._file.readline(*size)
        self._tally.read += len(line)
        return line

    def read(self, *size: int) -> bytes:
        data: bytes = self._file.read(*size)
        self._tally.read += len(data)
        return data


class Writer:
    """The file that a client is written to."""

    def __init__(self, file: Any, tally: Tally) -> None:
        self._file = file
        self._tally = tally

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, data: bytes) -> Any:
        self._tally.written += len(data)
        return self._file.write(data)


def serving(
    orig: Any,
    ui: Any,
    repo: Any,
    fin: Any,
    fout: Any,
    *more: Any,
    **options: Any,
) -> Any:
    """Wrap wireprotoserver._runsshserver, which serves one client."""
    recorder = getattr(repo.unfiltered(), '_fleet_recorder', None)
    if recorder is None:
        return orig(ui, repo, fin, fout, *more, **options)
    user = edge.text(ui.config(b'fleet', b'user') or b'')
    session = Session(recorder, repo.unfiltered()._fleet_recorded_as, user)
    with session.recorded():
        return orig(
            ui,
            repo,
            Reader(fin, session),
            Writer(fout, session.tally),
            *more,
            **options,
        )
