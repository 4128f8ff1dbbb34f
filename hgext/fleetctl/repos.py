"""Gathering the facts about the repositories, from the nodes' copies.

The copy that has followed the ledger farthest tells the sequence number,
the heads and the last push; the mirrors tell what readers see of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mercurial import ui as uimod
from mercurial import vfs

from ..fleet import adapters, edge, settings
from ..fleet.core import applied as records
from ..fleet.core.applied import Applied
from ..fleet.core.errors import EntryUnreadable
from ..fleet.settings import Settings
from ..fleet.webgate import Gate
from ..pushlog.store import Pushlog, PushlogDamaged
from ..replicate.node import Hosted, Node
from . import founding, nodeui, plan
from .facts import NodeFacts, Push, RepoFacts
from .heads import Heads
from .layout import Layout

# A position after everything: nothing is to be undone.
_END = 1 << 62


@dataclass(frozen=True)
class Copy:
    """One node's copy of a repository, and up to where readers see it."""

    hosted: Hosted
    applied: Applied
    shown: int | None
    serving: bool


def settings_of(layout: Layout, node: str) -> Settings:
    """Return the settings of a node, as its own processes read them."""
    return settings.read(nodeui.of(layout, node))


def names(layout: Layout) -> list[str]:
    """Return the names of all repositories, sorted."""
    found: set[str] = set()
    for node in plan.nodes(founding.record(layout)):
        found.update(_scan(settings_of(layout, node.name)))
    return sorted(found)


def _scan(its: Settings) -> Iterator[str]:
    return Gate(its, adapters.system_clock()).scan()


def facts(layout: Layout, nodes: Sequence[NodeFacts]) -> Iterator[RepoFacts]:
    """Yield what is known of every repository, by name."""
    hosts = [
        (Node(uimod.ui(), settings_of(layout, one.node.name)), one)
        for one in nodes
    ]
    found = {name for host, _one in hosts for name in _scan(host.settings)}
    with Heads(layout.heads) as heads:
        for name in sorted(found):
            copies = [_copy(host.hosted(name), one) for host, one in hosts]
            known = _facts(name, [one for one in copies if one], heads)
            if known is not None:
                yield known


def _copy(hosted: Hosted, node: NodeFacts) -> Copy | None:
    try:
        applied = hosted.applied()
    except EntryUnreadable:
        return None
    shown = None
    if node.shown is not None:
        shown = node.shown.positions.get(hosted.partition, 0)
    return Copy(hosted, applied, shown, node.serving)


def _facts(name: str, copies: list[Copy], heads: Heads) -> RepoFacts | None:
    best = max(copies, key=lambda one: one.applied.state.seq, default=None)
    if best is None or not best.applied.state.exists:
        return None
    shown = [one for one in copies if one.shown is not None]
    views = [
        (one.hosted.path, records.view(one.applied, one.shown or 0))
        # When none serves, what they would show.
        for one in [one for one in shown if one.serving] or shown
    ]
    # What one mirror does not show yet is not visible.
    least = min(views, key=lambda one: one[1].seq, default=None)
    path = best.hosted.path
    return RepoFacts(
        name,
        best.applied,
        heads.count(name, path, records.view(best.applied, _END)),
        heads.count(name, *least) if least else 0,
        _last_push(path),
    )


def _last_push(path: str) -> Push | None:
    store = vfs.vfs(edge.local(f'{path}/.hg/store'))
    try:
        with Pushlog(store) as log:
            last = log.last()
    except PushlogDamaged:
        return None
    return Push(last.time / 1000, last.user) if last else None
