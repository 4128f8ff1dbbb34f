"""The warm server where a service manager starts it, such as systemd."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from testlib.warmbare import HG, Bare

ROOT = Path(__file__).parents[2]
GREETING = b'capabilities: '
_LAUNCH = """\
import os, sys
os.environ['LISTEN_FDS'] = sys.argv[1]
os.environ['LISTEN_PID'] = str(os.getpid())
os.dup2(int(sys.argv[2]), 3)
os.execv(sys.argv[3], sys.argv[3:])
"""


def serves_next(bare: Bare) -> None:
    """Have one session, which the server must serve."""
    assert bare.served('rw', b'hello\n').output.count(GREETING) == 1


def test_the_socket_may_be_given(tmp_path: Path) -> None:
    bare = Bare(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(bare.path)
        listener.listen(100)
        number = listener.fileno()
        launch = [sys.executable, '-c', _LAUNCH, '1', str(number)]
        for _time in range(2):
            bare.start(launch, [number])
            serves_next(bare)
            bare.hg('warmserver::reload', hgrc=True)
            bare.until('next', lambda: bare.status()['handovers'] == 1)
            bare.until('one', lambda: bare.stages() == ['serving'])
            serves_next(bare)
            bare.stop()
            # It belongs to who has opened it.
            assert os.path.exists(bare.path)


def test_it_may_be_started_by_a_relative_path(tmp_path: Path) -> None:
    (tmp_path / 'hg').symlink_to(HG)
    bare = Bare(tmp_path)
    try:
        bare.start(['sh', '-c', 'exec ./hg warmserver::serve'])
        serves_next(bare)
    finally:
        bare.stop()


@pytest.mark.parametrize(
    ('kind', 'count'),
    [(socket.SOCK_STREAM, '1'), (socket.SOCK_SEQPACKET, '2')],
)
def test_another_socket_is_refused(
    tmp_path: Path, kind: socket.SocketKind, count: str
) -> None:
    bare = Bare(tmp_path)
    with socket.socket(socket.AF_UNIX, kind) as listener:
        done = subprocess.run(
            [
                *(sys.executable, '-c', _LAUNCH, count),
                *(str(listener.fileno()), HG, 'warmserver::serve'),
            ],
            env={'HGRCPATH': str(bare.hgrc), 'PATH': '/usr/bin:/bin'},
            pass_fds=[listener.fileno()],
            capture_output=True,
            text=True,
        )
    assert done.returncode == 255
    assert 'given another socket than it can use' in done.stderr


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    analyze = shutil.which('systemd-analyze')
    if analyze is None:
        pytest.skip('optional: systemd is not installed')
    units = []
    for path in sorted((ROOT / 'deploy' / 'systemd').iterdir()):
        text = path.read_text().replace('/opt/hgfleet/bin/hg', HG)
        units.append(tmp_path / path.name)
        units[-1].write_text(text)
    done = subprocess.run(
        [analyze, 'verify', '--man=no', *units],
        env={'PATH': '/usr/bin:/bin', 'SYSTEMD_UNIT_PATH': f'{tmp_path}:'},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, '')


def test_the_unit_does_not_end_sessions_for_what_is_not_their_fault() -> None:
    unit = ROOT / 'deploy' / 'systemd' / 'hgfleet-warm.service'
    said = unit.read_text().splitlines()
    # By default five failures within ten seconds are the last, and a process
    # that the kernel ends for its memory takes all others with it.
    assert 'StartLimitIntervalSec=0' in said
    assert 'OOMPolicy=continue' in said
    # Where the manual suggests to put the audit.
    assert 'LogsDirectory=hgfleet' in said
    assert '/var/log/hgfleet/' in (ROOT / 'docs' / 'operate.md').read_text()
