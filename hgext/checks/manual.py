"""The help for all policies, made of what each says of itself."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from ..fleet import adapters
from ..fleet.edge import local


def policies(ui: Any) -> bytes:
    """Return the help's text, in Mercurial's markup."""
    import fleethooks

    parts = []
    for name in fleethooks.POLICIES:
        with adapters.plain_imports():
            module = importlib.import_module(f'fleethooks.{name}')
        first, _gap, rest = (inspect.getdoc(module) or '').partition('\n')
        title = f'{name}: {first}'
        # The names of settings are those of the section [checks].
        body = rest.replace(f'``{name}.', f'``checks.{name}.')
        parts.append(f'{title}\n{"=" * len(title)}\n{body}\n')
    return local('\n'.join(parts))
