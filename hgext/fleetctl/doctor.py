"""Looking for what is wrong with a fleet, and mending what can be mended.

Every finding names its remedy.  Three things are looked at, each only when
the one before is sound: how the ledger is set up, whether all parts run and
serve, and whether each copy of each repository is what the ledger says.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mercurial import error
from mercurial import ui as uimod

from ..fleet import adapters
from ..fleet.core.errors import EntryUnreadable, FleetError
from ..replicate import digest
from ..replicate.node import Hosted, Node
from ..replicate.opening import open_repository
from . import founding, gather, plan, repos, status
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
    first = plan.nodes(founding.record(layout))[0].name
    found = list(_ledger(layout, first, copies))
    yield from found
    if found:
        return
    facts = gather.gather(layout)
    said = status.document(facts)
    for words in status.complaints(said, repositories=False):
        yield Finding('fleet', words, f'see {layout.root}/log and "hgfleet up"')
    for one in facts.nodes:
        name = one.node.name
        node = Node(uimod.ui(), repos.settings_of(layout, name))
        for repo in facts.repos:
            hosted = node.hosted(repo.name)
            words = _reason(hosted, repo.name in one.quarantined)
            if words:
                yield Finding(
                    f'{repo.name} on {name}',
                    words,
                    f'HGRCPATH={layout.node(name).hgrc} hg replicate::rebuild '
                    f'{repo.name}',
                    _rebuilding(layout, hg, name, repo.name),
                )


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


def _reason(hosted: Hosted, quarantined: bool) -> str:
    """Return why a copy is not as it should be, or ''."""
    if quarantined:
        return 'this node cannot follow the ledger for it'
    try:
        return _difference(hosted)
    except EntryUnreadable as problem:
        return str(problem)
    except (error.RepoError, error.StorageError, OSError) as problem:
        return f'it cannot be read: {problem}'


def _difference(hosted: Hosted) -> str:
    """Return how a copy differs from its last entry, or ''.

    It is read without its lock, so a change that happens meanwhile means
    that it has to be read again.
    """
    while True:
        before = hosted.applied().state
        if not before.exists or not before.digest or hosted.unfinished:
            return ''
        actual = digest.of(open_repository(hosted))
        if hosted.applied().state.seq == before.seq:
            break
    if actual == before.digest:
        return ''
    return f'it is not what entry {before.seq} made it'


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
