"""Things that are made once and kept in the cache outside the tree.

A finished thing appears under its name at once, by a rename, or not at all.
Makers of the same thing take turns, and the second finds it ready.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess


def ready(
    where: Path,
    name: str,
    make: Callable[[Path], None],
    good: Callable[[Path], bool] = Path.exists,
) -> Path:
    """Return the path of ``name`` in the folder ``where``.

    If it is not there, or not ``good``, ``make(path)`` makes it elsewhere and
    it is moved here. What ``make`` raises is passed on; nothing of its work is
    left then.
    """
    target = where / name
    if good(target):
        return target
    where.mkdir(parents=True, exist_ok=True)
    with open(where / f'.{name}.lock', 'wb') as held:
        # The system drops the lock if we are killed.
        fcntl.flock(held, fcntl.LOCK_EX)
        if not good(target):
            _make(target, make)
    return target


def attempts(run: Callable[[], CompletedProcess[str]]) -> CompletedProcess[str]:
    """Run what fetches something, again when a network was in its way."""
    for _time in range(2):
        done = run()
        if not done.returncode:
            return done
    return run()


def _make(target: Path, make: Callable[[Path], None]) -> None:
    part = target.with_name(f'.{target.name}.part')
    # Whoever held the lock and left this behind was killed.
    _remove(part)
    try:
        make(part)
        _remove(target)
        part.rename(target)
    finally:
        _remove(part)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
