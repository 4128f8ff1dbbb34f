"""no changeset is from the future

``dates.ahead`` (default 10 minutes)
  how far the clock of an author may be ahead of the server's.

``dates.oldest`` (a year, default 1970)
  changesets of earlier years are refused as well.
"""

from __future__ import annotations

import time

from hgext3rd.fleet.core.checks import (
    Change,
    Failure,
    Failures,
    Judge,
    Options,
    Push,
)

ITEMS = {'ahead': '10 minutes', 'oldest': '1970'}

_YEAR = 31556952


def begin(options: Options, push: Push) -> Judge:
    """Refuse dates that cannot be."""
    latest = push.now + options.seconds('ahead')
    year = options.number('oldest')
    oldest = (year - 1970) * _YEAR

    def change(change: Change) -> Failures:
        if change.time > latest:
            yield Failure(
                f'its date is {_said(change.time)}, which is in the future',
                'set your clock, and amend it with the date of today',
                change.node,
            )
        elif change.time < oldest:
            yield Failure(
                f'its date is {_said(change.time)}, before {year}',
                'set your clock, and amend it with the date of today',
                change.node,
            )

    return Judge(change=change)


def _said(when: float) -> str:
    try:
        return time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime(when))
    except (OverflowError, ValueError, OSError):
        return f'{when:.0f} seconds after 1970'
