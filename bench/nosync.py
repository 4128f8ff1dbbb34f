"""A Mercurial extension that leaves every sync out, to see what it costs."""

from __future__ import annotations

import os
from typing import Any

import hgdemandimport
from mercurial import extensions

testedwith = b'7.2'


def uisetup(ui: Any) -> None:
    """Let nothing in this process sync."""
    with hgdemandimport.deactivated():
        from hgext3rd.fleet.adapters import streamfile
    extensions.wrapfunction(streamfile, '_connect', _careless)
    extensions.wrapfunction(os, 'fsync', lambda _orig, _handle: None)


def _careless(orig: Any, path: str) -> Any:
    return _Careless(orig(path))


class _Careless:
    """A connection to SQLite that never syncs, whatever it is told."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def execute(self, statement: str, *more: Any) -> Any:
        """Run a statement, or one that is less careful."""
        if statement.startswith('PRAGMA synchronous'):
            statement = 'PRAGMA synchronous = OFF'
        return self._real.execute(statement, *more)
