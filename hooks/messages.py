"""descriptions say what they are about

``messages.form`` (a regular expression, default ``Bug [0-9]+|No bug``)
  what the description must match at its beginning, such as a reference to a
  ticket.  Backouts (``Backed out changeset ...``) and merges need not.

``messages.forbidden`` (a regular expression, default
``(?i)\\[PATCH|\\bwip\\b|^(?:fixup|squash)!``)
  what its first line must not contain.
"""

from __future__ import annotations

import re

from hgext3rd.fleet.core.checks import (
    Change,
    Failure,
    Failures,
    Judge,
    Options,
    Push,
)

ITEMS = {
    'form': 'Bug [0-9]+|No bug',
    'forbidden': r'(?i)\[PATCH|\bwip\b|^(?:fixup|squash)!',
}

_BACKOUT = re.compile('(?i)(?:back(?:ed|ing|s)? ?out|revert(?:ed)?) ')


def begin(options: Options, push: Push) -> Judge:
    """Refuse descriptions of another form."""
    form = options.pattern('form')
    forbidden = options.pattern('forbidden')

    def change(change: Change) -> Failures:
        first = change.description.partition('\n')[0]
        exempt = len(change.parents) > 1 or _BACKOUT.match(first)
        if form and not exempt and not form.match(change.description):
            yield Failure(
                f'its description begins with {first[:60]!r}',
                f'begin it with what matches {options.text("form")}',
                change.node,
            )
        match = forbidden and forbidden.search(first)
        if match:
            yield Failure(
                f'its description has {match[0]!r} in the first line',
                'describe what the finished change does',
                change.node,
            )

    return Judge(change=change)
