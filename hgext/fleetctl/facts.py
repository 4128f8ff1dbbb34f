"""What ``status`` is told about a fleet, as types.

They are gathered by ``gather.py`` and ``repos.py``, and put into words by
``status.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..fleet.core.applied import Applied
from ..fleet.core.shown import Shown
from .plan import Node
from .running import Seen


@dataclass(frozen=True)
class Checks:
    """What a node has seen of its own copies of repositories.

    ``compared`` and ``verified`` are when all of them were at the latest,
    None when one never was; ``reasons`` why some are not served, and
    ``kept`` the paths of copies that were replaced.
    """

    compared: float | None = None
    verified: float | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)
    kept: tuple[str, ...] = ()


@dataclass(frozen=True)
class NodeFacts:
    """What is known of one node.

    ``applied`` are its positions, by partition; ``lag_seconds`` is the age
    of the oldest entry that it has not applied; ``lease`` the seconds that
    are left, None where no lease is needed.  What only a ledger knows that
    cannot be read is None: ``lag_seconds``, and ``fenced``.
    """

    node: Node
    applied: Mapping[int, int]
    shown: Shown | None
    lease: float | None
    lag_seconds: float | None
    serving: bool
    quarantined: tuple[str, ...] = ()
    fenced: bool | None = False
    checks: Checks = field(default_factory=Checks)
    parts: tuple[Seen, ...] = ()


@dataclass(frozen=True)
class Push:
    """The last push: when (seconds since 1970), and by whom."""

    time: float
    user: str


@dataclass(frozen=True)
class RepoFacts:
    """What is known of one repository.

    Counts of heads are None when counting all of them would take too long;
    the next call goes on with that.
    """

    name: str
    applied: Applied
    heads: int | None = None
    visible_heads: int | None = None
    last_push: Push | None = None


@dataclass(frozen=True)
class Facts:
    """Everything; ``ends`` are the ledger's, by partition.

    ``unread`` says why the ledger cannot be read, if so.
    """

    up: bool
    ends: Mapping[int, int]
    nodes: tuple[NodeFacts, ...]
    repos: tuple[RepoFacts, ...] = ()
    unread: str = ''
