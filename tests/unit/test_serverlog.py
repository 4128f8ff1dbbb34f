"""The log of the server: what is lost, and requests that end early."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hgext3rd.fleet import linelog
from hgext3rd.serverlog.http import Recorded
from hgext3rd.serverlog.record import Recorder
from testlib import wsgi

NAME = 'serverlog.log'


def lines(folder: Path) -> list[dict[str, Any]]:
    text = (folder / NAME).read_text()
    return [json.loads(one) for one in text.splitlines()]


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    one = Recorder(f'file://{tmp_path}/{NAME}', 'web1', pytest.fail)
    yield one
    one.close()


@pytest.fixture
def application(recorder: Recorder) -> Recorded:
    return Recorded(served, lambda _path: 'demo', recorder)


def test_lost_lines_are_told_once_and_tried_again_later(tmp_path: Path) -> None:
    told: list[str] = []
    now = 0.0
    url = f'file://{tmp_path}/away/{NAME}'
    one = Recorder(url, 'hg1', told.append, lambda: now)
    one.write('first', {})
    (tmp_path / 'away').mkdir()
    one.write('too-soon', {})
    now = 11.0
    one.write('later', {})
    one.close()
    assert [said['event'] for said in lines(tmp_path / 'away')] == ['later']
    assert len(told) == 1
    assert 'No such file' in told[0]


def test_what_cannot_be_encoded_is_lost_as_well(tmp_path: Path) -> None:
    told: list[str] = []
    one = Recorder(f'file://{tmp_path}/{NAME}', 'hg1', told.append)
    one.write('odd', {'repo': object()})
    assert len(told) == 1


def test_threads_write_whole_lines_and_the_file_may_be_renamed(
    tmp_path: Path, recorder: Recorder
) -> None:
    def work(number: int) -> None:
        for turn in range(200):
            recorder.write('x', {'path': str(number) * 400, 'turn': turn})

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(lines(tmp_path)) == 800
    (tmp_path / NAME).rename(tmp_path / 'old')
    recorder.write('y', {})
    assert [said['event'] for said in lines(tmp_path)] == ['y']


def test_threads_that_begin_at_once_open_one_place(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    class Slow(linelog.Place):
        def __init__(self, url: str, setting: str, facility: int) -> None:
            opened.append(url)
            threading.Event().wait(0.1)
            super().__init__(url, setting, facility)

    monkeypatch.setattr(linelog, 'Place', Slow)
    threads = [
        threading.Thread(target=recorder.write, args=('x', {})) for _ in '12'
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(opened) == 1


def served(environ: Any, start_response: Any) -> Iterable[bytes]:
    if environ['QUERY_STRING'] == 'defect':
        raise RuntimeError
    write = start_response('200 OK', [])
    write(b'12')
    return body()


def body() -> Iterator[bytes]:
    yield b'345'
    yield b'6789'


def ends(folder: Path) -> list[dict[str, Any]]:
    return [
        {k: v for k, v in said.items() if k in ('written', 'failed', 'status')}
        for said in lines(folder)
        if said['event'] == 'request-end'
    ]


def test_a_body_that_is_read_to_its_end(
    tmp_path: Path, application: Recorded
) -> None:
    assert wsgi.ask(application, '/demo').body == b'123456789'
    assert ends(tmp_path) == [{'written': 9, 'status': 200}]


def test_a_client_that_leaves(tmp_path: Path, application: Recorded) -> None:
    request = wsgi.environ('/demo')
    _response, chunks = wsgi.start(application, request)
    next(iter(chunks))
    for _twice in range(2):
        chunks.close()  # type: ignore[attr-defined]
    assert ends(tmp_path) == [{'written': 5, 'status': 200, 'failed': True}]


def test_an_application_that_fails(
    tmp_path: Path, application: Recorded
) -> None:
    with pytest.raises(RuntimeError):
        wsgi.ask(application, '/demo', 'defect')
    assert ends(tmp_path) == [{'written': 0, 'failed': True}]


def test_no_repository_no_lines(tmp_path: Path, recorder: Recorder) -> None:
    one = Recorded(served, lambda _path: None, recorder)
    assert wsgi.ask(one, '/healthz').body == b'123456789'
    assert not (tmp_path / NAME).exists()
