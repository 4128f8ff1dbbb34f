"""Programs that are started, spoken to, and timed.

``session`` starts a program, says something to it, and measures the time to
its first byte and to its end.  Run as a program this is one of several
clients that do so for some seconds:

    python bench/spawned.py spawn|fork SECONDS < JSON

``spawn`` executes what JSON says; ``fork`` runs the forced command in a fork
instead (``testlib/visitor.py``), so that next to nothing of the time is the
client's.  It prints how many sessions it has had.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_DEVNULL = '/dev/null'
_CHUNK = 65536


@dataclass(frozen=True)
class Took:
    """Milliseconds to the first byte and to the end; those of CPU used."""

    first: float
    whole: float
    cpu: float


def session(
    argv: Sequence[str], env: Mapping[str, str], said: bytes = b''
) -> Took:
    """Run a program that answers something; what is said ends after that."""
    stdin, ours = os.pipe()
    out, stdout = os.pipe()
    actions = [
        (os.POSIX_SPAWN_DUP2, stdin, 0),
        (os.POSIX_SPAWN_DUP2, stdout, 1),
        (os.POSIX_SPAWN_OPEN, 2, _DEVNULL, os.O_WRONLY, 0),
    ]
    began = time.perf_counter()
    child = os.posix_spawn(argv[0], [*argv], env, file_actions=actions)
    os.close(stdin)
    os.close(stdout)
    os.write(ours, said)
    answer = os.read(out, _CHUNK)
    first = time.perf_counter() - began
    os.close(ours)
    while os.read(out, _CHUNK):
        pass
    os.close(out)
    _pid, status, usage = os.wait4(child, 0)
    whole = time.perf_counter() - began
    if status or not answer:
        raise SystemExit(f'{argv} ended with {status}, and said {answer!r}')
    cpu = usage.ru_utime + usage.ru_stime
    return Took(first * 1000, whole * 1000, cpu * 1000)


def silent(argv: Sequence[str], env: Mapping[str, str]) -> float:
    """Run a program that says nothing; return the milliseconds."""
    began = time.perf_counter()
    child = os.posix_spawn(argv[0], [*argv], env)
    _pid, status = os.waitpid(child, 0)
    if status:
        raise SystemExit(f'{argv} ended with {status}')
    return (time.perf_counter() - began) * 1000


def crowd(
    mode: str,
    argv: Sequence[str],
    env: Mapping[str, str],
    said: bytes,
    clients: int,
    seconds: float,
) -> int:
    """Have so many clients at a time; return how many sessions there were."""
    told = json.dumps([argv, dict(env), said.decode()]).encode()
    running = [
        subprocess.Popen(
            [sys.executable, __file__, mode, str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _each in range(clients)
    ]
    # They begin when they have been told what to do, which is together.
    for one in running:
        assert one.stdin is not None
        assert one.stdout is not None
        one.stdout.readline()
    for one in running:
        assert one.stdin is not None
        one.stdin.write(told)
        one.stdin.close()
    total = 0
    for one in running:
        assert one.stdout is not None
        with one.stdout as answer:
            count = answer.read()
        if one.wait():
            raise SystemExit(f'a client of {argv} has failed')
        total += int(count)
    return total


def _client(mode: str, seconds: float) -> int:
    sys.path.append(str(ROOT / 'tests'))
    from testlib import visitor

    print('ready', flush=True)
    argv, env, said = json.load(sys.stdin)
    pash = visitor.load(argv[3]) if mode == 'fork' else None
    count = 0
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if pash is None:
            session(argv, env, said.encode())
        else:
            visit = visitor.Visit(tuple(argv[4:]), env, said)
            seen = visitor.make(pash, visit)
            if seen.status or seen.cold or not seen.out:
                raise SystemExit(f'a session was not served: {seen}')
        count += 1
    return count


if __name__ == '__main__':
    print(_client(sys.argv[1], float(sys.argv[2])))
