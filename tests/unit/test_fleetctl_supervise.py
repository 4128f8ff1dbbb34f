"""The supervisor: what must not end it, and what it looks after."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from hgext3rd.fleetctl import process, supervise
from hgext3rd.fleetctl.course import Event, State
from hgext3rd.fleetctl.layout import Layout
from hgext3rd.fleetctl.plan import Part
from hgext3rd.fleetctl.process import Process
from hgext3rd.fleetctl.supervise import Supervisor


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    (tmp_path / 'log').mkdir()
    monkeypatch.setattr(process, 'reap', dict)
    part = Part('a.web', 'a', 'web', ('/bin/true',), {})
    return Supervisor(Layout(str(tmp_path)), [part], said.append)


said: list[str] = []


def test_a_part_that_cannot_be_started_is_tried_again(
    one: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_words: object) -> Process:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    said.clear()
    monkeypatch.setattr(process, 'spawn', refuse)
    one._happen(Event.START, 'a.web')
    assert one._courses['a.web'].state is State.BACKING_OFF
    assert said == [f'a.web cannot be started: {os.strerror(errno.EAGAIN)}']
    monkeypatch.setattr(process, 'spawn', lambda *_words: Process(1, 2))
    one._happen(Event.DUE, 'a.web')
    assert one._courses['a.web'].state is State.STARTING
    assert one._processes == {'a.web': Process(1, 2)}


def test_a_log_does_not_grow_for_ever_while_its_part_runs(
    one: Supervisor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(supervise, 'LONGEST_LOG', 10)
    monkeypatch.setattr(supervise, 'LOOK', 0.0)
    log = tmp_path / 'log' / 'a.web.log'
    with open(log, 'a') as file:
        file.write('a line\n')
        file.flush()
        assert not one._wait(0.0, lambda _pid, _code: None)
        assert log.read_text() == 'a line\n'
        file.write('another\n')
        file.flush()
        assert not one._wait(0.0, lambda _pid, _code: None)
        file.write('more\n')
    assert log.read_text() == 'more\n'
    assert Path(f'{log}.1').read_text() == 'a line\nanother\n'
