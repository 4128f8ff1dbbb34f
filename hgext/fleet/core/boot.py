"""What a node may trust since its machine was started.

Mercurial syncs nothing, so after a power cut a repository may be anything.
One small file, ``boot.json`` in the node's state folder, says for which boot
it holds and which repositories are *doubted*: they were being written to when
the machine went down, and nobody has compared them with the ledger since.  A
file of another boot says nothing about this one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace

FILE = 'boot.json'
VERSION = 1


@dataclass(frozen=True)
class Boot:
    """The content of the file."""

    id: str
    doubted: frozenset[str] = frozenset()

    def without(self, names: Iterable[str]) -> Boot:
        """Return it with some repositories no longer doubted."""
        return replace(self, doubted=self.doubted - frozenset(names))


def encode(boot: Boot) -> bytes:
    """Return the bytes of the file."""
    body = {
        'version': VERSION,
        'boot': boot.id,
        'doubted': sorted(boot.doubted),
    }
    return json.dumps(body).encode() + b'\n'


def decode(data: bytes | None) -> Boot | None:
    """Return the content, or None when there is none that can be read."""
    try:
        body = json.loads(data or b'')
        if body['version'] != VERSION:
            return None
        doubted = body['doubted']
        if not isinstance(doubted, list):
            return None
        names = frozenset(str(one) for one in doubted)
        return Boot(str(body['boot']), names)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def holds(boot: Boot | None, now: str) -> bool:
    """Tell whether ``boot`` is about the boot whose id is ``now``.

    Without an id one boot cannot be told from another, and each start of the
    daemon counts as one.
    """
    return boot is not None and boot.id == now
