"""only certain bookmarks are made or removed

Bookmarks that exist may always move forward.

``bookmarks.allowed`` (globs, default none)
  bookmarks that may be made, and removed.
"""

from __future__ import annotations

from hgext3rd.fleet.core.checks import Failure, Failures, Judge, Options, Push

ITEMS = {'allowed': ''}


def begin(options: Options, push: Push) -> Judge:
    """Refuse bookmarks of other names."""
    allowed = options.globs('allowed')
    named = ', '.join(options.words('allowed')) or 'none'

    def end() -> Failures:
        for mark in push.bookmarks:
            if (mark.old and mark.new) or allowed.match(mark.name):
                continue
            done = 'removed' if mark.old else 'made'
            yield Failure(
                f'bookmark {mark.name} would be {done}',
                'push without -B of that name; names that may be made and '
                f'removed: {named}',
                mark.new,
            )

    return Judge(end=end)
