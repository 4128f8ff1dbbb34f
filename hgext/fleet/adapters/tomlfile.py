"""TOML, read by the standard library, or by what stands in for it."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from ..core.errors import SettingError


def loads(data: bytes) -> dict[str, Any]:
    """Return what the bytes of a TOML file say; SettingError."""
    standard = sys.version_info >= (3, 11)
    toml = importlib.import_module('tomllib' if standard else 'tomli')
    try:
        content: dict[str, Any] = toml.loads(data.decode())
    except ValueError as problem:  # also of the decoding
        raise SettingError(f'not TOML: {problem}') from None
    return content
