"""The command: make a history if it is not in the cache, print its path."""

from __future__ import annotations

import argparse
import sys

from . import Unexpected, progress, releases, sdists, slice_

MADE = {'releases': releases, 'slice': slice_}


def main(argv: list[str] | None = None) -> int:
    """Run with these arguments; the exit code."""
    parser = argparse.ArgumentParser(prog='tests/history', description=__doc__)
    parser.add_argument('history', choices=sorted(MADE))
    parser.add_argument(
        '--print', action='store_true', help='only print, show no progress'
    )
    wanted = parser.parse_args(argv)
    shown = progress.shown() if not wanted.print else progress.silent
    try:
        path = MADE[wanted.history](progress=shown)
    except (Unexpected, sdists.FetchError) as failed:
        return _say(f'abort: {failed}', 1)
    except KeyboardInterrupt:
        return _say('interrupted; nothing is left behind', 130)
    sys.stdout.write(f'{path}\n')
    return 0


def _say(text: str, code: int) -> int:
    sys.stderr.write(f'\n{text}\n')
    return code
