"""What follows a push that has been accepted: URLs, and warm caches."""

from __future__ import annotations

import contextlib
from typing import Any

from mercurial import error

from ..fleet.core.checks import Options
from ..fleet.edge import local

_MOST = 10


def after(repo: Any, tr: Any, push: Any, general: Options) -> None:
    """Arrange for what is to happen when the transaction is closed."""
    if not push.count:
        return
    urls = general.text('urls')
    if urls:
        _print_urls(repo, tr, push, urls)
    if general.flag('warm'):
        _warm(repo, tr)


def _print_urls(repo: Any, tr: Any, push: Any, urls: str) -> None:
    """Tell the author where the changesets can be seen."""
    first = max(push.start, len(push.log) - _MOST)
    nodes = [push.log.node(rev).hex() for rev in range(first, len(push.log))]
    lines = [
        url.replace('{repo}', push.repo).replace('{node}', node)
        for url in urls.split()
        for node in nodes
    ]

    def told(_tr: Any) -> None:
        if push.count > _MOST:
            repo.ui.status(b'the last %d changesets:\n' % _MOST)
        for line in lines:
            repo.ui.status(b'%s\n' % local(line))

    tr.addpostclose(b'~checks-urls', told)


def _warm(repo: Any, tr: Any) -> None:
    """Have what readers need at once computed by who has pushed.

    The caches that Mercurial itself writes after a transaction are those of
    branches; the first reader would have to compute those of tags.
    """

    def warm(_tr: Any) -> None:
        with contextlib.suppress(error.LockError, OSError):
            repo.filtered(b'served').tags()

    tr.addpostclose(b'~checks-warm', lambda tr: repo._afterlock(warm))
