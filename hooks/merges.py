"""merges are not wanted, or only between certain branches

``merges.allowed`` (``none``, ``branches`` or ``all``, default ``none``)
  with ``branches``, a merge must bring together two named branches, so that
  merges with what somebody else has pushed meanwhile are refused.
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

ITEMS = {'allowed': 'none'}


def begin(options: Options, push: Push) -> Judge:
    """Refuse merges."""
    allowed = options.choice('allowed', 'none', 'branches', 'all')

    def change(change: Change) -> Failures:
        if len(change.parents) < 2 or allowed == 'all':
            return
        if allowed == 'none':
            yield Failure(
                'it is a merge', 'rebase instead of merging', change.node
            )
        elif len({push.world.branch(node) for node in change.parents}) < 2:
            yield Failure(
                f'it merges branch {change.branch} with itself',
                'rebase instead of merging; only branches are merged here',
                change.node,
            )

    return Judge(change=change)
