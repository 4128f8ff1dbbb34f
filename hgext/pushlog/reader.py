"""What the pushlog's pages read from the repository itself.

A page is about pushes, and a push may have changesets that are hidden since
they are obsolete.  Those can be named and are shown as such; changesets that
are hidden because they are secret, or not yet shown on this node, are as
good as not there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mercurial import encoding, error, repoview, scmutil
from mercurial.node import hex

from ..fleet.edge import local, text
from .query import Selected, Unknown


class Reader:
    """The changesets of a repository, as a visitor may see them."""

    def __init__(self, repo: Any) -> None:
        self.repo = repo
        self.wide = with_hidden(repo)
        self._branches = repo.unfiltered().revbranchcache()
        self._hidden = repo.changelog.filteredrevs
        self._absent = self.wide.changelog.filteredrevs

    def revision(self, name: str) -> int:
        """Return the revision of that name; raises Unknown."""
        try:
            rev = scmutil.revsymbol(self.wide, local(name)).rev()
        except error.LookupError:
            rev = None
        except error.RepoLookupError:
            rev = None
        if rev is None or not self._is_shown(rev):
            raise Unknown(f'unknown revision {name[:80]!r}')
        return int(rev)

    def _is_shown(self, rev: int) -> bool:
        view = getattr(self.repo.unfiltered(), '_fleetview', None)
        end = None if view is None else view.revisions
        return end is None or rev < end

    def branch(self, rev: int) -> str:
        """Return the named branch of a revision."""
        return _utf8(self._branches.branchinfo(rev)[0])

    def check_branch(self, name: str) -> None:
        """Raise Unknown when no visible changeset is on that branch."""
        if not self.repo.branchmap().hasbranch(encoding.tolocal(local(name))):
            raise Unknown(f'unknown branch {name[:80]!r}')

    def visible(self, selected: Selected) -> Iterator[int]:
        """Yield the revisions asked for that are not hidden."""
        for rev in selected.revisions:
            if rev not in self._hidden:
                yield rev

    def push(self, selected: Selected, full: bool) -> dict[str, Any]:
        """Return a push as JSON has it."""
        changesets: list[Any] = []
        obsolete: list[Any] = []
        for rev in selected.revisions:
            if rev not in self._absent:
                found = obsolete if rev in self._hidden else changesets
                found.append(self._full(rev) if full else self._node(rev))
        body: dict[str, Any] = {
            'changesets': changesets,
            'date': selected.push.date,
            'user': selected.push.user,
        }
        if obsolete:
            body['obsoletechangesets'] = obsolete
        return body

    def _node(self, rev: int) -> str:
        return hex(self.wide.changelog.node(rev)).decode()

    def _full(self, rev: int) -> dict[str, Any]:
        ctx = self.wide[rev]
        body: dict[str, Any] = {
            'author': _utf8(ctx.user()),
            'branch': _utf8(ctx.branch()),
            'desc': _utf8(ctx.description()),
            'files': [text(path) for path in ctx.files()],
            'node': ctx.hex().decode(),
            'parents': [each.hex().decode() for each in ctx.parents()],
            'tags': [_utf8(tag) for tag in self.repo.nodetags(ctx.node())],
        }
        markers = self.repo.obsstore.predecessors.get(ctx.node(), ())
        if markers:
            body['precursors'] = sorted(hex(one[0]).decode() for one in markers)
        return body


def with_hidden(repo: Any) -> Any:
    """Return the repository with those changesets that are just obsolete."""
    if repo.filtername is None:
        return repo
    if repo.filtername == b'visible':
        return repo.unfiltered()
    wider = repo.filtername + b'.hidden'
    return repo.filtered(wider) if wider in repoview.filtertable else repo


def _utf8(data: bytes) -> str:
    """Return what Mercurial keeps in the local encoding."""
    return text(encoding.fromlocal(data))
