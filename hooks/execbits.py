"""files become executable only where that is meant

``execbits.allowed`` (globs, default none)
  files that may be executable.

``execbits.scripts`` (yes or no, default yes)
  whether files that begin with ``#!`` may be as well.
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
)

ITEMS = {'allowed': '', 'scripts': 'yes'}


def begin(options: Options, push: Push) -> Judge:
    """Refuse files that become executable."""
    allowed = options.globs('allowed')
    scripts = options.flag('scripts')

    def file(change: Change, file: File) -> Failures:
        if file.flags != 'x' or file.before == 'x':
            return
        if allowed.match(file.path):
            return
        if scripts and file.data.startswith(b'#!'):
            return
        yield Failure(
            'it becomes executable',
            'take that away again: chmod -x',
            change.node,
            file.path,
        )

    return Judge(file=file)
