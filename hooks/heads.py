"""each branch has a single head

A push must not add a head to a branch that has one.  Heads that are closed,
or hidden by obsolescence, do not count, until they become public.

``heads.except`` (globs over names of branches, default none)
  branches that may have any number of heads.
"""

from __future__ import annotations

from hgext3rd.fleet.core.checks import (
    Change,
    Failure,
    Failures,
    Judge,
    Options,
    Push,
)

ITEMS = {'except': ''}


def begin(options: Options, push: Push) -> Judge:
    """Count the heads of all branches that are pushed to."""
    exempt = options.globs('except')
    touched: dict[str, None] = {}

    def change(change: Change) -> Failures:
        touched[change.branch] = None
        return ()

    def end() -> Failures:
        for branch in {**touched, **dict.fromkeys(push.shown_again)}:
            if exempt.match(branch):
                continue
            heads = push.heads(branch)
            if len(heads) > 1 and len(heads) > push.heads_before(branch):
                names = ', '.join(sorted(node[:12] for node in heads)[:5])
                yield Failure(
                    f'branch {branch} would have {len(heads)} heads ({names})',
                    'pull, merge or rebase, and push again',
                )

    return Judge(change=change, end=end)
