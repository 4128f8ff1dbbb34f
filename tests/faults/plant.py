"""A Mercurial extension that grows histories for clients to push.

``hg plant`` adds to the *line* of a repository, a chain of changesets whose
first one, the root, is the same everywhere.  Beside every tenth changeset
of the line it plants a pair of further children, ``old`` and ``new``: the
one will be rewritten as the other.  It prints a line for each changeset::

    line 11 NODE
    old 11 NODE
    new 11 NODE

Everything follows from the author and the seed, so the same command makes
the same changesets.
"""

from __future__ import annotations

import random
from typing import Any

from mercurial import context, registrar
from mercurial.node import hex

cmdtable: dict[bytes, Any] = {}
command = registrar.command(cmdtable)
testedwith = b'7.2'

PAIRS = 10
BIG = 0.2


@command(
    b'plant',
    [
        (b'', b'count', 1, b'how many changesets', b'N'),
        (b'', b'author', b'', b'whose line it is', b'NAME'),
        (b'', b'seed', b'', b'what the contents follow from', b'TEXT'),
    ],
)
def plant(ui: Any, repo: Any, **opts: Any) -> None:
    """add to the line of this repository"""
    tip, first = repo[b'null'], 0
    for rev in repo.revs(b'max(desc("re:^line "))'):
        tip = repo[rev]
        first = int(tip.description().split()[1]) + 1
    with repo.wlock(), repo.lock(), repo.transaction(b'plant'):
        for number in range(first, first + opts['count']):
            grown = [(b'line', tip)]
            if number % PAIRS == 1:
                grown += [(b'old', tip), (b'new', tip)]
            for name, parent in grown:
                node = _grow(repo, parent, name, number, opts)
                if name == b'line':
                    tip = repo[node]
                ui.write(b'%s %d %s\n' % (name, number, hex(node)))


def _grow(
    repo: Any, parent: Any, name: bytes, number: int, opts: dict[str, Any]
) -> bytes:
    author: bytes = opts['author'] if number else b'root'
    words = (author, name, b'%d' % number, opts['seed'] if number else b'')
    chance = random.Random(b' '.join(words))
    size = chance.randint(40, 300)
    if number and chance.random() < BIG:
        size = chance.randint(6_000, 20_000)
    data = chance.randbytes(size)
    path = b'%s/%d' % (author, chance.randrange(9))

    def content(_repo: Any, memctx: Any, path: bytes) -> Any:
        return context.memfilectx(repo, memctx, path, data)

    new: bytes = context.memctx(
        repo,
        (parent.node(), None),
        b'%s %d' % (name, number),
        [path],
        content,
        user=author,
        date=b'%d 0' % (1_000_000_000 + number),
    ).commit()
    return new
