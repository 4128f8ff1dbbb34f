"""The digest of a repository: equal on two nodes when their state is.

It is the SHA-256 of the heads, the bookmarks and the roots of the phases
above public, each in sorted order.  Changesets name their whole ancestry, so
heads stand for all of history.  The cost grows with the number of heads,
bookmarks and roots, not with that of changesets.
"""

from __future__ import annotations

import hashlib
from typing import Any

from mercurial import encoding, phases
from mercurial.node import hex, nullrev

_START = b'hgfleet digest 1\n'

EMPTY = hashlib.sha256(_START).hexdigest()
"""The digest of a repository without any content."""


def of(repo: Any) -> str:
    """Return the digest (hex) of the repository, hidden changesets too.

    Inside a transaction it is that of the state which the transaction leads
    to.
    """
    repo = repo.unfiltered()
    # First, since to load them is to load the changelog anew.
    bookmarks = sorted(repo._bookmarks.items())
    changelog = repo.changelog
    summed = hashlib.sha256(_START)
    if len(changelog):
        heads = [changelog.node(rev) for rev in changelog.headrevs()]
        for node in sorted(heads):
            summed.update(b'head %s\n' % hex(node))
    for name, node in bookmarks:
        line = (hex(node), encoding.fromlocal(name))
        summed.update(b'bookmark %s %s\n' % line)
    for phase, nodes in sorted(_phase_roots(repo).items()):
        for node in sorted(nodes):
            summed.update(b'phase %d %s\n' % (phase, hex(node)))
    return summed.hexdigest()


def _phase_roots(repo: Any) -> dict[int, list[bytes]]:
    """Return the roots of each phase above public.

    The roots that Mercurial stores need not be minimal; those that have a
    parent in the same phase are left out here, so that the result depends
    only on the phases themselves.
    """
    cache = repo._phasecache
    changelog = repo.changelog
    found: dict[int, list[bytes]] = {}
    for phase, revisions in cache._phaseroots.items():
        if phase == phases.public:
            continue
        for revision in revisions:
            if cache.phase(repo, revision) != phase:
                continue
            if all(
                parent == nullrev or cache.phase(repo, parent) != phase
                for parent in changelog.parentrevs(revision)
            ):
                nodes = found.setdefault(phase, [])
                nodes.append(changelog.node(revision))
    return found
