"""The template keywords of the pushlog."""

from __future__ import annotations

from typing import Any

from mercurial import encoding, registrar, templateutil
from mercurial.node import hex

from ..fleet import edge
from . import store

templatekeyword = registrar.templatekeyword()

_NEEDS = {b'repo', b'ctx', b'cache'}


@templatekeyword(b'pushid', requires=_NEEDS)
def pushid(context: Any, mapping: Any) -> int | None:
    """Integer. The id of the push that brought the changeset."""
    push = _push(context, mapping)
    return push.id if push else None


@templatekeyword(b'pushuser', requires=_NEEDS)
def pushuser(context: Any, mapping: Any) -> Any:
    """String. The user who pushed the changeset."""
    push = _push(context, mapping)
    return encoding.tolocal(edge.local(push.user)) if push else None


@templatekeyword(b'pushdate', requires=_NEEDS)
def pushdate(context: Any, mapping: Any) -> Any:
    """Date information. When the changeset was pushed, in UTC."""
    push = _push(context, mapping)
    if push is None:
        return None
    return templateutil.date((float(push.date), 0), showfmt=b'%d.0%d')


@templatekeyword(b'pushbasenode', requires=_NEEDS)
def pushbasenode(context: Any, mapping: Any) -> bytes | None:
    """String. The full id of the first changeset of the same push."""
    push = _push(context, mapping)
    return _node(context, mapping, push.first) if push else None


@templatekeyword(b'pushheadnode', requires=_NEEDS)
def pushheadnode(context: Any, mapping: Any) -> bytes | None:
    """String. The full id of the last changeset of the same push."""
    push = _push(context, mapping)
    return _node(context, mapping, push.end - 1) if push else None


def _push(context: Any, mapping: Any) -> store.Push | None:
    cache = context.resource(mapping, b'cache')
    rev = context.resource(mapping, b'ctx').rev()
    if rev is None:  # the working directory
        return None
    last: store.Push | None = cache.get(b'fleet-push')
    if last is not None and rev in last.revisions:
        return last
    with edge.refusing():
        log = cache.get(b'fleet-pushlog')
        if log is None:
            log = store.read(context.resource(mapping, b'repo'))
            cache[b'fleet-pushlog'] = log
        push: store.Push | None = log.of_revision(rev)
    cache[b'fleet-push'] = push
    return push


def _node(context: Any, mapping: Any, rev: int) -> bytes:
    repo = context.resource(mapping, b'repo').unfiltered()
    node: bytes = hex(repo.changelog.node(rev))
    return node
