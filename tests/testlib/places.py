"""Where things are: this tree, its environments, and the cache outside it."""

from __future__ import annotations

import os
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent


def cache(name: str) -> Path:
    """Return the folder ``name`` of the cache, which is made if missing.

    The cache is ``$HGFLEET_CACHE`` or ``$XDG_CACHE_HOME/hgfleet`` or
    ``~/.cache/hgfleet``. What is in it can be made again, and can be deleted
    at any time.
    """
    base = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    own = os.environ.get('HGFLEET_CACHE') or Path(base) / 'hgfleet'
    folder = Path(own).absolute() / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def environment(name: str) -> Path:
    """Return the folder of the environment ``.venv`` or ``.venv-<name>``."""
    return ROOT / (f'.venv-{name}' if name else '.venv')
