"""Keep a session from writing to the repository that it serves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hgext3rd.readonly.refusing import Refusal, guard

HINT = 'ask an administrator of this fleet for write access'


def enforce(repo: Any, reason: str, note: Callable[[], None]) -> None:
    """Refuse, with ``reason``, all that would change ``repo``.

    ``note`` is called for each that is refused.  Holds for the rest of the
    process.
    """
    refusal = Refusal(reason, HINT)

    def why() -> Refusal:
        note()
        return refusal

    guard(repo, b'fleetpash', why)
