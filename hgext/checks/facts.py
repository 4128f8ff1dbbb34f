"""What a transaction brings, as the policies see it.

Changesets are read one after the other, each once, and of files only what a
policy asks for.  Bytes become text here: names by the fleet's own way (which
loses nothing), descriptions and authors as the UTF-8 that they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property
from typing import Any

from mercurial import encoding, phases
from mercurial.node import bin, hex, nullrev

from ..fleet import compat
from ..fleet.core.checks import Bookmark, World
from ..fleet.edge import local, text
from . import hunks
from .filelogs import FileLogs, Stored
from .manifests import Line, Manifests


class FileFacts:
    """One file of one changeset; content is read when it is asked for."""

    def __init__(
        self,
        logs: FileLogs,
        name: bytes,
        old: Line | None,
        new: Line | None,
        reverted: bool = False,
        other: Line | None = None,
    ) -> None:
        self.path = text(name)
        self.before = None if old is None else text(old[40:])
        self.flags = '' if new is None else text(new[40:])
        self.gone = new is None
        self.reverted = reverted
        self.node = b'' if new is None else bin(new[:40])
        self._olds = (old, other)
        self._logs = logs
        self._name = name

    @cached_property
    def _stored(self) -> Stored | None:
        return self._logs.stored(self._name, self.node)

    @cached_property
    def size(self) -> int:
        """How many bytes the content has."""
        if self.gone:
            return 0
        stored = self._stored
        if stored is None:
            log = self._logs.of(self._name)
            size: int = log.size(log.rev(self.node))
            return size
        return len(self.data) if stored.size is None else stored.size

    @cached_property
    def data(self) -> bytes:
        """The content."""
        if self.gone:
            return b''
        stored = self._stored
        if stored and stored.is_whole:
            text = self._logs.text(stored, self.node)
            if text is not None:
                return text
        data: bytes = self._logs.of(self._name).read(self.node)
        return data

    @cached_property
    def added(self) -> bytes:
        """The lines that were not in the revision of the file before."""
        if self.gone:
            return b''
        stored = self._stored
        if stored and stored.is_whole:
            return self.data
        if stored and self._follows(stored.parents[0]):
            came = self._logs.came(self._name, stored)
            if came is not None:
                return came
        log = self._logs.of(self._name)
        rev = log.rev(self.node)
        before = log.parentrevs(rev)[0]
        if before == nullrev:
            return self.data
        if not self._follows(log.node(before)):
            old = self._olds[0]
            was = b'' if old is None else log.read(bin(old[:40]))
            return hunks.between(was, self.data)[1]
        raw = log._revlog.rawdata
        old = raw(before)
        came = hunks.lines(old, log._revlog.revdiff(before, rev))
        if came is None:
            _went, came = hunks.between(old, raw(rev))
        return came

    def _follows(self, parent: bytes) -> bool:
        """Tell whether a revision is one that the changeset has started from.

        One that no changeset has may come along, and its lines with it.
        """
        olds = (bin(line[:40]) for line in self._olds if line)
        return self.reverted or parent in olds


class ChangeFacts:
    """One changeset."""

    def __init__(self, push: PushFacts, rev: int) -> None:
        log = push.log
        compat.read_ahead(log, rev)
        found = log.changelogrevision(rev)
        self._push = push
        self._found = found
        self._parent_revs = [one for one in log.parentrevs(rev) if one >= 0]
        self.rev = rev
        self.node = hex(log.node(rev)).decode()
        self.parents = tuple(
            hex(log.node(one)).decode() for one in self._parent_revs
        )
        self.author = _utf8(found.user)
        self.description = _utf8(found.description)
        self.time = float(found.date[0])
        self._extra: dict[bytes, bytes] = found.extra
        self.branch = push.branch_of(self._extra[b'branch'])
        self.closes = b'close' in self._extra

    @cached_property
    def extra(self) -> Mapping[str, str]:
        """What else the changeset says of itself."""
        return {text(k): text(v) for k, v in self._extra.items()}

    @cached_property
    def listed(self) -> frozenset[str]:
        """The files that it says it changes."""
        return frozenset(map(text, self._found.files))

    @cached_property
    def files(self) -> Sequence[FileFacts]:
        """The files that it changes."""
        push = self._push
        differ = push.manifests.between
        found = self._found.manifest
        base, *others = [push.manifest(one) for one in self._parent_revs] or [
            push.empty
        ]
        changed = differ(base, found)
        if not others:
            return [
                FileFacts(push.logs, name, *changed[name])
                for name in sorted(changed)
            ]
        other = differ(others[0], found)
        since = differ(push.ancestor_manifest(*self._parent_revs), found)
        files = []
        for name in sorted(changed.keys() | other.keys()):
            is_new = name in changed and name in other
            # Where a side was taken that has not changed the file, the other
            # one has. Without those, a merge could bring back any state of
            # the past, and seem to change nothing.
            if is_new or name not in since:
                line = other[name][1] if name in other else changed[name][1]
                was = changed[name][0] if name in changed else line
                its = other[name][0] if name in other else None
                files.append(
                    FileFacts(push.logs, name, was, line, not is_new, its)
                )
        return files

    def alike(self, path: str) -> Sequence[str]:
        """Return other files whose names differ only by case, in ASCII."""
        _files = self.files  # on the way to which the manifest is made
        found = self._push.manifests.alike(self._found.manifest, local(path))
        return [text(name) for name in found]

    def in_the_way(self, path: str) -> str | None:
        """Return a file that cannot be there together with another."""
        _files = self.files  # on the way to which the manifest is made
        manifests = self._push.manifests
        found = manifests.in_the_way(self._found.manifest, local(path))
        return None if found is None else text(found)

    @property
    def is_sound(self) -> bool:
        """Whether its manifest has the hash that it is called by."""
        _files = self.files  # on the way to which the manifest is made
        return self._push.manifests.is_sound(self._found.manifest)

    @cached_property
    def faults(self) -> Sequence[str]:
        """What is wrong with its parents, and with its manifest."""
        faults = []
        log, rev = self._push.log, self.rev
        first, second = log.parentrevs(rev)
        if first == nullrev != second:
            faults.append('it has a second parent, and no first')
        if first == second != nullrev:
            faults.append('both of its parents are the same')
        _files = self.files  # on the way to which manifests are compared
        if not self._push.manifests.is_ordered(self._found.manifest):
            faults.append('the names in its manifest are not in order')
        return faults


class PushFacts:
    """One transaction, before it is closed."""

    def __init__(
        self,
        repo: Any,
        tr: Any,
        name: str,
        user: str,
        world: World,
        now: float,
        actor: str = '',
    ) -> None:
        self.repo = name
        self.user = user
        self.actor = actor or user
        self.now = now
        self.world = world
        self._repo = repo
        # First, since to load them is to load the changelog anew.
        moved = sorted(tr.changes[b'bookmarks'].items())
        self.bookmarks = [
            Bookmark(text(one), _name(old), _name(new))
            for one, (old, new) in moved
        ]
        self._phases = tr.changes[b'phases']
        self.log = repo.changelog
        self.start: int = tr.changes[b'origrepolen']
        self.count = len(self.log) - self.start
        self.was_empty = self.start == 0
        self.manifests = Manifests(repo)
        self.logs = FileLogs(repo)
        self.empty = repo.nodeconstants.nullid
        self._manifest_of: dict[int, bytes] = {}
        self.branch_of = cache(_branch)

    @property
    def changes(self) -> Iterator[ChangeFacts]:
        """The incoming changesets, parents first."""
        for rev in range(self.start, len(self.log)):
            change = ChangeFacts(self, rev)
            self._manifest_of[rev] = change._found.manifest
            yield change

    def manifest(self, rev: int) -> bytes:
        """Return the node of a changeset's manifest."""
        node = self._manifest_of.get(rev)
        if node is None:
            node = self.log.changelogrevision(rev).manifest
            self._manifest_of[rev] = node
        return node

    def ancestor_manifest(self, one: int, other: int) -> bytes:
        """Return the manifest of what two changesets have come from."""
        node = self.log.ancestor(self.log.node(one), self.log.node(other))
        rev = self.log.rev(node)
        return self.empty if rev == nullrev else self.manifest(rev)

    @cached_property
    def _shown_again(self) -> list[int]:
        """Changesets that markers have hidden, and that become public."""
        older = [
            rev
            for revs, (_old, new) in self._phases
            for rev in revs
            if new == phases.public and rev < self.start
        ]
        hidden = self._repo.obsstore.successors if older else {}
        found = [rev for rev in older if self.log.node(rev) in hidden]
        if found:
            self._repo.invalidatevolatilesets()
        return found

    @property
    def shown_again(self) -> frozenset[str]:
        """The branches on which hidden changesets are shown again."""
        return frozenset(
            text(encoding.fromlocal(self.log.branchinfo(rev)[0]))
            for rev in self._shown_again
        )

    def heads(self, branch: str) -> list[str]:
        """Return the open heads that the branch would have."""
        branches = self._repo.filtered(b'visible').branchmap()
        try:
            nodes = branches.branchheads(_bytes(branch), closed=False)
        except KeyError:
            return []
        return [hex(node).decode() for node in nodes]

    def heads_before(self, branch: str) -> int:
        """Return how many open heads the branch has had."""
        visible = self._repo.filtered(b'visible')
        # The last one before this push may be hidden, and is no limit then.
        older = [
            rev
            for rev in visible.revs(
                b'branch(%s)', b'literal:%s' % _bytes(branch)
            )
            if rev < self.start and rev not in self._shown_again
        ]
        heads = visible.revs(b'heads(%ld)', older)
        cl = self.log
        return sum(not cl.branchinfo(rev)[1] for rev in heads)


def _branch(stored: bytes) -> str:
    return text(encoding.fromlocal(encoding.tolocal(stored)))


def _bytes(branch: str) -> bytes:
    return encoding.tolocal(branch.encode('utf-8', 'surrogateescape'))


def _name(node: bytes | None) -> str:
    return hex(node).decode() if node else ''


def _utf8(local: bytes) -> str:
    return encoding.fromlocal(local).decode('utf-8', 'surrogateescape')
