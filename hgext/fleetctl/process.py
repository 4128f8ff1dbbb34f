"""Processes on Linux: start, find, signal, and adopt them.

A process is known by its pid together with its start time (in ticks since
boot), so a pid that was given away again is never mistaken for ours.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Process:
    """One process, for as long as it lives."""

    pid: int
    start: int


def identify(pid: int) -> Process:
    """Return the process that has this pid now; start 0 when none has."""
    stat = _stat(pid)
    return Process(pid, int(stat[19]) if stat else 0)


def is_alive(process: Process) -> bool:
    """Tell whether it runs; a zombie does not."""
    stat = _stat(process.pid)
    return bool(stat) and int(stat[19]) == process.start and stat[0] != 'Z'


def descendants(roots: Iterable[int]) -> list[Process]:
    """Return the live children of ``roots``, their children, and so on."""
    children: dict[int, list[Process]] = {}
    for name in os.listdir('/proc'):
        stat = _stat(int(name)) if name.isdigit() else []
        if stat and stat[0] != 'Z':
            one = Process(int(name), int(stat[19]))
            children.setdefault(int(stat[1]), []).append(one)
    found: list[Process] = []
    waiting = list(roots)
    while waiting:
        some = children.pop(waiting.pop(), [])
        found.extend(some)
        waiting.extend(one.pid for one in some)
    return found


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on, or []."""
    try:
        with open(f'/proc/{pid}/stat', encoding='latin-1') as file:
            return file.read().rpartition(')')[2].split()
    except OSError:
        return []


def boot_id() -> str:
    """Return what tells this boot of the machine from every other."""
    with open('/proc/sys/kernel/random/boot_id', encoding='ascii') as file:
        return file.read().strip()


def send(process: Process, number: signal.Signals) -> None:
    """Signal a process if it still is the one that was meant."""
    if is_alive(process):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


def adopt_orphans() -> None:
    """Let orphaned descendants become this process's own children."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with(parent: int) -> None:
    """Be sent SIGTERM when ``parent``, the process that forked this, ends."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def spawn(argv: Sequence[str], env: Mapping[str, str], log: str) -> Process:
    """Start a program in a session of its own; return its process.

    Its output goes to the end of the file ``log``.  It dies with the
    process that started it.
    """
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return identify(pid)
    try:
        os.setsid()
        die_with(parent)
        os.chdir('/')
        os.dup2(os.open('/dev/null', os.O_RDONLY), 0)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        out = os.open(log, flags, 0o600)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.closerange(3, 1024)
        for number in (signal.SIGPIPE, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        os.execve(argv[0], list(argv), dict(env))
    except OSError as problem:
        os.write(2, f'{argv[0]}: {problem.strerror}\n'.encode())
    finally:
        os._exit(127)


def leave(body: Callable[[], int]) -> NoReturn:
    """End this forked process with the exit code that ``body`` returns.

    Nothing of what the parent had begun is finished a second time here.
    """
    code = 255
    try:
        code = body()
    finally:
        if sys.exc_info()[0] is not None:
            sys.excepthook(*sys.exc_info())
        sys.stdout.flush()
        os._exit(code)


def reap() -> dict[int, int]:
    """Collect the children that have ended: pid and exit code.

    A child that was ended by a signal has minus its number as exit code.
    """
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended[pid] = os.waitstatus_to_exitcode(status)


def finish(find: Callable[[], Iterable[Process]], grace: float) -> None:
    """Ask processes to end; after ``grace`` seconds, end them.

    ``find`` returns those that are left, and is asked again and again,
    since they may start others.
    """
    deadline = time.monotonic() + grace
    asked: set[Process] = set()
    while left := {one for one in find() if is_alive(one)}:
        if time.monotonic() >= deadline:
            for one in left:
                send(one, signal.SIGKILL)
        for one in left - asked:
            send(one, signal.SIGTERM)
            asked.add(one)
        time.sleep(0.02)
        reap()
