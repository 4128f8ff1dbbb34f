"""The command line of a long run: ``python tests/faults/NAME.py``.

    longrun.main(argv, __doc__, 'leaks', '--sessions', 100_000, run, tell)

``run`` is given a new folder and the options, ``count`` and ``seed`` among
them, and returns what came of it.  ``tell`` prints that; the last line is
its closing line.  The exit code is 1 when it failed, and then the folder is
kept.  Whatever stops a run says which one it was.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

MOST = 20
"""The most findings that are printed."""


class Outcome(Protocol):
    """What came of a run."""

    @property
    def failed(self) -> bool:
        """Whether anything was not as it should be."""

    def closing(self) -> str:
        """Return the last line."""


O = TypeVar('O', bound=Outcome)  # noqa: E741 a type, not a number


def _nothing(_parser: argparse.ArgumentParser) -> None:
    pass


def main(
    argv: list[str],
    manual: str | None,
    name: str,
    counted: str,
    count: int,
    run: Callable[[Path, argparse.Namespace], O],
    tell: Callable[[O], None],
    more: Callable[[argparse.ArgumentParser], None] = _nothing,
) -> int:
    """Run what the command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(
        description=manual, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add(counted, type=int, default=count, metavar='N', dest='count')
    add('--seed', default='', help='any text; without, a new one is made up')
    add('--keep', action='store_true', help='keep the folder in any case')
    more(parser)
    options = parser.parse_args(argv)
    options.seed = options.seed or str(random.randrange(1_000_000))
    # Who is started in the background has it ignored, and so have its children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Processes that were started must not be left behind.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(number))
    folder = Path(tempfile.mkdtemp(prefix=f'hgfleet-{name}.'))
    try:
        outcome = run(folder / 'run', options)
    except BaseException:
        print(f'seed {options.seed}; the folder is {folder}', file=sys.stderr)
        raise
    tell(outcome)
    if outcome.failed or options.keep:
        print(f'the folder is {folder}')
    else:
        shutil.rmtree(folder)
    print(outcome.closing())
    return 1 if outcome.failed else 0
