"""The walker: what it starts, what it remembers, and how long it rests."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from mercurial import error

from hgext3rd.fleet.core import walk
from hgext3rd.fleet.core.mending import SOON, Cause
from hgext3rd.fleet.core.walk import Pace, Task
from hgext3rd.replicate import check, rebuild, walker
from hgext3rd.replicate.node import Hosted
from hgext3rd.replicate.opening import applying, open_repository
from hgext3rd.replicate.walker import Done, Walker
from testlib.hgrepo import commit, create, make_node


class Clock:
    """A clock that a test turns."""

    def __init__(self, now: float) -> None:
        self.now = now

    def wall(self) -> float:
        return self.now

    def boot(self) -> float:
        return self.now

    def boot_id(self) -> str:
        return ''


class World:
    """A node whose processes are played by the test."""

    def __init__(self, hosted: Hosted) -> None:
        self.clock = Clock(hosted.applied().state.time / 1000 + 1)
        self.node = hosted.node
        self.node.clock = self.clock
        pace = Pace(0.05, 3600.0, 7 * 86400.0)
        self.node.settings = dataclasses.replace(self.node.settings, pace=pace)
        self.ran: list[tuple[float, tuple[str, ...]]] = []
        self.found: dict[str, str] = {}
        self.told: list[tuple[str, str]] = []
        self.code, self.spent = 0, 0.1
        self.crash = False
        self.walker = self.start()

    def start(self) -> Walker:
        return Walker(
            self.node,
            lambda name, reason, _copy: self.told.append((name, reason)),
            lambda: True,
            self.run,
        )

    def run(self, words: Sequence[str]) -> Done:
        self.ran.append((self.clock.now, tuple(words)))
        if self.crash:
            return Done(-11, '[\n {', '', self.spent)
        names = words[words.index('--') + 1 :]
        rows: list[dict[str, Any]] = [
            {
                'name': name,
                'seq': self.node.hosted(name).applied().state.seq,
                'found': self.found.get(name, ''),
                'unclear': '',
                'listed': True,
                'time': self.clock.now,
            }
            for name in names
        ]
        return Done(self.code, json.dumps(rows), 'abort: no\n', self.spent)

    def go(self, seconds: float) -> list[str]:
        """Let time pass; return the commands that ran."""
        before, end = len(self.ran), self.clock.now + seconds
        while self.clock.now < end:
            self.clock.now += max(self.walker.step(), seconds / 1000)
        return [' '.join(words[:2]) for _at, words in self.ran[before:]]


@pytest.fixture
def world(tmp_path: Path) -> World:
    hosted = create(make_node(tmp_path, 'p1'))
    commit(open_repository(hosted).unfiltered(), b'1\n')
    return World(hosted)


COMPARE, VERIFY = 'replicate::check --quiet', 'replicate::check --verify'
REBUILD, SNAPSHOT = 'replicate::rebuild --idle', 'replicate::snapshot --due'


def test_each_thing_is_done_in_its_time(world: World) -> None:
    assert world.go(60) == [COMPARE, VERIFY]
    assert world.go(3500) == []
    assert world.go(200) == [COMPARE]
    assert set(world.go(90000)) == {COMPARE, SNAPSHOT}


def test_another_life_goes_on_where_the_last_one_was(world: World) -> None:
    world.go(60)
    world.walker = world.start()
    assert world.go(3000) == []
    os.unlink(world.node.state(walk.FILE))
    world.walker = world.start()
    assert world.go(60) == [COMPARE, VERIFY]


def test_after_work_it_rests(world: World) -> None:
    world.spent = 10.0
    world.go(1000)
    (first, _compare), (second, _verify) = world.ran
    assert second - first >= 10.0 * 19


def test_what_is_damaged_is_told_and_made_anew_whatever_the_rest(
    world: World,
) -> None:
    world.spent = 100.0
    world.found['demo'] = 'bad'
    world.go(1)
    assert world.told == [('demo', 'demo: bad')]
    assert world.go(5000) == []
    world.found.clear()
    world.node.hosted('demo').refuse('demo: bad', Cause.DAMAGED)
    assert world.go(1)[:1] == [REBUILD]
    os.unlink(world.node.hosted('demo').quarantine)
    # What is new is looked at.
    assert world.go(5000)[:2] == [COMPARE, VERIFY]


def test_what_cannot_be_made_anew_is_tried_ever_more_rarely(
    world: World,
) -> None:
    world.go(60)
    world.code = 255
    world.node.hosted('demo').refuse('demo: stuck')
    assert world.go(SOON - 1) == []
    started = world.clock.now
    assert set(world.go(86400)) == {REBUILD}
    times = [at for at, words in world.ran if words[0] == 'replicate::rebuild']
    assert len(times) < 24 + 12
    assert times[1] - times[0] >= SOON
    assert times[-1] - times[-2] >= 3600
    assert started <= times[0]


def test_a_process_that_crashes_does_no_harm(world: World) -> None:
    world.crash = True
    assert set(world.go(7500)) == {COMPARE, VERIFY}
    assert world.told == []
    book = walk.decode(Path(world.node.state(walk.FILE)).read_bytes())
    assert 'ended by signal 11' in book['demo'].problem
    assert len(world.ran) <= 6


def test_one_that_has_less_than_before_is_damaged(world: World) -> None:
    world.go(60)
    Path(world.node.hosted('demo').path, '.hg').rename(
        Path(world.node.settings.root, 'gone')
    )
    world.go(4000)
    ((name, reason),) = world.told
    assert (name, reason[:23]) == ('demo', 'demo: it is at entry 0,')


@pytest.fixture
def hosted(tmp_path: Path) -> Hosted:
    hosted = create(make_node(tmp_path, 'p1'))
    commit(open_repository(hosted).unfiltered(), b'1\n' * 2000)
    return hosted


def test_a_sound_copy_is_found_sound(hosted: Hosted) -> None:
    assert check.compare(hosted).found == ''
    assert check.examine(hosted) == check.Checked('demo', 2, '')


def test_what_looks_damaged_because_it_changes_is_verified_in_a_copy(
    hosted: Hosted, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []

    def changing(repo: Any) -> str:
        looked.append(repo.root.decode())
        if len(looked) > 1:
            return rebuild.faults(repo)
        commit(open_repository(hosted).unfiltered(), b'2\n')
        return 'spurious'

    monkeypatch.setattr(check, 'faults', changing)
    assert check.examine(hosted) == check.Checked('demo', 3, '')
    assert looked == [hosted.path, hosted.node.state('new', 'check')]
    assert not os.path.exists(looked[1])


def test_a_copy_that_is_verified_has_the_damage_too(
    hosted: Hosted,
) -> None:
    path = Path(hosted.path, '.hg/store/data/file.i')
    data = bytearray(path.read_bytes())
    data[-3] ^= 0x55
    path.write_bytes(data)
    assert check.compare(hosted).found == ''
    assert 'its content is damaged' in check._in_a_copy(hosted).found
    assert 'its content is damaged' in check.examine(hosted).found


def test_no_lock_is_needed_to_look(hosted: Hosted) -> None:
    with applying(open_repository(hosted)):
        assert check.examine(hosted).found == ''


# Mercurial itself leaves a file open then.
@pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')
def test_what_a_killed_process_left_is_rolled_back_first(
    hosted: Hosted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, '_PAUSE', 0.0)
    journal = Path(hosted.path, '.hg/store/journal')
    journal.write_bytes(b'')
    assert check.compare(hosted).found == ''
    assert not journal.exists()
    journal.write_bytes(b'00changelog.i\x00999999\n')
    assert 'cannot be rolled back' in check.compare(hosted).found


def test_who_is_at_work_is_no_fault(
    hosted: Hosted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, '_PAUSE', 0.0)

    def held(*_args: Any) -> None:
        raise error.LockHeld(1, b'', b'', b'somebody')

    monkeypatch.setattr(check, 'applying', held)
    Path(hosted.path, '.hg/store/journal').write_bytes(b'')
    with pytest.raises(check.Unclear, match='changes too fast'):
        check.compare(hosted)


def test_a_process_is_counted_and_ends_with_the_daemon(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / 'hg'
    script.write_text(
        '#!/bin/sh\nif [ "$4" = long ]; then exec sleep 600; fi\n'
        'i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done; echo out "$@"\n'
    )
    script.chmod(0o755)
    monkeypatch.setattr(
        walker.procutil, 'hgexecutable', lambda: os.fsencode(script)
    )

    class Stop:
        told = False

        def __bool__(self) -> bool:
            return self.told

    stop: Any = Stop()
    done = walker.run(stop, ['short'])
    assert (done.code, done.out) == (0, 'out --cwd / --noninteractive short\n')
    assert 0 < done.spent < 60
    stop.told = True
    with pytest.raises(walker.Stopped):
        walker.run(stop, ['long'])


def test_tasks_have_their_commands() -> None:
    assert set(walker._WORDS) == set(Task)
