"""Failpoints: what the setting says, and that a wrong one is refused."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from hgext3rd.fleet import failpoint
from hgext3rd.fleet.core.errors import SettingError


class Ui:
    """Configured with one setting."""

    def __init__(self, setting: str) -> None:
        self.setting = setting

    def config(self, section: bytes, name: bytes) -> bytes:
        assert (section, name) == (b'devel', b'fleet-failpoint')
        return self.setting.encode()


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    failpoint.arm(Ui(''))


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What was done to this process."""
    made: list[object] = []
    monkeypatch.setattr(os, 'kill', lambda _pid, number: made.append(number))
    monkeypatch.setattr(time, 'sleep', made.append)
    return made


def test_only_the_named_one_kills(done: list[object]) -> None:
    failpoint.arm(Ui('publish.before'))
    failpoint.hit('publish.valid')
    assert not done
    failpoint.hit('publish.before')
    assert done == [signal.SIGKILL]


def test_one_may_hold_up_instead(done: list[object]) -> None:
    failpoint.arm(Ui('publish.before pause 0.25'))
    failpoint.hit('publish.before')
    failpoint.hit('publish.before')
    assert done == [0.25, 0.25]


@pytest.mark.parametrize('wrong', ['a b', 'a stop 1', 'a pause', 'a pause x'])
def test_a_setting_that_makes_no_sense_is_refused(wrong: str) -> None:
    with pytest.raises(SettingError, match='makes no sense'):
        failpoint.arm(Ui(wrong))
