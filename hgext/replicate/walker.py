"""The part of a node's daemon that looks after its copies of repositories.

What is next, and how long to rest after it, is decided in ``core/walk.py``;
when a quarantined copy is made anew, in ``core/mending.py``.  Here that is
done, each time in a process of its own (``hg replicate::check``,
``replicate::snapshot`` and ``replicate::rebuild``) whose CPU time is counted.
When what was done is kept in ``<state>/checked.json``, so another life of the
daemon goes on there.

What is found damaged is told to the thread that applies entries; that alone
quarantines.
"""

from __future__ import annotations

import functools
import json
import os
import resource
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mercurial.utils import procutil

from ..fleet import edge, files
from ..fleet.core import mending, walk
from ..fleet.core.errors import EntryUnreadable, FleetError
from ..fleet.core.walk import Choice, Here, Page, Task, Visit
from ..fleet.daemon import Stop
from ..fleet.webgate import Gate
from .node import Identity, Node

FIRST = 5.0
"""Seconds after the start of the daemon before it begins to walk."""

_POLL = 0.5
_AFTER_FAILURE = 30.0
_SAID = 300

_WORDS = {
    Task.COMPARE: ('replicate::check',),
    Task.VERIFY: ('replicate::check', '--verify'),
    Task.SNAPSHOT: ('replicate::snapshot', '--due'),
}
_QUIETLY = ('--quiet', '--idle', '-T', 'json', '--')
_REBUILD = ('replicate::rebuild', '--idle', '--')


@dataclass(frozen=True)
class Done:
    """How a process ended; ``spent`` is its CPU time in seconds."""

    code: int
    out: str
    said: str
    spent: float


class Stopped(FleetError):
    """The daemon ends, and the process was ended with it."""


Run = Callable[[Sequence[str]], Done]
Damaged = Callable[[str, str, Identity], None]
"""Hears which repository is damaged, why, and which copy of it was seen."""


class Walker:
    """Does one thing after another; used by one thread."""

    def __init__(
        self,
        node: Node,
        damaged: Damaged,
        makes_snapshots: Callable[[], bool],
        run: Run,
    ) -> None:
        self._node = node
        self._damaged = damaged
        self._makes_snapshots = makes_snapshots
        self._run = run
        self._path = node.state(walk.FILE)
        self._book = walk.decode(files.read(self._path))
        self._rest_until = 0.0
        # Copies that were found damaged, and are not quarantined yet.
        self._told: dict[str, Identity] = {}

    def step(self) -> float:
        """Do what is due, at most one thing; return how long to wait then."""
        if self._mend():
            return 0.0
        left = self._rest_until - self._node.clock.boot()
        if left > 0:
            return min(left, _POLL)
        began = time.thread_time()
        here = self._here()
        choice = walk.choose(
            self._book,
            here,
            self._node.settings.pace,
            self._node.clock.wall(),
            self._makes_snapshots(),
        )
        if isinstance(choice, Choice):
            spent = self._visit(choice)
            spent += time.thread_time() - began
            self._rest(self._node.settings.pace.rest(spent))
        else:
            self._rest(choice)
        return _POLL

    def _rest(self, seconds: float) -> None:
        self._rest_until = self._node.clock.boot() + seconds

    def _here(self) -> dict[str, Here]:
        """Return what is to be looked at: nothing that is quarantined.

        What this node had once, and has not deleted, belongs to it.
        """
        quarantined = set(self._node.quarantined())
        gate = Gate(self._node.settings, self._node.clock)
        found = {}
        known = {*gate.scan(), *self._book}
        for name in known - quarantined:
            hosted = self._node.hosted(name)
            if self._told.get(name) == hosted.identity():
                continue
            if os.path.exists(hosted.tombstone):
                self._book.pop(name, None)
                continue
            try:
                state = hosted.applied().state
            except (EntryUnreadable, OSError):
                found[name] = Here(0, 0.0)
            else:
                found[name] = Here(state.seq, state.time / 1000)
        return found

    def _mend(self) -> bool:
        """Make the copy anew of which that is due; tell whether any was."""
        now = self._node.clock.wall()
        for name in self._node.quarantined():
            refused = self._node.hosted(name).refused()
            page = self._book.get(name, Page())
            self._told.pop(name, None)
            if refused is None:
                continue
            left = mending.due(refused, page.attempts, now)
            if left is None or left > 0:
                continue
            self._tell(f'{name}: is made anew')
            done = self._run((*_REBUILD, name))
            if done.code == 0:
                attempts = mending.Attempts()
                self._tell(f'{name}: made anew')
            else:
                attempts = page.attempts.failing(self._node.clock.wall())
                self._tell(f'{name}: cannot be made anew: {_last(done)}')
            self._book[name] = replace(page, attempts=attempts)
            self._save()
            return True
        return False

    def _visit(self, choice: Choice) -> float:
        """Do it; return the CPU time that it took."""
        copies = {
            name: self._node.hosted(name).identity() for name in choice.names
        }
        done = self._run((*_WORDS[choice.task], *_QUIETLY, *choice.names))
        rows = _rows(done.out)
        for name, copy in copies.items():
            self._note(choice.task, name, rows.get(name), done, copy)
        self._save()
        return done.spent

    def _note(
        self,
        task: Task,
        name: str,
        row: Mapping[str, Any] | None,
        done: Done,
        copy: Identity,
    ) -> None:
        page = self._book.get(name, Page())
        now = self._node.clock.wall()
        before = max((one.seq for one in page.visits.values()), default=0)
        if row is None or row.get('unclear'):
            said = str(row['unclear']) if row else _last(done)
            last = page.visits.get(task, Visit(0.0, 0))
            at = walk.postponed(task, self._node.settings.pace, now)
            self._book[name] = page.visited(
                task, Visit(at, last.seq), f'{task.value}: {said}'
            )
            return
        seq = int(row['seq'])
        found = str(row.get('found', ''))
        if task is not Task.SNAPSHOT and not found and seq < before:
            found = f'it is at entry {seq}, and has been at {before}'
        if found:
            # It is looked at again when it has been made anew.
            visits = {
                what: visit if what is Task.SNAPSHOT else replace(visit, at=0.0)
                for what, visit in page.visits.items()
            }
            self._book[name] = replace(page, visits=visits, problem='')
            self._told[name] = copy
            self._damaged(name, f'{name}: {found}', copy)
            return
        # A snapshot that somebody else has made is as old as it says.
        listed = row.get('listed', True)
        at = now if listed else min(now, float(row['time']))
        self._book[name] = page.visited(task, Visit(at, seq))

    def _save(self) -> None:
        files.replace(self._path, walk.encode(self._book))

    def _tell(self, words: str) -> None:
        self._node.ui.status(edge.local(f'{words}\n'))
        self._node.ui.flush()


def _rows(out: str) -> dict[str, Mapping[str, Any]]:
    """Return what a process said of each repository; {} if it did not end."""
    try:
        return {str(row['name']): row for row in json.loads(out)}
    except (ValueError, KeyError, TypeError):
        return {}


def _last(done: Done) -> str:
    lines = [one.strip() for one in done.said.splitlines() if one.strip()]
    if done.code < 0:
        return f'ended by signal {-done.code}'
    return lines[0][:_SAID] if lines else f'exit code {done.code}'


def run(stop: Stop, words: Sequence[str]) -> Done:
    """Run ``hg`` with these words, until it ends or the daemon does."""
    hg = edge.text(procutil.hgexecutable())
    before = _children()
    child = subprocess.Popen(
        (hg, '--cwd', '/', '--noninteractive', *words),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding='utf-8',
        errors='replace',
    )
    while True:
        try:
            out, said = child.communicate(timeout=_POLL)
        except subprocess.TimeoutExpired:
            if not stop:
                continue
            child.terminate()
            child.communicate()
            raise Stopped('the daemon ends') from None
        return Done(child.returncode, out, said, _children() - before)


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def go(
    node: Node,
    damaged: Damaged,
    makes_snapshots: Callable[[], bool],
    stop: Stop,
) -> None:
    """Walk until told to stop; whatever goes wrong, the daemon goes on."""
    run_here = functools.partial(run, stop)
    pace = node.settings.pace
    stop.pause(min(FIRST, pace.compare, pace.verify))
    walker = Walker(node, damaged, makes_snapshots, run_here)
    while not stop:
        try:
            pause = walker.step()
        except Stopped:
            return
        except (FleetError, OSError) as problem:
            node.ui.warn(edge.local(f'looking after copies: {problem}\n'))
            node.ui.flush()
            pause = _AFTER_FAILURE
        stop.pause(pause)
