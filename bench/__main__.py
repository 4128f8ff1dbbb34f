"""All benchmarks, one after the other: ``python bench [NAME...]``.

Each may be run by itself as well, and has options then.  Ends with 1 when
one of them missed a target, after all have run.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

NAMES = (
    'visibility',
    'ledgers',
    'throughput',
    'apply',
    'bootstrap',
    'flat',
    'web',
    'syncs',
    'sessions',
    'chg',
    'checks',
    'door',
)
_INTERRUPTED = 130


def main(wanted: list[str]) -> int:
    """Run what is wanted, or all; return the exit code."""
    unknown = set(wanted) - set(NAMES)
    if unknown:
        print(f'bench: there is no {min(unknown)}; use {", ".join(NAMES)}')
        return 2
    missed = []
    for name in wanted or NAMES:
        code = _run(Path(__file__).with_name(f'{name}.py'))
        if code == _INTERRUPTED:
            return code
        if code:
            missed.append(name)
        print(flush=True)
    if missed:
        print(f'bench: missed: {", ".join(missed)}')
    return 1 if missed else 0


def _run(script: Path) -> int:
    with subprocess.Popen([sys.executable, script]) as child:
        # Ctrl-C is for the child, which has a fleet to stop.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            return child.wait()
        finally:
            signal.signal(signal.SIGINT, before)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
