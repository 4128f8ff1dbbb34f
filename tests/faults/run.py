"""The long run of faults: ``python tests/faults/run.py --faults 500``.

Its last line is ``faults N, lost 0, doubled 0, divergent 0, early 0, seed
S``, after how many there were of each kind; anything that is not as it should
be is listed before it, with the command that replays the schedule, and the
exit code is 1.  The folder of a run that found something is kept.

``--mix`` is what goes wrong: ``kills`` only kills, ``stops`` stops processes
and sets clocks as well (the default with SQLite), and ``kafka`` does all that
and something to relays, brokers and the network (the default with
``--ledger kafka``, which runs three brokers).  With ``--blobs s3`` the blobs
are in a store that fails as well.

With ``--races N`` nobody is killed: N pushes to one repository go through
several primaries at once.  With ``--simulate N`` nothing but the repositories
is real, and N faults take minutes; ``--round`` replays from there, and
``--jobs`` shares the rounds out to so many processes.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from faults.campaign import Report

MOST = 20
# With Kafka most of the time is waited.
WORKERS = {'sqlite': 2, 'kafka': 4}


def main(argv: list[str]) -> int:
    """Run what the command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add('--faults', type=int, default=500, metavar='N')
    add('--seed', default='', help='any text; without, a new one is made up')
    add('--ledger', choices=tuple(WORKERS), default='sqlite')
    add('--blobs', choices=('dir', 's3'), default='dir')
    add('--mix', choices=('kills', 'stops', 'kafka'), help='see above')
    add('--primaries', type=int, default=1, metavar='N')
    add('--races', type=int, default=0, metavar='N', help='only race N pushes')
    add('--workers', type=int, default=0, metavar='N')
    add('--keep', action='store_true', help='keep the folder in any case')
    add('--simulate', type=int, default=0, metavar='N', help='see above')
    add('--round', type=int, default=1, metavar='N', help='begin there')
    add('--jobs', type=int, default=1, metavar='N', help='processes for that')
    options = parser.parse_args(argv)
    if options.mix == 'kafka' and options.ledger != 'kafka':
        parser.error('--mix kafka goes with --ledger kafka')
    if options.simulate:
        return simulate(options)
    # Processes that were started must not be left behind.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(number))
    campaign = import_module('faults.campaign')
    plan = planned(campaign, options)
    try:
        if options.races:
            report = campaign.race(plan, options.races)
        else:
            report = campaign.run(plan)
    except BaseException:
        where = f'the folder is {plan.folder}; again: {plan.command}'
        print(where, file=sys.stderr)
        raise
    tell(report)
    if report.findings or options.keep:
        print(f'the folder is {plan.folder}; again: {plan.command}')
    else:
        shutil.rmtree(plan.folder)
    print(report.closing())
    return 1 if report.findings else 0


def planned(campaign: Any, options: argparse.Namespace) -> Any:
    """Return the plan that the command line asks for."""
    return campaign.Plan(
        folder=Path(tempfile.mkdtemp(prefix='hgfleet-faults.')),
        seed=options.seed or str(random.randrange(1_000_000)),
        faults=options.faults,
        primaries=options.primaries,
        workers=options.workers or WORKERS[options.ledger],
        ledger=options.ledger,
        blobs=options.blobs,
        mix=campaign.Mix(options.mix) if options.mix else None,
    )


def simulate(options: argparse.Namespace) -> int:
    """Run the real code in a world that fails; return the exit code."""
    rehearsal = import_module('faults.rehearsal')
    seed = options.seed or str(random.randrange(1_000_000))
    whole = rehearsal.rehearse(
        seed, options.simulate, options.round, options.jobs
    )
    rehearsal.tell(whole)
    print(whole.closing())
    return 1 if whole.findings else 0


def tell(report: Report) -> None:
    """Print what happened and what was found."""
    print(
        f'{report.entries} entries, {report.superseded} superseded, '
        f'{report.glances} glances, {report.seconds:.0f} s'
        + (f', {report.stored} blobs' if report.stored else '')
    )
    struck = ((fault.value, count) for fault, count in report.faults.items())
    for words, count in sorted(struck):
        print(f'struck {count:4}: {words}')
    for words, count in sorted(report.told.items()):
        print(f'told   {count:4}: {words}')
    for finding in report.findings[:MOST]:
        print(f'! {finding}')
    if len(report.findings) > MOST:
        print(f'! and {len(report.findings) - MOST} more')


if __name__ == '__main__':
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    sys.exit(main(sys.argv[1:]))
