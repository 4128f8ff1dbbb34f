"""The audit's lines, and where they go."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import pytest

from hgext3rd.fleet import audit
from hgext3rd.fleet.audit import AuditFailed, Event
from hgext3rd.fleet.core.errors import SettingError

BYPASS = Event(
    event='bypass',
    who='ann',
    decision='allowed',
    reason='line\nend \u2028 "x"',
    source='10.1.2.3',
    repo='demo',
    what='sizes',
)


def test_a_line_says_all_and_is_one(tmp_path: Path) -> None:
    place = audit.place('', str(tmp_path))
    audit.write(place, 'hg1', BYPASS, now=1763756130.1256)
    audit.write(place, 'hg1', Event('login', 'bob', 'denied'), now=0)
    first, second = (tmp_path / 'audit.log').read_bytes().splitlines()
    assert json.loads(first) == {
        'time': '2025-11-21T20:15:30.125Z',
        'node': 'hg1',
        'event': 'bypass',
        'who': 'ann',
        'from': '10.1.2.3',
        'repo': 'demo',
        'what': 'sizes',
        'decision': 'allowed',
        'reason': 'line\nend \u2028 "x"',
    }
    assert json.loads(second) == {
        'time': '1970-01-01T00:00:00.000Z',
        'node': 'hg1',
        'event': 'login',
        'who': 'bob',
        'decision': 'denied',
    }


def test_every_field_is_described() -> None:
    line = Event('e', 'w', 'failed', 'r', 's', 'p', 't', 'o').line('n', 0)
    for name in json.loads(line):
        assert f'``{name}``' in (audit.__doc__ or '')


def test_lines_of_several_at_a_time_stay_whole(tmp_path: Path) -> None:
    place = f'file://{tmp_path}/audit.log'
    threads = [
        threading.Thread(
            target=lambda: [
                audit.write(place, 'hg1', Event('e', 'w' * 500, 'denied'))
                for _time in range(20)
            ]
        )
        for _thread in range(4)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    lines = (tmp_path / 'audit.log').read_text().splitlines()
    assert len([json.loads(line) for line in lines]) == 80


def test_syslog_gets_them(tmp_path: Path) -> None:
    path = tmp_path / 'log'
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(path))
        log.settimeout(10)
        audit.write(f'syslog://{path}', 'hg1', BYPASS)
        said = log.recv(65536)
    assert said.startswith(b'<86>hgfleet: {')
    assert json.loads(said.partition(b' ')[2])['who'] == 'ann'


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    for place in (
        f'file://{tmp_path}/none/audit.log',
        f'file://{tmp_path}',
        f'syslog://{tmp_path}/none',
    ):
        with pytest.raises(AuditFailed):
            audit.write(place, 'hg1', BYPASS)


def test_a_full_disk_is_told() -> None:
    with pytest.raises(AuditFailed, match='No space left'):
        audit.write('file:///dev/full', 'hg1', BYPASS)


@pytest.mark.parametrize('place', ['x', 'file://x', 'http://x/', 'syslog://x'])
def test_no_such_place(place: str) -> None:
    with pytest.raises(SettingError):
        audit.write(place, 'hg1', BYPASS)
