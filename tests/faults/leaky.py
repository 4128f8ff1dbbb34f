"""A leak, for proving that leaks are found: an extension of a node.

As soon as the file that ``leaky.begins`` names is there, each warm session
that opens a repository finds one thing as another session might have left
it: ``LEAKS`` in turn, by the part of the portrait that tells of it.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from mercurial import encoding, extensions

_kept: list[int] = []


def _environment(_ui: Any) -> None:
    encoding.environ[b'SSH_CLIENT'] = b'10.9.9.9 1 22'


def _locale(_ui: Any) -> None:
    os.environ['TZ'] = 'Asia/Tokyo'
    time.tzset()
    del os.environ['TZ']


def _set(section: bytes, name: bytes, value: bytes) -> Callable[[Any], None]:
    return lambda ui: ui.setconfig(section, name, value, b'leaky')


LEAKS: dict[str, Callable[[Any], Any]] = {
    'environment': _environment,
    'os.environ': lambda _ui: os.environ.update(LEFT='behind'),
    'configuration': _set(b'mark', b'value', b"another's"),
    'folder': lambda _ui: os.chdir('/usr'),
    'umask': lambda _ui: os.umask(0o124),
    'descriptors': lambda _ui: _kept.append(os.open('/etc/passwd', 0)),
    'locale': _locale,
    'hooks': _set(b'hooks', b'prelistkeys.left', b'true'),
    'identity': _set(b'fleet', b'user', b'zoe'),
    'signals': lambda _ui: signal.signal(signal.SIGUSR1, signal.SIG_IGN),
    'path': lambda _ui: sys.path.append('/left'),
    'extensions': lambda ui: extensions.load(ui, b'histedit', None),
    'limits': lambda _ui: os.nice(1),
    'number': lambda _ui: random.seed(4),
}


def reposetup(ui: Any, repo: Any) -> None:
    """Leave the next thing behind, if this is a warm session."""
    begins = ui.config(b'leaky', b'begins')
    command = encoding.environ.get(b'HGFLEET_COMMAND')
    if not os.path.exists(begins) or not command or _is_cold():
        return
    # Sessions count by lengthening the file.
    with open(begins, 'ab') as file:
        file.write(b'.')
        file.flush()
        turn = file.tell()
    LEAKS[list(LEAKS)[turn % len(LEAKS)]](repo.ui)


def _is_cold() -> bool:
    return 'pash::session' in sys.argv
