"""The commands that a node's walker runs, each in a process of its own.

So a repository that crashes Mercurial, or takes all memory, ends only that
process.
"""

from __future__ import annotations

from typing import Any

from mercurial import cmdutil, error, registrar
from mercurial.i18n import _

from ..fleet import edge, idle
from ..fleet.core.errors import FleetError
from ..fleet.webgate import Gate
from .node import Node

cmdtable: dict[bytes, Any] = {}
command = registrar.command(cmdtable)

IDLE = (b'', b'idle', None, _(b'let everything else go first'))


@command(
    b'replicate::check',
    [
        (b'', b'verify', None, _(b'look at all of the content')),
        IDLE,
        *cmdutil.formatteropts,
    ],
    _(b'[--verify] [NAME]...'),
    helpcategory=command.CATEGORY_MAINTENANCE,
    norepo=True,
)
def check_command(ui: Any, *names: bytes, **opts: Any) -> int:
    """compare copies of repositories with the ledger

    Without NAME, of all repositories of this node. Compares the digest with
    the one that the last applied entry states; with --verify also looks at
    all of the content, as :hg:`verify` does, and at the pushlog. No push waits
    for it. The daemon does this by itself; nothing is changed here.

    Returns 1 when something is wrong.
    """
    from .check import compare, examine

    failed = 0
    with edge.refusing():
        if opts['idle']:
            idle.become()
        node = Node.of(ui)
        found = Gate(node.settings, node.clock).scan()
        chosen = [edge.text(one) for one in names] or sorted(found)
        look = examine if opts['verify'] else compare
        with ui.formatter(b'replicate-check', _bytes(opts)) as fm:
            for name in chosen:
                try:
                    checked = look(node.hosted(name))
                except (FleetError, error.LockHeld) as problem:
                    _unclear(ui, fm, name, problem)
                    failed = 1
                    continue
                _show(fm, checked)
                failed = failed or int(bool(checked.found))
    return failed


def _show(fm: Any, checked: Any) -> None:
    fm.startitem()
    fm.write(b'name', b'%s: ', edge.local(checked.name))
    fm.write(b'seq', b'entry %d', checked.seq)
    fm.data(unclear=b'')
    said = checked.found or 'nothing is wrong'
    fm.data(found=edge.local(checked.found))
    fm.plain(b', %s\n' % edge.local(said))


def _unclear(ui: Any, fm: Any, name: str, problem: Exception) -> None:
    said = str(problem)
    if isinstance(problem, error.LockHeld):
        said = f'locked by {problem.locker!r}'
    fm.startitem()
    fm.data(name=edge.local(name), seq=0, found=b'', unclear=edge.local(said))
    ui.warn(edge.local(f'{name}: cannot be looked at: {said}\n'))


def _bytes(opts: dict[str, Any]) -> dict[bytes, Any]:
    return {key.encode(): value for key, value in opts.items()}
