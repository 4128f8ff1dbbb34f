"""A Mercurial extension that lets a test say which boot of a machine this is.

``boots.json``, in the folder above the node's, has the id of the boot of each
node, and under ``every`` after how many seconds its daemon makes a checkpoint.
``weak`` lists what is to be left undone, for the test of the test: ``ledger``
and ``blobs`` are not synced then, ``boots`` means that none is ever noticed.
"""

from __future__ import annotations

import json
import os
from typing import Any

import hgdemandimport
from mercurial import extensions

testedwith = b'7.2'


def uisetup(ui: Any) -> None:
    """Take over what the file says."""
    with hgdemandimport.deactivated():
        from hgext3rd.fleet.adapters import blobs_dir, streamfile
        from hgext3rd.fleet.adapters.clock_system import SystemClock
        from hgext3rd.replicate import recovery
    node = os.fsdecode(ui.config(b'fleet', b'node') or b'')
    root = os.fsdecode(ui.config(b'fleet', b'root') or b'/nowhere/at/all')
    # The disk with the root may just have lost its power.
    above = os.path.dirname(os.path.dirname(root))
    with open(os.path.join(above, 'boots.json')) as file:
        said = json.load(file)
    weak = said['weak']

    def boot_id(_orig: Any, _clock: Any) -> str:
        return 'always' if 'boots' in weak else str(said[node])

    def connect(orig: Any, path: str) -> Any:
        return _Careless(orig(path))

    recovery.INTERVAL = said['every']
    extensions.wrapfunction(SystemClock, 'boot_id', boot_id)
    if 'ledger' in weak:
        extensions.wrapfunction(streamfile, '_connect', connect)
    if 'blobs' in weak:
        extensions.wrapfunction(blobs_dir, '_sync', lambda *_each: None)
        vars(blobs_dir)['os'] = _Unsynced()


class _Careless:
    """A connection to SQLite that never syncs, whatever it is told."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def execute(self, statement: str, *more: Any) -> Any:
        if statement.startswith('PRAGMA synchronous'):
            statement = 'PRAGMA synchronous = OFF'
        return self._real.execute(statement, *more)


class _Unsynced:
    """The module ``os``, with an fsync that does nothing."""

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    @staticmethod
    def fsync(_handle: int) -> None:
        """Do nothing."""
