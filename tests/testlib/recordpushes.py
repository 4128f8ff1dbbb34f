"""record each transaction that adds changesets as a push

An extension for tests of the pushlog alone: no ledger, no nodes. The user
and the time (seconds) of a push are $PUSHUSER and $PUSHTIME.
"""

from __future__ import annotations

from typing import Any

from mercurial import encoding

from hgext3rd.fleet import edge
from hgext3rd.pushlog import store


def reposetup(ui: Any, repo: Any) -> None:
    """Have the repository record its pushes."""

    class recordingrepo(repo.__class__):  # type: ignore[misc]
        def transaction(self, desc: bytes, report: Any = None) -> Any:
            outermost = self.currenttransaction() is None
            tr = super().transaction(desc, report)
            if outermost:
                unfi = self.unfiltered()
                tr.addvalidator(b'~~record', lambda tr: _record(unfi, tr))
            return tr

    if repo.local():
        repo.__class__ = recordingrepo


def _record(repo: Any, tr: Any) -> None:
    first, end = tr.changes[b'origrepolen'], len(repo.changelog)
    if first == end:
        return
    environ = encoding.environ
    with edge.refusing(), store.Pushlog(repo.svfs) as log:
        push = store.Push(
            id=len(log) + 1,
            user=edge.text(environ.get(b'PUSHUSER', b'alice')),
            time=int(float(environ.get(b'PUSHTIME', b'0')) * 1000),
            first=first,
            count=end - first,
        )
        store.record(repo, tr, push)
