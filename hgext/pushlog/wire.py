"""The wire protocol's command ``pushlog``, and the capability of that name.

``pushlog firstpush`` answers ``1`` and then a line for each push with that
id or a greater one: id, user, seconds since 1970, and the ids of the push's
visible changesets in the order of their revisions, separated by spaces.  The
answer to what makes no sense is ``0`` and a line that says why.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mercurial.node import hex

from ..fleet.core.errors import FleetError
from ..fleet.edge import local
from . import query, store


def answer(repo: Any, first: bytes) -> bytes:
    """Return the answer to ``pushlog``."""
    try:
        after = query.number('firstpush', first.decode('latin-1')) - 1
        return b'\n'.join([b'1', *_lines(repo, after)])
    except FleetError as problem:
        return b'0\n' + local(str(problem))


def _lines(repo: Any, after: int) -> Iterator[bytes]:
    changelog = repo.unfiltered().changelog
    hidden = repo.changelog.filteredrevs
    with store.read(repo) as log:
        for push in log.between(after, len(log)):
            nodes = [
                hex(changelog.node(rev))
                for rev in push.revisions
                if rev not in hidden
            ]
            # A space within the name would end it.
            user = '-'.join(push.user.split())
            yield b'%d %s %d %s' % (
                push.id,
                local(user),
                push.date,
                b' '.join(nodes),
            )
