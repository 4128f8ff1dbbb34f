"""A Mercurial extension that writes down how long each push was judged.

``judged.file`` gets a line for each: the repository, changesets, and twice
milliseconds, of the clock and of the processor.
"""

from __future__ import annotations

import time
from typing import Any

import hgdemandimport
from mercurial import extensions, registrar

testedwith = b'7.2'

configtable: dict[bytes, Any] = {}
configitem = registrar.configitem(configtable)

configitem(b'judged', b'file', default=b'')


def uisetup(ui: Any) -> None:
    """Watch all judging of this process."""
    with hgdemandimport.deactivated():
        from hgext3rd.checks import judging
    extensions.wrapfunction(judging, '_decide', _timed)


def _timed(orig: Any, repo: Any, tr: Any) -> None:
    start, busy = time.perf_counter(), time.process_time()
    orig(repo, tr)
    took = (time.perf_counter() - start) * 1000
    used = (time.process_time() - busy) * 1000
    count = len(repo.changelog) - tr.changes[b'origrepolen']
    with open(repo.ui.config(b'judged', b'file'), 'a') as file:
        file.write(f'{repo.root.decode()} {count} {took:.3f} {used:.3f}\n')
