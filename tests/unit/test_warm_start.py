"""What sessions import is imported before them, as far as that is possible."""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from mercurial import encoding
from mercurial.utils import procutil

from hgext3rd.warmserver import rehearsal, start


class _Ui:
    def __init__(self) -> None:
        self.said: list[bytes] = []

    def warn(self, text: bytes) -> None:
        self.said.append(text)


def test_modules_that_are_in_no_file_do_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rehearse(ui: Any, practice: str) -> None:
        # As the compiled part of a library leaves it behind.
        sys.modules['_ghost_of_a_library'] = types.ModuleType('ghost')
        __import__('wanted_by_sessions')

    (tmp_path / 'wanted_by_sessions.py').write_text('')
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(rehearsal, 'prepare', lambda *_about: None)
    monkeypatch.setattr(rehearsal, 'rehearse', rehearse)
    ui = _Ui()
    assert start._import_all(ui, str(tmp_path))
    assert ui.said == []
    assert 'wanted_by_sessions' in sys.modules
    assert '_ghost_of_a_library' not in sys.modules


def test_of_a_rehearsal_nothing_is_heard_and_nothing_stays(
    capfd: pytest.CaptureFixture[str],
) -> None:
    environ = dict(encoding.environ)
    before = set(os.listdir('/proc/self/fd'))
    with rehearsal.unheard():
        encoding.environ[b'HGFLEET_COMMAND'] = b'help'
        os.write(1, b'directly\n')
        procutil.stdout.write(b'by way of a buffer\n')
    os.write(1, b'afterwards\n')
    assert capfd.readouterr().out == 'afterwards\n'
    assert dict(encoding.environ) == environ
    # Others may have been closed by the garbage collector.
    assert not set(os.listdir('/proc/self/fd')) - before
