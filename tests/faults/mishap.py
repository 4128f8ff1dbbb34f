"""A Mercurial extension by which a test makes a node's machine misbehave.

What is to go wrong stands in a JSON file, ``mishap.json`` in the folder
above ``fleet.root``'s, and is looked up each time it could::

    {"clock": -3600, "pages": 20}

``clock`` is added to the wall clock, in seconds.  ``pages`` is how large
the file of the ledger may become, as on a disk that is full.
"""

from __future__ import annotations

import json
import os
from typing import Any

import hgdemandimport
from mercurial import extensions

testedwith = b'7.2'


def uisetup(ui: Any) -> None:
    """Wrap what can go wrong."""
    with hgdemandimport.deactivated():
        from hgext3rd.fleet.adapters import streamfile
        from hgext3rd.fleet.adapters.clock_system import SystemClock
    root = os.fsdecode(ui.config(b'fleet', b'root') or b'/nowhere/at/all')
    place = os.path.join(root, '..', '..', 'mishap.json')

    def mishap(name: str) -> int:
        try:
            with open(place) as file:
                return int(json.load(file).get(name, 0))
        except FileNotFoundError:
            return 0

    def wall(orig: Any, clock: Any) -> float:
        return float(orig(clock)) + mishap('clock')

    def connect(orig: Any, path: str) -> Any:
        database = orig(path)
        pages = mishap('pages')
        if pages:
            database.execute(f'PRAGMA max_page_count = {pages}')
        return database

    extensions.wrapfunction(SystemClock, 'wall', wall)
    extensions.wrapfunction(streamfile, '_connect', connect)
