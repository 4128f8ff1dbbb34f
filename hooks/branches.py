"""only certain branches are pushed to

``branches.allowed`` (globs, default ``**``)
  the named branches to which changesets may be added.

``branches.closing`` (yes or no, default yes)
  whether branches may be closed.
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

ITEMS = {'allowed': '**', 'closing': 'yes'}


def begin(options: Options, push: Push) -> Judge:
    """Refuse changesets on other branches."""
    allowed = options.globs('allowed')
    named = ', '.join(options.words('allowed')) or 'none'
    closing = options.flag('closing')

    def change(change: Change) -> Failures:
        if not allowed.match(change.branch):
            yield Failure(
                f'it is on branch {change.branch}',
                f'rebase it onto an allowed branch: {named}',
                change.node,
            )
        if change.closes and not closing:
            yield Failure(
                f'it closes branch {change.branch}',
                'do not close branches of this repository',
                change.node,
            )

    return Judge(change=change)
