"""An extension and a hook whose sessions tell how new they are.

As an extension it is copied, with a number in place of ``CODE``; the same
file is the hook, which writes ``TIDE CODE CONFIGURATION PID`` to standard
error: the number of the copy that was loaded, that of the configuration file
that was read, and the process that serves the session.
"""

from __future__ import annotations

import os
from typing import Any

CODE = 0
WORD = 'TIDE'


def reposetup(ui: Any, repo: Any) -> None:
    """Let the hook, which is another copy, know what is loaded."""
    repo.ui.setconfig(b'tide', b'code', b'%d' % CODE, b'tide')


def tell(ui: Any, repo: Any, **_more: Any) -> None:
    """Tell what this session was made of."""
    code, conf = (ui.config(b'tide', name) for name in (b'code', b'conf'))
    os.write(2, b'TIDE %s %s %d\n' % (code, conf, os.getpid()))
