"""A command server for chg, the client that comes with Mercurial.

chg starts ``hg serve --cmdserver chgunix`` itself, in the environment of
whoever types a command, and speaks to it as ever; with this extension
enabled that service is the one of this package.  It is built on Mercurial's
own and adds what that one lacks:

- ``folder`` is what the servers of a user share: which of them lives, which
  is used, how many there may be, and the locks that let only one be started;
- ``early`` ends a server that was started while another one was;
- ``inputs`` says what a server depends on, to the nanosecond, and which
  configuration extensions have looked at while they were loaded;
- ``session`` talks with one client; ``handover`` makes it go on in a process
  with other code or another configuration, without the client's noticing;
- ``address`` is where it listens; ``service`` is the process that waits, and
  its workers.

docs/adr/0016-one-client-one-process.md says why it is built like this.
"""

from __future__ import annotations

import sys
from typing import Any


def begin() -> None:
    """See what extensions do while they are loaded, in a server for chg.

    This has to happen before the first of them is set up.
    """
    if _is_server():
        from . import inputs

        inputs.watch()


def setup(ui: Any) -> None:
    """Be the server for chg, if this process is to be one."""
    if not _is_server():
        return
    from ...fleet import compat

    services = compat.command_services()
    if services is None or ui.configbool(b'chgserver', b'skiphash'):
        # Without hashes nothing is compared; that is Mercurial's own affair.
        return
    from . import early, service

    services[b'chgunix'] = service.create
    early.join(ui)


def _is_server() -> bool:
    return any('chgunix' in word for word in sys.argv)
