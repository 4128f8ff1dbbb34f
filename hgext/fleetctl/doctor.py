"""Looking for what is wrong with a fleet, and mending what can be mended.

Every finding names its remedy.  Looked at is, each only when the one before is
sound, how the ledger is set up, and then everything else: whether entries that
it may forget are in snapshots, whether snapshots are left that nothing lists,
whether all parts run and serve, and whether each copy of each repository is
what the ledger says.
"""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mercurial import ui as uimod

from ..fleet import adapters, files, settings
from ..fleet.core import retention, walk
from ..fleet.core.barrier import MIRROR
from ..fleet.core.errors import FleetError
from ..fleet.settings import Settings
from ..replicate import check
from ..replicate.node import Hosted, Node
from . import founding, gather, nodeui, plan, repos, status, survey
from .layout import Layout


@dataclass(frozen=True)
class Finding:
    """Something that is wrong; ``mend`` does what ``remedy`` says."""

    about: str
    what: str
    remedy: str
    mend: Callable[[], None] | None = None


def examine(layout: Layout, hg: str, copies: int) -> Iterator[Finding]:
    """Yield what is wrong.

    ``hg`` is run to mend a node; ``copies`` is how often a ledger on several
    machines is to keep each record.  Raises FleetError when looking itself
    is impossible.
    """
    nodes = [one.name for one in plan.nodes(founding.record(layout))]
    first = nodes[0]
    found = list(_ledger(layout, first, copies))
    yield from found
    for name in nodes:
        yield from lease(repos.settings_of(layout, name))
        yield from door(layout, name)
    if found:
        return
    node = Node(uimod.ui(), repos.settings_of(layout, first))
    try:
        yield from _stored(node, layout)
    finally:
        node.ledger.close()
    facts = gather.gather(layout)
    said = status.document(facts)
    for words in status.complaints(said, repositories=False):
        yield Finding('fleet', words, f'see {layout.root}/log and "hgfleet up"')
    for one in facts.nodes:
        name = one.node.name
        node = Node(uimod.ui(), repos.settings_of(layout, name))
        book = walk.decode(files.read(node.state(walk.FILE)))
        for repo in facts.repos:
            yield from _copy(layout, hg, node.hosted(repo.name), book)


def _copy(
    layout: Layout, hg: str, hosted: Hosted, book: walk.Book
) -> Iterator[Finding]:
    name, node = hosted.name, hosted.node.settings.node
    about = f'{name} on {node}'
    refused = hosted.refused()
    try:
        words = refused.reason if refused else check.compare(hosted).found
    except FleetError as problem:
        words = ''
        yield Finding(about, str(problem), 'try again')
    if words:
        failed = book.get(name, walk.Page()).attempts.failed
        if refused and failed:
            words += f' (made anew in vain {failed} times)'
        env = f'HGRCPATH={layout.node(node).hgrc}'
        yield Finding(
            about,
            words.removeprefix(f'{name}: '),
            f'{env} hg replicate::rebuild {name}',
            _rebuilding(layout, hg, node, name),
        )
        return
    unclear = book.get(name, walk.Page()).problem
    if unclear:
        yield Finding(
            about,
            f'its daemon could not {unclear}',
            f'look at {layout.root}/log/{node}.daemon.log; it tries again',
        )


def _stored(node: Node, layout: Layout) -> Iterator[Finding]:
    """Yield what is wrong with snapshots, by all of the ledger."""
    its, now = node.settings, node.clock.wall()
    # First, so that whatever names one of them later is read.
    blobs = list(node.blobs.names())
    known = survey.read(node.ledger, its.partitions)
    keeping = adapters.keeping_of_ledger(its.ledger)
    for words in retention.endangered(keeping, known.uncovered, now):
        yield Finding(
            'ledger',
            words,
            f'hgfleet snapshot --data {layout.root}, or let the ledger keep '
            'everything',
        )
    left = list(survey.orphans(node, blobs, known, now))
    if left:
        yield Finding(
            'blobs',
            f'{len(left)} snapshots, of runs that were killed, are in no list',
            'remove them: hgfleet doctor --fix',
            functools.partial(_remove, node, left),
        )


def _remove(node: Node, blobs: list[str]) -> None:
    for name in blobs:
        node.blobs.remove(name)


def _ledger(layout: Layout, node: str, copies: int) -> Iterator[Finding]:
    its = repos.settings_of(layout, node)
    for words in adapters.faults_of_ledger(
        its.ledger, its.partitions, copies, its.inline_limit
    ):
        missing = words.endswith('does not exist')
        yield Finding(
            'ledger',
            words,
            'make it: hgfleet doctor --fix'
            if missing
            else 'change it with the tools of the ledger',
            (
                lambda: adapters.prepare_ledger(
                    its.ledger, its.partitions, copies
                )
            )
            if missing
            else None,
        )


def door(layout: Layout, node: str) -> list[Finding]:
    """Return which files of keys a primary's sshd is without."""
    from fleetpash.door import read

    ui = nodeui.of(layout, node)
    if settings.read(ui).role == MIRROR:
        return []
    return [Finding(node, *words) for words in read(ui).unreadable()]


def lease(its: Settings) -> list[Finding]:
    """Return what is wrong with the lease of a node."""
    outage = adapters.outage_of_ledger(its.ledger)
    # It is renewed when a third of it has passed.
    if its.role != MIRROR or its.lease * 2 / 3 >= outage:
        return []
    return [
        Finding(
            its.node,
            f'its lease of {its.lease:g} s may run out before the ledger has a '
            f'new leader, which takes some {outage:g} s',
            f'set replicate.lease to {outage * 1.5:g} or more for it, or '
            'leave that out',
        )
    ]


def _rebuilding(
    layout: Layout, hg: str, node: str, repo: str
) -> Callable[[], None]:
    def rebuild() -> None:
        env = plan.of_node(plan.environment(os.environ), layout, node)
        done = subprocess.run(
            (hg, '--cwd', '/', 'replicate::rebuild', '--', repo),
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise FleetError(
                f'{repo} on {node} could not be rebuilt: {done.stderr.strip()}',
                'run the command of the finding by hand',
            )

    return rebuild
