"""Relays for tests: real processes, started in the foreground.

with relaying(folder, 'sqlite:///…/ledger.db') as it:
    it.url, it.socket, it.process
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HG = Path(sys.executable).with_name('hg')


class NoRelay(Exception):
    """It did not start; what it said instead."""


@dataclass(frozen=True)
class Running:
    """A relay that listens."""

    socket: Path
    process: subprocess.Popen[str]

    @property
    def url(self) -> str:
        """The URL by which the ledger is opened through it."""
        return f'relay://{self.socket}'


@contextmanager
def relaying(
    folder: Path, ledger: str, failpoint: str = ''
) -> Iterator[Running]:
    """Run a relay of ``ledger`` whose state is below ``folder``."""
    settings = {
        'extensions.hgext3rd.replicate': '',
        'fleet.node': 'n1',
        'fleet.root': str(folder / 'repos'),
        'fleet.state': str(folder / 'state'),
        'fleet.ledger': ledger,
        'fleet.blobs': f'file://{folder}/blobs',
        'devel.fleet-failpoint': failpoint,
    }
    argv = [str(HG), 'replicate::relay']
    for item, value in settings.items():
        argv += ['--config', f'{item}={value}']
    process = subprocess.Popen(
        argv,
        env={**os.environ, 'HGRCPATH': '', 'HGPLAIN': '1'},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        if 'relaying' not in said:
            raise NoRelay(said)
        yield Running(folder / 'state' / 'ledger.sock', process)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
