"""no conflict markers are left

Only lines that a changeset adds are looked at.  One marker alone may be
meant, such as a line of equals signs below a title; those that begin and end
a conflict are not.

``conflicts.except`` (globs, default none)
  files that may have them, such as tests of merge tools.
"""

from __future__ import annotations

import re

from hgext3rd.fleet.core.checks import (
    Change,
    Failure,
    Failures,
    File,
    Judge,
    Options,
    Push,
)

ITEMS = {'except': ''}

_MARKER = re.compile(rb'^(?:<<<<<<< |>>>>>>> |<<<<<<<\r?$|>>>>>>>\r?$)', re.M)


def begin(options: Options, push: Push) -> Judge:
    """Refuse files to which conflict markers are added."""
    exempt = options.globs('except')

    def file(change: Change, file: File) -> Failures:
        if file.gone or file.flags == 'l':
            return
        added = file.added
        # Far quicker than the expression, and mostly enough.
        if b'<<<<<<<' not in added and b'>>>>>>>' not in added:
            return
        match = _MARKER.search(added)
        if match and not exempt.match(file.path):
            marker = match[0].decode().strip()
            yield Failure(
                f'a line is added that begins with {marker}',
                'resolve the conflict, and amend the changeset',
                change.node,
                file.path,
            )

    return Judge(file=file)
