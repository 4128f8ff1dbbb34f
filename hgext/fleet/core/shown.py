"""What a node may show: one small file, read afresh for every request.

The daemon of a mirror writes it (``shown.json`` in the node's state folder)
atomically whenever the barrier moves and whenever the lease is renewed; the
web tier reads it and decides with :func:`refusal` whether it may answer.
Times are of the clock that only advances, of the boot with that id, so a
wall clock that is set back, or a reboot, cannot prolong a lease.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

FILE = 'shown.json'


@dataclass(frozen=True)
class Shown:
    """The content of the file.

    ``until`` is when the lease ends, in seconds of the clock of ``boot``;
    ``positions`` is up to where each partition may be shown.
    """

    node: str
    boot: str
    until: float
    positions: Mapping[int, int] = field(default_factory=dict)
    joining: bool = True


def refusal(shown: Shown | None, boot: str, now: float) -> str:
    """Return why this node must not answer now, or '' when it may."""
    if shown is None:
        return 'this mirror has not joined the fleet yet'
    if shown.joining:
        return 'this mirror is catching up with the fleet'
    # Asked this way round, what is not a number has run out as well.
    if shown.boot != boot or not now < shown.until:
        return 'this mirror has lost touch with the fleet'
    return ''


def encode(shown: Shown) -> bytes:
    """Return the bytes of the file."""
    body = {
        'node': shown.node,
        'boot': shown.boot,
        'until': shown.until,
        'joining': shown.joining,
        'positions': {str(p): n for p, n in shown.positions.items()},
    }
    return json.dumps(body, sort_keys=True).encode() + b'\n'


def decode(data: bytes) -> Shown | None:
    """Return the content, or None when it cannot be read."""
    try:
        body = json.loads(data)
        return Shown(
            node=body['node'],
            boot=body['boot'],
            until=float(body['until']),
            joining=body['joining'] is not False,
            positions={int(p): int(n) for p, n in body['positions'].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    except (OverflowError, RecursionError):
        return None
