"""Small files: whole at any moment, even if the writer is killed."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hgext3rd.fleet import files
from testlib.places import TESTS

# Kills itself at the named call of the operating system.
KILLED = """
import os, signal, sys
from hgext3rd.fleet import files
def die(*_args, **_more):
    os.kill(os.getpid(), signal.SIGKILL)
path, where = sys.argv[1:]
if where == 'write':
    real = os.open
    def opened(*args):
        handle = real(*args)
        os.write(handle, b'half')
        die()
    os.open = opened
else:
    setattr(os, where, die)
files.replace(path, b'new', sync=True)
"""


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = str(tmp_path / 'a' / 'b' / 'file')
    assert files.read(path) is None
    for data in (b'', b'one', bytes(range(256)) * 1000):
        files.replace(path, data)
        assert files.read(path) == data
        files.replace(path, data, sync=True)
        assert files.read(path) == data
    assert os.listdir(os.path.dirname(path)) == ['file']


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    (tmp_path / 'file').write_bytes(b'')
    assert files.read(str(tmp_path / 'other')) is None
    assert files.read(str(tmp_path / 'file' / 'below')) is None


def test_removing_twice_is_harmless(tmp_path: Path) -> None:
    path = str(tmp_path / 'file')
    files.replace(path, b'x')
    files.remove(path)
    files.remove(path)
    assert files.read(path) is None


@pytest.mark.parametrize('mask', [0o022, 0o027, 0o002, 0o077], ids=oct)
def test_the_umask_decides_who_may_read(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        files.replace(str(tmp_path / 'file'), b'x')
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    mode = stat.S_IMODE((tmp_path / 'file').stat().st_mode)
    assert mode == 0o666 & ~mask


def test_a_failure_leaves_the_old_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / 'file'
    files.replace(str(path), b'old')

    def full(*_args: object) -> None:
        raise OSError(28, 'No space left on device')

    for name in ('rename', 'fsync'):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, full)
            with pytest.raises(OSError, match='No space'):
                files.replace(str(path), b'new', sync=True)
        assert path.read_bytes() == b'old'
        assert os.listdir(tmp_path) == ['file']


@pytest.mark.parametrize('where', ['open', 'write', 'fsync', 'rename'])
def test_a_kill_leaves_the_old(tmp_path: Path, where: str) -> None:
    path = tmp_path / 'file'
    files.replace(str(path), b'old')
    env = {**os.environ, 'PYTHONPATH': str(TESTS / 'names')}
    killed = subprocess.run(
        [sys.executable, '-c', KILLED, str(path), where], env=env
    )
    assert killed.returncode == -signal.SIGKILL
    assert path.read_bytes() == b'old'
    files.replace(str(path), b'newer')
    assert path.read_bytes() == b'newer'


def test_readers_see_the_old_or_the_new(tmp_path: Path) -> None:
    path = str(tmp_path / 'file')
    wholes = {bytes([value]) * 5000 for value in range(4)}
    files.replace(path, min(wholes))
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            for whole in wholes:
                files.replace(path, whole)

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(300):
            assert files.read(path) in wholes
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert os.listdir(tmp_path) == ['file']
