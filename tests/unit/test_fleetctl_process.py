"""Processes: told apart, found, ended; and who keeps the supervisor."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hgext3rd.fleet.core.errors import SettingError
from hgext3rd.fleetctl import (
    commands,
    founding,
    lock,
    plan,
    process,
    running,
    sockets,
    text,
)
from hgext3rd.fleetctl.layout import Layout
from hgext3rd.fleetctl.plan import Record
from hgext3rd.fleetctl.process import Process
from hgext3rd.fleetctl.running import Leftovers, Running, Seen

STUBBORN = (
    'import signal, subprocess, sys, time\n'
    'signal.signal(signal.SIGTERM, signal.SIG_IGN)\n'
    'child = subprocess.Popen(["sleep", "600"], start_new_session=True)\n'
    'print(child.pid, flush=True)\n'
    'time.sleep(600)\n'
)


def until(true: Callable[[], object], patience: float = 120.0) -> None:
    deadline = time.monotonic() + patience
    while not true():
        assert time.monotonic() < deadline, 'waited too long'
        time.sleep(0.01)


@pytest.fixture
def stubborn() -> Iterator[tuple[Process, Process]]:
    """A process that ignores SIGTERM, and its child in another session."""
    with subprocess.Popen(
        [sys.executable, '-c', STUBBORN], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout
        child = process.identify(int(parent.stdout.readline()))
        yield process.identify(parent.pid), child
        parent.kill()
        process.finish(lambda: [child], 0.0)


def test_a_process_is_more_than_its_pid() -> None:
    me = process.identify(os.getpid())
    assert process.is_alive(me)
    assert not process.is_alive(Process(me.pid, me.start + 1))
    assert not process.is_alive(process.identify(2**22))


def test_whatever_ignores_sigterm_is_killed_with_its_children(
    stubborn: tuple[Process, Process],
) -> None:
    parent, child = stubborn
    assert process.descendants([parent.pid]) == [child]
    process.finish(Leftovers({parent}), 0.1)
    assert not process.is_alive(parent)
    assert not process.is_alive(child)


def test_a_reused_pid_is_not_signalled(
    stubborn: tuple[Process, Process],
) -> None:
    parent, child = stubborn
    process.finish(Leftovers({Process(parent.pid, parent.start - 1)}), 0.0)
    assert process.is_alive(parent)
    assert process.is_alive(child)


def keep(tmp_path: Path, body: str) -> subprocess.Popen[str]:
    """Start a keeper whose supervisor does ``body`` with ``sleep``."""
    code = (
        'import os, signal, sys, time\n'
        'from hgext3rd.fleetctl import keeper, process\n'
        'def supervise():\n'
        '    one = process.spawn(["/bin/sleep", "600"], {}, "/dev/null")\n'
        '    print(os.getpid(), one.pid, flush=True)\n'
        f'    {body}\n'
        'sys.exit(keeper.keep(supervise, lambda: None))\n'
    )
    return subprocess.Popen(
        [sys.executable, '-c', code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


WAITING = 'signal.sigwait([signal.SIGTERM]); return 3'


def started(keeper: subprocess.Popen[str]) -> tuple[Process, Process]:
    assert keeper.stdout
    pids = [int(word) for word in keeper.stdout.readline().split()]
    supervisor, part = map(process.identify, pids)
    return supervisor, part


def test_the_exit_code_of_the_supervisor_is_handed_on(tmp_path: Path) -> None:
    with keep(tmp_path, 'return 3') as one:
        _supervisor, part = started(one)
        assert one.wait() == 3
    assert not process.is_alive(part)


def test_a_signal_is_handed_on(tmp_path: Path) -> None:
    with keep(tmp_path, WAITING) as one:
        _supervisor, part = started(one)
        one.terminate()
        assert one.wait() == 3
    assert not process.is_alive(part)


def test_the_keeper_ends_what_a_killed_supervisor_leaves(
    tmp_path: Path,
) -> None:
    with keep(tmp_path, WAITING) as one:
        supervisor, part = started(one)
        os.kill(supervisor.pid, 9)
        assert one.wait() == 255
        assert one.stderr
        assert 'killed by signal 9' in one.stderr.read()
    assert not process.is_alive(part)


def test_the_supervisor_hears_when_its_keeper_is_killed(
    tmp_path: Path,
) -> None:
    with keep(tmp_path, WAITING) as one:
        supervisor, part = started(one)
        one.kill()
    until(lambda: not process.is_alive(supervisor))
    until(lambda: not process.is_alive(part))


def test_a_signal_may_come_before_the_keeper_listens(tmp_path: Path) -> None:
    code = (
        'import os, signal, sys\n'
        'from hgext3rd.fleetctl import detach, keeper\n'
        'signal.signal(signal.SIGTERM, lambda *_: sys.exit("too early"))\n'
        'def start(ground):\n'
        '    os.kill(os.getpid(), signal.SIGTERM)\n'
        '    supervise = lambda: signal.sigwait([signal.SIGTERM]) and 3\n'
        '    return keeper.keep(supervise, ground.leave)\n'
        f'sys.exit(detach.detach({str(tmp_path / "log")!r}, start))\n'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (3, '')


def test_what_runs_is_written_and_read(tmp_path: Path) -> None:
    layout = Layout(str(tmp_path))
    seen = Seen('a.web', 'a', 'web', 'running', Process(1, 2), 3, 4.5, -9)
    other = Seen('b.web', 'b', 'web', 'stopped', None, 0, 0.0)
    now = Running(Process(5, 6), None, (seen, other))
    running.write(layout, now)
    assert running.read(layout) == now
    assert now.processes() == [Process(5, 6), Process(1, 2)]


def test_in_a_copy_of_the_folder_nothing_runs(tmp_path: Path) -> None:
    ours, copy = Layout(str(tmp_path / 'a')), Layout(str(tmp_path / 'b'))
    with lock.hold(ours):
        running.write(ours, Running(process.identify(os.getpid())))
        shutil.copytree(ours.root, copy.root)
        assert running.read(ours).keeper
        assert running.read(copy) == Running()
        os.rename(ours.root, tmp_path / 'c')
        assert running.read(Layout(str(tmp_path / 'c'))).keeper


@pytest.mark.parametrize('data', ['', '{', '[]', '{"boot": "another"}'])
def test_an_unfit_file_counts_as_nothing(tmp_path: Path, data: str) -> None:
    layout = Layout(str(tmp_path))
    Path(layout.running).parent.mkdir()
    Path(layout.running).write_text(data)
    assert running.read(layout) == Running()


def test_a_folder_is_ours_empty_or_refused(tmp_path: Path) -> None:
    layout = Layout(str(tmp_path / 'fleet'))
    assert not founding.is_fleet(layout)
    Path(layout.root).mkdir()
    assert not founding.is_fleet(layout)
    (tmp_path / 'fleet' / 'thesis.tex').touch()
    with pytest.raises(SettingError, match=r'thesis\.tex'):
        founding.is_fleet(layout)
    Path(layout.version).write_text('1\n')
    assert founding.is_fleet(layout)
    Path(layout.version).write_text('2\n')
    with pytest.raises(SettingError, match="format '2'"):
        founding.is_fleet(layout)


def test_the_nodes_of_a_copy_are_not_used_before_its_start(
    tmp_path: Path,
) -> None:
    ours, copy = Layout(str(tmp_path / 'a')), Layout(str(tmp_path / 'b'))
    node = plan.nodes(Record())[0]
    founding.require_place(ours)
    hgrc = Path(ours.node(node.name).hgrc)
    hgrc.parent.mkdir(parents=True)
    hgrc.write_text(text.hgrc(ours, node, 'primary.rc'))
    Path(ours.version).write_text('1\n')
    shutil.copytree(ours.root, copy.root)
    assert commands.existing({'data': os.fsencode(ours.root)}) == ours
    with pytest.raises(SettingError, match='copied or moved'):
        commands.existing({'data': os.fsencode(copy.root)})


def test_a_missing_program_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(founding.shutil, 'which', lambda *_a, **_k: None)
    with pytest.raises(SettingError, match='sshd is missing') as caught:
        founding.find_tools('hg', 'python')
    assert 'openssh-server' in caught.value.hint


def test_nobody_answers_on_a_free_port() -> None:
    port = sockets.choose(())
    assert sockets.is_free(port)
    assert not sockets.greets(port)
    assert sockets.get(port, '/readyz') == 0
