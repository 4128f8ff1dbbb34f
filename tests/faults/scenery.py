"""Repositories whose settings differ, for the runs against a warm server.

Each client has one of each setting, all with the same two changesets, and
there is a bundle with a third.  ``portrait.py`` is the hook in all of them,
by other names and from other folders.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from faults.stock import Stock
from testlib.warmnode import PLAIN, WarmNode

CLOSED = 'closed/demo'
_PORTRAIT = Path(__file__).with_name('portrait.py')
_EXTENSION = """\
state = []
def reposetup(ui, repo):
    state.append(repo.root)
    ui.setconfig(b'{name}', b'seen', b'%d' % len(state), b'{name}')
    if {sets}:
        repo.ui.setconfig(b'phases', b'publish', b'no', b'{name}')
"""

# NAME stands for the folder of the setting.
SETTINGS = (
    """\
[hooks]
prelistkeys.tell = python:NAME/portrait.py:tell
prepushkey.no = python:NAME/portrait.py:refuse
pretxnchangegroup.no = python:NAME/portrait.py:refuse
""",
    """\
[extensions]
alpha = NAME/alpha.py
[hooks]
prelistkeys.a = echo "a shell's hook for $USER" >&2
prelistkeys.tell = python:NAME/portrait.py:tell
prepushkey.other = python:NAME/portrait.py:refuse
pretxnchangegroup.other = python:NAME/portrait.py:refuse
[mark]
value = second
[server]
maxhttpheaderlen = 77
""",
    """\
[extensions]
beta = NAME/beta.py
rebase =
[hooks]
prelistkeys.third = python:NAME/portrait.py:tell
prepushkey.third = python:NAME/portrait.py:refuse
pretxnchangegroup.third = python:NAME/portrait.py:refuse
[mark]
value = third
third = yes
[phases]
publish = no
""",
    """\
[extensions]
rebase = !
alpha = NAME/alpha.py
beta = NAME/beta.py
[hooks]
prelistkeys.zzz = python:NAME/portrait.py:tell
prepushkey = python:NAME/portrait.py:refuse
pretxnchangegroup = python:NAME/portrait.py:refuse
[mark]
third = no
[trusted]
users = somebody
""",
)
"""The settings of repositories, with the hooks that tell all."""


class Scenery:
    """What a node has before its server starts."""

    def __init__(self, node: WarmNode, clients: int) -> None:
        self._node = node
        self._work = work = node.folder / 'work'
        self.bundle, self.tip = _history(node, work)
        with Stock(node.environment, node.folder) as stock:
            for setting, text in enumerate(SETTINGS):
                folder = node.folder / 'settings' / str(setting)
                folder.mkdir(parents=True)
                shutil.copy(_PORTRAIT, folder)
                for name in ('alpha', 'beta'):
                    body = _EXTENSION.format(name=name, sets=name == 'beta')
                    (folder / f'{name}.py').write_text(body)
                for client in range(clients):
                    own = text.replace('NAME', str(folder))
                    self._make(stock, self.name(setting, client), own)
        node.create(CLOSED)

    @staticmethod
    def name(setting: int, client: int) -> str:
        """Return the name of a repository."""
        return f'open/s{setting}c{client}'

    def _make(self, stock: Stock, name: str, text: str) -> None:
        path = self._node.repos / name
        if self._node.suite:
            stock.ask('replicate::create', name)
        else:
            stock.ask('init', str(path))
        stock.ask('-R', str(path), 'pull', '-q', '-r', '1', str(self._work))
        (path / '.hg' / 'hgrc').write_text(text)


def _history(node: WarmNode, work: Path) -> tuple[bytes, bytes]:
    """Make three changesets; return the last as a bundle, and its parent."""
    env = {**PLAIN, 'HGRCPATH': '', 'HGUSER': 'somebody'}

    def hg(*words: str) -> str:
        return node.hg('-R', str(work), *words, env=env)

    node.hg('init', str(work), env=env)
    for number in range(3):
        (work / 'file').write_text(f'{number}\n' * 20)
        hg('commit', '-qAm', f'number {number}', '-d', f'{number} 0')
    file = work / 'bundle'
    hg('bundle', '-q', '-r', '2', '--base', '1', str(file))
    return file.read_bytes(), hg('log', '-r', '1', '-T', '{node}').encode()
