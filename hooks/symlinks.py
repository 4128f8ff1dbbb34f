"""symbolic links are not wanted, or stay inside the repository

``symlinks.allowed`` (``none`` or ``inside``, default ``inside``)
  with ``inside``, a link must be relative, and must lead to a place in the
  repository that is not in ``.hg``.
"""

from __future__ import annotations

import posixpath

from hgext3rd.fleet.core.checks import (
    Change,
    Failure,
    Failures,
    File,
    Judge,
    Options,
    Push,
)

ITEMS = {'allowed': 'inside'}


def begin(options: Options, push: Push) -> Judge:
    """Refuse links, or those that lead away."""
    allowed = options.choice('allowed', 'none', 'inside')

    def file(change: Change, file: File) -> Failures:
        if file.flags != 'l':
            return
        if allowed == 'none':
            yield Failure(
                'it is a symbolic link',
                'put the file itself there',
                change.node,
                file.path,
            )
            return
        target = file.data.decode('utf-8', 'surrogateescape')
        if leads_out(file.path, target):
            yield Failure(
                f'it is a symbolic link to {target!r}',
                'let it lead to a file of the repository, by a relative path',
                change.node,
                file.path,
            )

    return Judge(file=file)


def leads_out(path: str, target: str) -> bool:
    """Tell whether a link at ``path`` leads out of the repository."""
    if not target or target[0] in '/\\' or '\0' in target or '\n' in target:
        return True
    if target[1:2] == ':':  # a drive
        return True
    folder = posixpath.dirname(path)
    parts = target.replace('\\', '/').split('/')
    ups = [number for number, part in enumerate(parts) if part == '..']
    # Behind a name ".." may lead anywhere, since that may be a link as well.
    names = [at for at, part in enumerate(parts) if part not in ('', '.', '..')]
    if ups and names and ups[-1] > names[0]:
        return True
    place = posixpath.normpath(posixpath.join(folder, *parts))
    inside = place.split('/')
    return inside[0] == '..' or any(one.lower() == '.hg' for one in inside)
