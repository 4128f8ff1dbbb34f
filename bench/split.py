"""Where the time of a push goes before Mercurial's client is answered.

The programs that sshd starts for a connection are run here by themselves,
in turn, and timed from start to exit.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

import fleetpash

from .figures import p50
from .fleets import HG, Fleet, Plain, environment

_TIMES = 20


def measure(fleet: Fleet, repo: str, plain: Plain) -> list[tuple[str, float]]:
    """Return names and milliseconds (medians)."""
    pash = f'{fleetpash.__path__[0]}/pash.py'
    hgrc = fleet.as_node()['HGRCPATH']
    start = (sys.executable, '-I', '-S', pash)
    asked = {**environment(), 'SSH_ORIGINAL_COMMAND': _serve(repo)}
    times: dict[str, list[float]] = {}

    def timed(name: str, argv: Sequence[str], env: Mapping[str, str]) -> None:
        began = time.perf_counter()
        subprocess.run(
            argv,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        took = (time.perf_counter() - began) * 1000
        times.setdefault(name, []).append(took)

    for _time in range(_TIMES):
        timed('one look-up of a key', _lookup(fleet), environment())
        timed('pash.py alone', start, environment())
        timed(
            'session, fleet',
            (*start, '--hg', str(HG), '--hgrc', hgrc, 'admin'),
            asked,
        )
        timed(
            'session, plain',
            (str(HG), *_serve(str(plain.repo)).split()[1:]),
            environment(),
        )
    return [(name, p50(values)) for name, values in times.items()]


def _serve(repo: str) -> str:
    return f'hg -R {repo} serve --stdio'


def _lookup(fleet: Fleet) -> list[str]:
    """Return the command that sshd runs, twice for each login."""
    config = (fleet.folder / 'ssh' / 'hg1.conf').read_text()
    found = re.search(r'(?m)^AuthorizedKeysCommand (.*) %t %k$', config)
    assert found is not None
    public = (fleet.folder / 'client' / 'key.pub').read_text().split()[:2]
    return [*shlex.split(found[1]), *public]
