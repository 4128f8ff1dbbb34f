"""The real code in a world that fails: see ``simulated.py``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

FAULTS = 1000 if os.environ.get('HGFLEET_THOROUGH') else 60
SEED = os.environ.get('HGFLEET_SEED') or '2026'
RUN = Path(__file__).with_name('run.py')


def test_nothing_is_lost_whatever_fails() -> None:
    # A process of its own: it forks, and what loaded Mercurial has no
    # threads then.
    done = subprocess.run(
        [sys.executable, str(RUN), '--simulate', str(FAULTS), '--seed', SEED],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    closing = done.stdout.splitlines()[-1] if done.stdout else ''
    sound = rf'faults \d+, lost 0, doubled 0, divergent 0, early 0, seed {SEED}'
    assert re.fullmatch(sound, closing), done.stdout + done.stderr
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall('^struck ', done.stdout, re.M)) > 5
    assert 'told' in done.stdout
