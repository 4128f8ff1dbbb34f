"""The entry of a server for chg, where the folder allows none."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from hgext3rd.warmserver.chg.folder import Described, Folder, Register


def test_where_nothing_can_be_locked_a_server_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_about: object) -> None:
        raise OSError(errno.ENOLCK, 'No locks available')

    folder = Folder(os.fsencode(tmp_path / 'server'))
    before = len(os.listdir('/proc/self/fd'))
    monkeypatch.setattr(fcntl, 'lockf', fails)
    one = Register(folder, Described(os.getpid(), 'key', 'hash', 0.0))
    # Else it would end at once, and so would the next.
    assert one.mine
    one.say(requests=1)
    one.strike()
    assert not folder.alive('key')
    assert len(os.listdir('/proc/self/fd')) == before
