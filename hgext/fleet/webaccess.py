"""Which repositories a mirror shows: those that ``*`` may read.

A mirror knows nobody, so it shows what everybody may read by the rules of
``[access]``, and answers for all others as if they were not there.  Without
rules it shows nothing.

The rules are read again when a configuration file has changed, those that
are included too; that is looked at once in ``KEEP`` seconds.  Rules that
cannot be understood are a SettingError with every request, until they can.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from mercurial import config as configuration
from mercurial import error

from . import edge
from .core import access
from .core.access import Rules, Verb
from .core.errors import SettingError

KEEP = 1.0

_State = tuple[tuple[bytes, tuple[int, ...]], ...]


class Public:
    """Tells what everybody may read; one for all threads of a process.

    ``paths`` are the node's configuration files.  Raises SettingError.
    """

    def __init__(
        self,
        paths: Iterable[bytes],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._paths = tuple(paths)
        self._now = now
        self._lock = threading.Lock()
        self._looked = -KEEP
        self._state: _State = ()
        self._rules = Rules(())
        self._problem: SettingError | None = None
        self._known: dict[str, bool] = {}
        self._look()
        if self._problem:
            raise self._problem

    def __call__(self, name: str) -> bool:
        """Tell whether everybody may read a repository."""
        with self._lock:
            if self._now() - self._looked >= KEEP:
                self._look()
            if self._problem:
                raise self._problem
            known = self._known.get(name)
            if known is None:
                decision = access.decide(self._rules, '', (), name, Verb.READ)
                known = self._known[name] = decision.allowed
        return known

    def _look(self) -> None:
        self._looked = self._now()
        if self._state and self._state == _state(
            path for path, _mark in self._state
        ):
            return
        self._known = {}
        try:
            files, items = _read(self._paths)
            self._state = _state(files)
            self._rules = Rules.parse(items)
            self._problem = None
        except SettingError as problem:
            self._state = ()
            self._problem = problem


class _Read(configuration.config):
    """A configuration that knows which files it was read from."""

    def __init__(self) -> None:
        super().__init__()
        self.files: list[bytes] = []

    def read(
        self,
        path: bytes,
        fp: Any = None,
        sections: Any = None,
        remap: Any = None,
    ) -> None:
        self.files.append(path)
        with open(path, 'rb') as file:
            super().read(path, fp or file, sections, remap)


def _read(
    paths: Iterable[bytes],
) -> tuple[list[bytes], list[tuple[str, str]]]:
    """Return the files that are read, and the lines of ``[access]``."""
    found = _Read()
    try:
        for path in paths:
            found.read(path)
    except (OSError, error.ConfigError) as problem:
        raise SettingError(
            f'the rules of access cannot be read: {problem}',
            'correct the configuration of this mirror',
        ) from None
    items = found.items(b'access')
    return found.files, [
        (edge.text(glob), edge.text(grants)) for glob, grants in items
    ]


def _state(files: Iterable[bytes]) -> _State:
    return tuple((path, _mark(path)) for path in files)


def _mark(path: bytes) -> tuple[int, ...]:
    try:
        stat = os.stat(path)
    except OSError:
        return ()
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns
