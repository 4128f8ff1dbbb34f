"""Removing what Mercurial can make anew from a repository's content.

It trusts its caches more than a power cut allows: a part of one that was
lost may look like a shorter one.
"""

from __future__ import annotations

import contextlib
import os

from ..fleet import files
from .node import Hosted

_FOLDERS = ('cache', 'wcache')

# Clocks of file systems lag behind the machine's.
_SLACK = 60.0


def remove(hosted: Hosted, since: float) -> None:
    """Remove the caches that were written later than ``since``.

    With ``since`` 0.0 all of them go.
    """
    for folder in _FOLDERS:
        with (
            contextlib.suppress(FileNotFoundError, NotADirectoryError),
            os.scandir(os.path.join(hosted.path, '.hg', folder)) as found,
        ):
            for one in found:
                late = one.stat(follow_symlinks=False).st_mtime + _SLACK
                if late > since and not one.is_dir(follow_symlinks=False):
                    files.remove(one.path)


def remove_nodemaps(hosted: Hosted) -> None:
    """Remove the indexes from node to revision that lie in the store."""
    store = os.path.join(hosted.path, '.hg', 'store')
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for name in os.listdir(store):
            if name.endswith(('.n', '.nd')):
                files.remove(os.path.join(store, name))
