"""A whole fleet whose ledger is in Kafka, with the commands of the manual."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .fleet import HG, PLAIN, until

HGFLEET = str(Path(sys.prefix, 'bin', 'hgfleet'))


class Box:
    """The fleet in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / 'fleet'

    def hgfleet(self, *words: str, status: int = 0) -> str:
        done = subprocess.run(
            [HGFLEET, *words, '--data', str(self.data)],
            env=PLAIN,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    def hg(self, *words: str) -> str:
        ssh = f'ssh -F {self.data}/client/ssh_config'
        done = subprocess.run(
            [HG, '--config', f'ui.ssh={ssh}', *words],
            env={**PLAIN, 'HGRCPATH': '', 'HGUSER': 'ann'},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def status(self) -> Any:
        return json.loads(self.hgfleet('status', '--json'))

    def push(self, content: str) -> str:
        """Push a changeset; return its node."""
        (self.folder / 'demo' / 'file').write_text(content)
        self.hg('-R', 'demo', 'commit', '-qAm', content)
        self.hg('-R', 'demo', 'push', '-q', 'ssh://fleet/demo')
        return self.hg('-R', 'demo', 'log', '-r', '.', '-T', '{node|short}')

    def shown(self, node: str) -> bool:
        """Tell whether both mirrors show a changeset."""
        urls = [one['url'] for one in self.status()['nodes'] if one['url']]
        return [
            self.hg('identify', '--id', f'{url}demo').strip() for url in urls
        ] == [node, node]


@pytest.fixture
def box(broker: str, tmp_path: Path) -> Iterator[Box]:
    box = Box(tmp_path)
    box.hgfleet('up', '--detach', '--ssh-port', '0', '--http-port', '0')
    try:
        box.hgfleet('down')
        with (box.data / 'local.rc').open('a') as local:
            url = f'kafka://{broker}/fleet-{uuid.uuid4().hex}'
            local.write(f'[fleet]\nledger = {url}\n')
        said = box.hgfleet('doctor', '--copies', '1', status=1)
        assert said.count('does not exist') == 2
        box.hgfleet('doctor', '--fix', '--copies', '1')
        subprocess.run(['rm', '-r', str(box.data / 'nodes')], check=True)
        box.hgfleet('up', '--detach')
        yield box
    finally:
        box.hgfleet('down')


def test_pushes_are_shown_and_survive_the_relay(box: Box) -> None:
    box.hgfleet('repo', 'create', 'demo')
    box.hg('clone', '-q', 'ssh://fleet/demo')
    node = box.push('1')
    until('the mirrors do not show it', lambda: box.shown(node))
    parts = {
        part['name']: part['pid']
        for one in box.status()['nodes']
        for part in one['parts']
    }
    os.kill(parts['hg1.ledger'], signal.SIGKILL)
    node = box.push('2')
    until('the mirrors do not show it', lambda: box.shown(node))
    until('something is wrong', lambda: not _wrong(box))


def _wrong(box: Box) -> list[Any]:
    done = subprocess.run(
        [HGFLEET, 'doctor', '--data', str(box.data), '--copies', '1', '--json'],
        env=PLAIN,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    found: list[Any] = json.loads(done.stdout)['findings']
    return found
