"""history has a single root

A changeset without a parent starts an unrelated history, which every clone
then has for ever.  A repository that is empty takes one.

``roots.allowed`` (default none)
  the full nodes of further roots that may come.
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

ITEMS = {'allowed': ''}


def begin(options: Options, push: Push) -> Judge:
    """Refuse roots, after the first of an empty repository."""
    allowed = frozenset(options.words('allowed'))
    for node in allowed:
        if len(node) != 40 or not set(node) <= set('0123456789abcdef'):
            raise options.wrong('allowed', 'whole nodes, in 40 digits')
    first = push.was_empty

    def change(change: Change) -> Failures:
        nonlocal first
        if change.parents:
            return
        if not first and change.node not in allowed:
            yield Failure(
                'it has no parent, and starts an unrelated history',
                'rebase it onto the history of this repository',
                change.node,
            )
        first = False

    return Judge(change=change)
