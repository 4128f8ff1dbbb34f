"""Run Mercurial's test runner and pytest, and add up what they say.

``tests/run`` runs everything; with patterns, what they match. The last line
that it prints has the form ``N passed, N failed, N skipped``, and it fails
when a test failed or when none ran. Scripts (``test-*.t``) are run by the
``run-tests.py`` of the Mercurial release that ``pyproject.toml`` pins, with
this environment's ``hg``. ``test-smoke.t`` is run once more, with the oldest
Mercurial that is supported.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from . import harness, tally
from .places import ROOT, TESTS, environment
from .selection import NothingMatches, Selection, select
from .tally import Tally

SMOKE = 'test-smoke.t'
TIMEOUT = 2700  # for one script that hangs, in seconds
MOST = 8
SETUP = TESTS / 'setup' / 'environment'

Environ = Mapping[str, str]


def main(argv: list[str]) -> int:
    """Run the tests that the command line asks for; return the exit code."""
    options = _parser().parse_args(argv)
    if options.python or not Path(sys.prefix, 'hgfleet.stamp').exists():
        return _with_python(options.python or '', argv)
    try:
        chosen = select(options.patterns)
    except NothingMatches as problem:
        print(f'tests/run: no test matches {problem}', file=sys.stderr)
        return 2
    total = Tally()
    env = _environ(os.environ)
    try:
        for result in _results(chosen, options, env):
            total.add(result)
    except KeyboardInterrupt:
        print('tests/run: interrupted', file=sys.stderr)
        return 130
    except RuntimeError as problem:
        print(f'tests/run: {problem}', file=sys.stderr)
        total.failed += 1
    return close(total, env.get('CI') == 'true')


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='tests/run', description=__doc__, epilog=select.__doc__
    )
    add = parser.add_argument
    add('patterns', nargs='*', metavar='PATTERN', help='tests to run')
    add('-j', '--jobs', type=int, default=_jobs(), metavar='N')
    add('-i', '--interactive', action='store_true', help='accept new output')
    add('-v', '--verbose', action='store_true', help='name every test')
    add('--python', metavar='P', help='use another interpreter, such as 3.10')
    return parser


def _jobs() -> int:
    """Return how many tests run at once: each may need a whole fleet."""
    return min(len(os.sched_getaffinity(0)), MOST)


def _with_python(wanted: str, argv: list[str]) -> int:
    """Run again in the environment of another interpreter, or in .venv."""
    folder = environment(wanted)
    setup = [str(SETUP), '--python', wanted or 'python3', str(folder)]
    if subprocess.run(setup).returncode:
        return 1
    rest = list(argv)
    for at, one in enumerate(argv):
        if one.startswith('--python'):
            del rest[at : at + (1 if '=' in one else 2)]
    again = [str(folder / 'bin' / 'python'), str(TESTS / 'run'), *rest]
    return subprocess.run(again).returncode


def _environ(outer: Environ) -> dict[str, str]:
    """Return an environment in which the user's own settings are not seen."""
    dropped = ('HG', 'HGPLAIN', 'HGUSER', 'HGEDITOR', 'PYTHONPATH', 'LANGUAGE')
    env = {name: outer[name] for name in outer if name not in dropped}
    # Without compiled files every `hg` compiles all of ours once more.
    env.pop('PYTHONDONTWRITEBYTECODE', None)
    # What the tests start is on this machine, whatever proxy leads away.
    for name in ('no_proxy', 'NO_PROXY'):
        known = [outer[name]] if outer.get(name) else []
        env[name] = ','.join([*known, 'localhost', '127.0.0.1'])
    env |= {'LC_ALL': 'C.UTF-8', 'TZ': 'UTC'}
    env['TESTDIR'] = str(TESTS)
    env['HGRCPATH'] = ''
    env['PATH'] = os.pathsep.join(
        [str(Path(sys.prefix) / 'bin'), env.get('PATH', os.defpath)]
    )
    return env


def _results(
    chosen: Selection, options: argparse.Namespace, env: Environ
) -> Iterator[Tally]:
    with tempfile.TemporaryDirectory(prefix='hgfleet-tests.') as scratch:
        if chosen.items:
            yield _run_pytest(chosen, options, env, Path(scratch))
        if not chosen.scripts:
            return
        here = Path(sys.prefix)
        yield _run_scripts(chosen.scripts, here, options, env, Path(scratch))
        if SMOKE in chosen.scripts:
            oldest = _oldest()
            yield _run_scripts([SMOKE], oldest, options, env, Path(scratch))


def _oldest() -> Path:
    """Make the environment that has the oldest Mercurial; return its folder."""
    name = Path(sys.prefix).name.removeprefix('.venv').removeprefix('-')
    folder = environment(f'{name}-oldest' if name else 'oldest')
    setup = [str(SETUP), '--python', sys.executable, '--extra', 'oldest']
    if subprocess.run([*setup, str(folder)]).returncode:
        raise RuntimeError('the oldest supported Mercurial is not there')
    return folder


def _run_scripts(
    names: list[str],
    prefix: Path,
    options: argparse.Namespace,
    env: Environ,
    scratch: Path,
) -> Tally:
    """Run scripts with the ``hg`` of an environment."""
    script = harness.runner()
    version = _mercurial(prefix)
    print(f'-- scripts, with Mercurial {version}', flush=True)
    report = scratch / f'scripts-{version}.xml'
    command = [
        *(sys.executable, str(script)),
        *('--with-hg', str(prefix / 'bin' / 'hg')),
        *('--outputdir', str(scratch), '--xunit', str(report)),
        *('--jobs', str(options.jobs), '--port', str(_base_port())),
        *('--timeout', str(TIMEOUT)),
        *(['--interactive'] if options.interactive else []),
        *(['--verbose'] if options.verbose else []),
        *names,
    ]
    done = subprocess.run(command, cwd=TESTS, env=env, stdin=_stdin(options))
    return tally.read(report, done.returncode, f' (Mercurial {version})')


def _run_pytest(
    chosen: Selection, options: argparse.Namespace, env: Environ, scratch: Path
) -> Tally:
    print(f'-- pytest, {" ".join(chosen.items)}', flush=True)
    report = scratch / 'pytest.xml'
    command = [
        *(sys.executable, '-m', 'pytest', '--junit-xml', str(report)),
        # Which tests stay together says tests/conftest.py.
        *(['-n', str(options.jobs)] if chosen.whole else []),
        *(['--dist', 'loadgroup'] if chosen.whole else []),
        '-v' if options.verbose else '-q',
        *chosen.items,
    ]
    done = subprocess.run(command, cwd=ROOT, env=env, stdin=_stdin(options))
    return tally.read(report, done.returncode)


def _stdin(options: argparse.Namespace) -> int | None:
    """Give standard input only to someone who answers questions."""
    return None if options.interactive else subprocess.DEVNULL


def _mercurial(prefix: Path) -> str:
    site = next(prefix.glob('lib/python3*/site-packages'))
    found = importlib.metadata.distributions(name='mercurial', path=[str(site)])
    return next(iter(found)).version


def _base_port() -> int:
    """Return a port that a second run at the same time hardly starts at."""
    return 20000 + os.getpid() % 200 * 60


def close(total: Tally, strict: bool) -> int:
    """Print the skips and the closing line; return the exit code."""
    for name, reason in total.skips:
        print(f'skipped: {name}: {reason}')
    if strict:
        total.forbid_skips()
    print(total, flush=True)
    return 0 if total.good else 1
