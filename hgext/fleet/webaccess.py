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

from . import settings
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
        if self._state and all(
            _mark(path) == known for path, known in self._state
        ):
            return
        self._known = {}
        try:
            self._state, self._rules = _read(self._paths)
            self._problem = None
        except SettingError as problem:
            self._state = ()
            self._problem = problem


class _Read(configuration.config):
    """A configuration that knows which files it was read from."""

    def __init__(self) -> None:
        super().__init__()
        self.state: list[tuple[bytes, tuple[int, ...]]] = []

    def read(
        self,
        path: bytes,
        fp: Any = None,
        sections: Any = None,
        remap: Any = None,
    ) -> None:
        try:
            file = open(path, 'rb')  # noqa: SIM115 closed below
        except OSError:
            self.state.append((path, ()))
            raise
        with file:
            # Of what is read, and not of what may stand there afterwards.
            self.state.append((path, _marked(os.fstat(file.fileno()))))
            super().read(path, fp or file, sections, remap)


def files_of(paths: Iterable[bytes]) -> list[bytes]:
    """Return these configuration files, and those that they include.

    Only those that are there; raises SettingError.
    """
    found = _parsed(filter(os.path.exists, paths))
    return [path for path, state in found.state if state]


def _read(paths: Iterable[bytes]) -> tuple[_State, Rules]:
    """Return the state of the files that are read, and the rules in them."""
    found = _parsed(paths)
    return tuple(found.state), settings.rules(found.items(b'access'))


def _parsed(paths: Iterable[bytes]) -> _Read:
    found = _Read()
    try:
        for path in paths:
            found.read(path)
    except (OSError, error.ConfigError) as problem:
        raise SettingError(
            f'the rules of access cannot be read: {problem}',
            'correct the configuration of this mirror',
        ) from None
    return found


def _mark(path: bytes) -> tuple[int, ...]:
    try:
        return _marked(os.stat(path))
    except OSError:
        return ()


def _marked(stat: os.stat_result) -> tuple[int, ...]:
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns
