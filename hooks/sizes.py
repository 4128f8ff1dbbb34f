"""no file is too large

``sizes.most`` (default 10 MB)
  what one revision of a file may have.

``sizes.except`` (globs, default none)
  files that may be larger, such as ``media/**``.
"""

from __future__ import annotations

from hgext3rd.fleet.core.checks import (
    Change,
    Failure,
    Failures,
    File,
    Judge,
    Options,
    Push,
    human,
)

ITEMS = {'most': '10 MB', 'except': ''}


def begin(options: Options, push: Push) -> Judge:
    """Refuse files that are larger than that."""
    most = options.size('most')
    exempt = options.globs('except')
    remedy = f'keep files of more than {human(most)} somewhere else'

    def file(change: Change, file: File) -> Failures:
        if file.size > most and not exempt.match(file.path):
            what = f'it has {human(file.size)}, more than {human(most)}'
            yield Failure(what, remedy, change.node, file.path)

    return Judge(file=file)
