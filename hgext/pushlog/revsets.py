"""The revsets of the pushlog.

A push is a range of revisions, and the pushes of an interval of time are
one too, so these cost no more than a few reads and what they return; only
``pushhead`` and ``pushuser`` may look at every push, and at no changeset.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from mercurial import encoding, registrar, revset, revsetlang, smartset
from mercurial.i18n import _
from mercurial.utils import dateutil, stringutil

from ..fleet import edge
from . import store

revsetpredicate = registrar.revsetpredicate()


@revsetpredicate(b'pushhead()', safe=True)
def pushhead(repo: Any, subset: Any, x: Any) -> Any:
    """The last changeset of each push."""
    revsetlang.getargs(x, 0, 0, _(b'pushhead takes no arguments'))
    with edge.refusing(), store.read(repo) as log:
        if _few(subset, log):
            return _filtered(subset, log, lambda push, rev: push.end == rev + 1)
        return subset & _ascending(repo, log.tips())


@revsetpredicate(b'pushid(int)', safe=True, weight=0)
def pushid(repo: Any, subset: Any, x: Any) -> Any:
    """The changesets of the push with this id."""
    (arg,) = revsetlang.getargs(x, 1, 1, _(b'pushid requires one argument'))
    id = revsetlang.getinteger(arg, _(b'pushid expects a number'))
    with edge.refusing(), store.read(repo) as log:
        return subset & _span(repo, log, id, id)


@revsetpredicate(b'pushdate(interval)', safe=True, weight=0)
def pushdate(repo: Any, subset: Any, x: Any) -> Any:
    """Changesets pushed within the interval, see :hg:`help dates`."""
    (arg,) = revsetlang.getargs(x, 1, 1, _(b'pushdate requires one argument'))
    interval = revsetlang.getstring(arg, _(b'pushdate requires a string'))
    early, not_late = _limits(interval.strip())
    with edge.refusing(), store.read(repo) as log:
        return subset & _span(
            repo, log, log.until(early) + 1, log.until(not_late)
        )


@revsetpredicate(b'pushuser(string)', safe=True, weight=10)
def pushuser(repo: Any, subset: Any, x: Any) -> Any:
    """Changesets whose push user contains the string, in any case.

    Pattern matching is supported for `string`. See
    :hg:`help revisions.patterns`.
    """
    (arg,) = revsetlang.getargs(x, 1, 1, _(b'pushuser requires one argument'))
    text = revsetlang.getstring(arg, _(b'pushuser requires a string'))
    pattern = stringutil.substringregexp(text, re.IGNORECASE)

    def wanted(user: str) -> bool:
        return pattern.search(encoding.tolocal(edge.local(user))) is not None

    with edge.refusing(), store.read(repo) as log:
        if _few(subset, log):
            return _filtered(subset, log, lambda push, rev: wanted(push.user))
        pushes = log.by_user(wanted)
        return subset & _ascending(
            repo, (rev for push in pushes for rev in push.revisions)
        )


@revsetpredicate(b'pushrev(set)', safe=True, weight=10)
def pushrev(repo: Any, subset: Any, x: Any) -> Any:
    """All changesets of the pushes that brought these changesets."""
    (arg,) = revsetlang.getargs(x, 1, 1, _(b'pushrev requires one argument'))
    found: set[int] = set()
    with edge.refusing(), store.read(repo) as log:
        for rev in revset.getset(repo, smartset.fullreposet(repo), arg):
            if rev not in found and (push := log.of_revision(rev)):
                found.update(push.revisions)
    return subset & _ascending(repo, sorted(found))


def _few(subset: Any, log: store.Pushlog) -> bool:
    """Tell whether to look up each revision rather than read the pushlog."""
    return isinstance(subset, smartset.baseset) and len(subset) < len(log)


def _filtered(
    subset: Any, log: store.Pushlog, wanted: Callable[[store.Push, int], bool]
) -> Any:
    chosen = [
        rev
        for rev in subset
        if (push := log.of_revision(rev)) and wanted(push, rev)
    ]
    return subset & smartset.baseset(chosen)


def _ascending(repo: Any, revisions: Iterable[int]) -> Any:
    hidden = repo.changelog.filteredrevs
    return smartset.baseset([rev for rev in revisions if rev not in hidden])


def _span(repo: Any, log: store.Pushlog, first: int, last: int) -> Any:
    """Return the changesets of all pushes from one id to another."""
    low, high = log.by_id(max(first, 1)), log.by_id(min(last, len(log)))
    if low is None or high is None or low.id > high.id:
        return smartset.baseset()
    return smartset.spanset(repo, low.first, high.end)


def _limits(
    interval: bytes,
) -> tuple[Callable[[int], bool], Callable[[int], bool]]:
    """Return what tells a date before the interval, and one not after it."""
    if interval[:1] == b'<':
        return lambda date: False, dateutil.matchdate(interval)
    if interval[:1] in (b'>', b'-'):
        since = dateutil.matchdate(interval)
        return lambda date: not since(date), lambda date: True
    start, to, end = interval.partition(b' to ')
    since = dateutil.matchdate(b'>' + start)
    return lambda date: not since(date), dateutil.matchdate(
        b'<' + (end if to else start)
    )
