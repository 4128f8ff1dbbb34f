"""Making the folder of a fleet, whatever is there of it already."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hgext3rd.fleet import files
from hgext3rd.fleet.adapters.directory_file import FileDirectory
from hgext3rd.fleet.core.errors import SettingError
from hgext3rd.fleet.core.past import Moment
from hgext3rd.fleetctl import commands, founding, plan, restore, text
from hgext3rd.fleetctl.layout import Layout
from hgext3rd.fleetctl.plan import Record, Tools, Wishes
from hgext3rd.fleetctl.up import up

pytestmark = pytest.mark.skipif(
    not shutil.which('ssh-keygen'), reason='no ssh-keygen here'
)


class Cut(Exception):
    """The process ends here."""


def public(path: str) -> list[str]:
    return Path(f'{path}.pub').read_text().split()[:2]


def derived(path: str) -> list[str]:
    argv = ['ssh-keygen', '-y', '-f', path]
    return subprocess.check_output(argv, text=True).split()[:2]


def complete(layout: Layout) -> None:
    """Check that the folder has all, and that keys fit each other."""
    assert founding.is_fleet(layout)
    for key in (layout.host_key, layout.client_key):
        assert public(key) == derived(key)
        assert os.stat(key).st_mode & 0o777 == 0o600
    admin = FileDirectory(layout.users).user(founding.ADMIN)
    assert admin
    assert admin.keys == (' '.join(public(layout.client_key)),)


def test_a_first_start_that_was_cut_off_is_started_again(
    tmp_path: Path,
) -> None:
    steps = ('makedirs', 'rename', 'replace', 'fsync', 'open', 'unlink')
    for left in itertools.count():
        layout = Layout(str(tmp_path / f'fleet{left}'))
        remaining = iter(range(left))
        with pytest.MonkeyPatch.context() as patch:
            for name in steps:
                patch.setattr(os, name, until(remaining, getattr(os, name)))
            with contextlib.suppress(Cut):
                founding.found(layout)
                break
        founding.is_fleet(layout)  # else it would be refused
        founding.found(layout)
        complete(layout)
    complete(layout)
    assert left > len(steps)


def until(remaining: Any, call: Callable[..., Any]) -> Callable[..., Any]:
    def step(*words: Any, **more: Any) -> Any:
        if next(remaining, None) is None:
            raise Cut
        return call(*words, **more)

    return step


def test_what_a_killed_process_was_writing_is_no_stranger(
    tmp_path: Path,
) -> None:
    (tmp_path / '.tmp-0123456789abcdef').touch()
    (tmp_path / 'run').mkdir()
    assert not founding.is_fleet(Layout(str(tmp_path)))


def test_a_public_key_that_is_missing_is_made_from_the_private_one(
    tmp_path: Path,
) -> None:
    layout = Layout(str(tmp_path))
    founding.found(layout)
    before = public(layout.host_key), public(layout.client_key)
    for key in (layout.host_key, layout.client_key):
        os.unlink(f'{key}.pub')
    founding.found(layout)
    complete(layout)
    assert before == (public(layout.host_key), public(layout.client_key))


def test_a_private_key_that_cannot_be_read_is_left_alone(
    tmp_path: Path,
) -> None:
    layout = Layout(str(tmp_path))
    founding.found(layout)
    os.unlink(f'{layout.host_key}.pub')
    Path(layout.host_key).write_text('not a key\n')
    with pytest.raises(SettingError, match=r'cannot make .*host_key\.pub'):
        founding.found(layout)
    assert Path(layout.host_key).read_text() == 'not a key\n'


@pytest.mark.parametrize('who', [os.geteuid() + 1, 4_000_000_000])
def test_what_belongs_to_somebody_else_is_not_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, who: int
) -> None:
    layout = Layout(str(tmp_path))
    founding.claim(layout)
    founding.require_own(layout)
    opts = {'data': os.fsencode(tmp_path)}
    assert commands.own(opts) == layout
    monkeypatch.setattr(os, 'geteuid', lambda: who)
    monkeypatch.setattr(os, 'umask', lambda _mask: 0)
    assert commands.existing(opts) == layout
    with pytest.raises(SettingError, match='belongs to'):
        commands.own(opts)
    with pytest.raises(SettingError, match='belongs to'):
        up(layout, Wishes(), Tools('hg', 'python', 'sshd'), False)
    assert not os.path.exists(layout.lock)


def test_a_ledger_that_has_gone_is_not_made_anew(tmp_path: Path) -> None:
    layout, opts = Layout(str(tmp_path)), {'data': os.fsencode(tmp_path)}
    node = plan.nodes(Record())[0]
    founding.found(layout)
    files.replace(
        layout.node(node.name).hgrc, text.hgrc(layout, node, 'none').encode()
    )
    (tmp_path / 'ledger.db').unlink()
    commands.existing(opts)
    founding.found(layout)
    founding.remember(layout, Record(founded=True))
    commands.existing(opts)
    (tmp_path / 'ledger.db').unlink()
    founding.found(layout)
    assert not (tmp_path / 'ledger.db').exists()
    with pytest.raises(SettingError, match=r'ledger\.db is missing'):
        commands.existing(opts)
    Path(layout.local).write_text('[fleet]\nledger = kafka://b1/elsewhere\n')
    commands.existing(opts)


def test_rules_that_were_removed_do_not_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, 'umask', lambda _mask: 0)
    layout = Layout(str(tmp_path / 'a'))
    founding.found(layout)
    assert Path(layout.access).exists()
    founding.remember(layout, Record(founded=True))
    Path(layout.access).unlink()
    founding.found(layout)
    assert not Path(layout.access).exists()
    past = Layout(str(tmp_path / 'b'))
    restore.restore(layout, past, lambda *_: Moment(), lambda *_: None)
    assert not Path(past.access).exists()
    assert founding.record(past).founded


def test_what_the_rules_include_is_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, 'umask', lambda _mask: 0)
    layout, past = Layout(str(tmp_path / 'a')), Layout(str(tmp_path / 'b'))
    founding.found(layout)
    (tmp_path / 'elsewhere.rc').touch()
    (tmp_path / 'a' / 'rules').mkdir()
    (tmp_path / 'a' / 'rules' / 'first.rc').write_text('[access]\nx = *:read\n')
    Path(layout.access).write_text(
        f'%include rules/first.rc\n%include {tmp_path}/elsewhere.rc\n'
        '%include missing.rc\n[access]\n** = a:admin\n'
    )
    restore.restore(layout, past, lambda *_: Moment(), lambda *_: None)
    copied = Path(past.root, 'rules', 'first.rc')
    assert copied.read_text() == '[access]\nx = *:read\n'
    assert Path(past.access).read_text() == Path(layout.access).read_text()
