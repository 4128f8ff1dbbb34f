"""What the forced command itself costs: letting in, and turning away.

    floor       an interpreter that does nothing: python3 -I -S -c pass
    let in      from the start of the forced command to the end of a session
                that asks for nothing, and is answered who they are: looked
                up, authorised, written into the audit, and served by a child
                of the warm server
    turned away the same for what is outside the grammar, and for a repository
                that they may not read

All are measured in turn, in one run, and figures are medians.  The share of
the forced command is what is above the floor: the interpreter has to be
started by whatever stands behind sshd.  The targets are those for a machine
on which the floor is 7 ms, as ratios to the floor.

Prints a table, or JSON; ends with 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / 'tests' / 'names')]
sys.path += [str(ROOT), str(ROOT / 'tests')]

from bench.figures import Report, load, machine, most, p50, say  # noqa: E402
from bench.spawned import silent  # noqa: E402

from testlib.warmnode import WarmNode, serve  # noqa: E402

FLOOR = 7.0
SHARE, REFUSAL = 10.0, 25.0
_DENIED = 1
_REST = 0.02

Way = Callable[[], float]


def ends(argv: Sequence[str], env: Mapping[str, str], expected: int) -> float:
    """Run a session that is asked nothing; return its milliseconds."""
    actions = [
        (os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0)
        for number in range(3)
    ]
    began = time.perf_counter()
    child = os.posix_spawn(argv[0], [*argv], env, file_actions=actions)
    _pid, status = os.waitpid(child, 0)
    whole = (time.perf_counter() - began) * 1000
    if os.waitstatus_to_exitcode(status) != expected:
        raise SystemExit(f'{argv} ended with {status}')
    return whole


def ways(node: WarmNode) -> dict[str, Way]:
    """Return what is measured, by name."""
    floor = [sys.executable, '-I', '-S', '-c', 'pass']
    found: dict[str, Way] = {'floor': lambda: silent(floor, {})}
    asked = {
        'let in': ('ann', '', 0),
        'turned away, by the grammar': ('ann', 'touch x', _DENIED),
        'turned away, by the rules': ('bob', serve('closed/x'), _DENIED),
    }
    for heat in ('warm', 'cold'):
        for name, (user, command, code) in asked.items():
            argv = node.command(user, heat == 'warm')
            env = {'SSH_ORIGINAL_COMMAND': command, 'HOME': '/'}
            found[f'{name}, {heat}'] = lambda a=argv, e=env, c=code: (  # type: ignore[misc]
                ends(a, e, c)
            )
    return found


def measure(folder: Path, rounds: int) -> dict[str, float]:
    """Have a node up, and return the median of each way."""
    node = WarmNode(folder / 'node', suite=True)
    node.create('closed/x')
    chance = random.Random(rounds)
    times: dict[str, list[float]] = {}
    with node:
        chosen = ways(node)
        for way in chosen.values():
            way()
        for number in range(rounds):
            if number % 20 == 0:
                say(f'round {number} of {rounds}')
            for name in chance.sample(list(chosen), len(chosen)):
                time.sleep(_REST)
                times.setdefault(name, []).append(chosen[name]())
    return {name: p50(values) for name, values in times.items()}


def describe(report: Report, of: dict[str, float]) -> None:
    """Add the figures to the report."""
    floor = of['floor']
    for name in sorted(of):
        report.add(name, of[name], 'ms')
    share = (of['let in, warm'] - floor) / floor
    report.add('share of the session / floor', share, 'x', most(SHARE / FLOOR))
    for kind in ('grammar', 'rules'):
        ratio = of[f'turned away, by the {kind}, warm'] / floor
        limit = most(REFUSAL / FLOOR)
        report.add(f'turned away by the {kind} / floor', ratio, 'x', limit)


def main(argv: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog='bench/door.py', description=(__doc__ or '').split('\n')[0]
    )
    parser.add_argument('--rounds', type=int, default=100)
    parser.add_argument('--json', action='store_true')
    options = parser.parse_args(argv)
    report = Report('door', machine(), load())
    with tempfile.TemporaryDirectory(prefix='hgfleet-bench-') as folder:
        of = measure(Path(folder), options.rounds)
    report.note(f'{options.rounds} rounds')
    describe(report, of)
    print(report.json() if options.json else report.table())
    return report.exit_code()


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
