"""Keep a session from writing to the repository that it serves."""

from __future__ import annotations

from typing import Any

from hgext3rd.readonly.refusing import Refusal, guard

HINT = 'ask an administrator of this fleet for write access'


def enforce(repo: Any, reason: str) -> None:
    """Refuse, with ``reason``, all that would change ``repo``.

    Holds for the rest of the process.
    """
    refusal = Refusal(reason, HINT)
    guard(repo, b'fleetpash', lambda: refusal)
