"""What a worker does before it is needed, to have its memory to itself.

After a fork, the first touch of each page costs; half of the time of a short
command goes there.  So a worker that waits has read the configuration once,
as each request begins with, and has run a command: in a repository that is
empty, with no configuration at all, and so without any hook, alias or
``reposetup`` of an extension.  Nothing of that stays but pages.
"""

from __future__ import annotations

import io
import os
import signal
from contextlib import suppress
from typing import Any

from mercurial import chgserver, error
from mercurial import ui as uimod

from ...fleet import compat
from .folder import Folder
from .inputs import Inputs

# It must not write: the folder may just be being removed.
_COMMAND = (b'log', b'-l1')
_SIGNALS = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)


def stage(folder: Folder) -> bytes | None:
    """Return a repository to rehearse in, made if need be."""
    path = os.fsencode(folder.rehearsals)
    if not os.path.isdir(os.path.join(path, b'.hg')):
        try:
            compat.repository(uimod.ui(), path, create=True)
        except (OSError, error.Error):
            return None
    return path


def rehearse(
    ui: Any, inputs: Inputs, dispatch: Any, repo: bytes | None
) -> None:
    """Touch what a request will touch."""
    before = {one: signal.getsignal(one) for one in _SIGNALS}
    try:
        with suppress(OSError, error.Error):
            chgserver._loadnewui(ui, [], None)
        inputs.marks.changed()
        if repo:
            _run(dispatch, [b'-R', repo, *_COMMAND])
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _run(dispatch: Any, words: list[bytes]) -> None:
    """Run a command that nobody has configured, and nobody hears."""
    bare = uimod.ui()
    request = compat.request(words)
    request.ui = bare
    request.fin = io.BytesIO()
    request.fout = request.ferr = io.BytesIO()
    dispatch(request)
