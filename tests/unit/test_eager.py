"""A daemon has nothing left to import lazily when its threads begin."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HG = str(Path(sys.executable).with_name('hg'))

_EXTENSION = """\
import sys
from mercurial import registrar

cmdtable = {}
command = registrar.command(cmdtable)

def lazy():
    return [n for n, m in list(sys.modules.items())
            if type(m).__name__ == '_LazyModule']

@command(b'look', [], norepo=True)
def look(ui):
    from hgext3rd.fleet import eager
    before = len(lazy())
    with eager.imports():
        import xml.dom.minidom
        ui.write(b'%d %s' % (before, repr(lazy()).encode()))
"""


def test_nothing_is_left_to_be_imported(tmp_path: Path) -> None:
    (tmp_path / 'look.py').write_text(_EXTENSION)
    done = subprocess.run(
        [
            *(HG, '--config', 'extensions.replicate='),
            *('--config', f'extensions.look={tmp_path}/look.py', 'look'),
        ],
        env={'HGRCPATH': '', 'PATH': '/usr/bin:/bin'},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    before, _space, after = done.stdout.partition(' ')
    assert int(before) > 10, done.stderr
    assert after == '[]'
