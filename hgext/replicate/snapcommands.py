"""The commands of a node that make snapshots and start from them."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from mercurial import cmdutil, error, registrar
from mercurial.i18n import _

from ..fleet import daemon, edge, idle
from ..fleet.core.errors import FleetError, NameRefused
from ..fleet.core.names import repository
from ..fleet.core.snapshot import owner
from ..fleet.webgate import Gate
from . import shelf
from .checkcommands import IDLE
from .follow import catch_up_patiently
from .node import Node, stream

cmdtable: dict[bytes, Any] = {}
command = registrar.command(cmdtable)


@command(
    b'replicate::snapshot',
    [
        (b'', b'due', None, _(b'only where the last one is old')),
        IDLE,
        *cmdutil.formatteropts,
    ],
    _(b'[--due] [NAME]...'),
    helpcategory=command.CATEGORY_MAINTENANCE,
    norepo=True,
)
def snapshot_command(ui: Any, *names: bytes, **opts: Any) -> int:
    """make snapshots, from which nodes can start

    Without NAME, of all repositories. Each is first brought up to date. The
    last two snapshots are kept, and older ones removed. What has not changed
    since its last snapshot costs no more than a record in the ledger. With
    --due, one is made only where ``replicate.snapshot-interval`` wants it, as
    one node of the fleet does by itself.

    Returns 0, and 1 when a repository could not be done; the others were.
    """
    from .snapshot import take, take_if_due

    failed = 0
    with edge.refusing():
        if opts.pop('idle'):
            idle.become()
        make = take_if_due if opts.pop('due') else take
        node = Node.of(ui)
        held = daemon.alone(node.state('snapshot.lock'), 'a snapshot')
        chosen = [edge.text(one) for one in names] or sorted(_known(node))
        with (
            held,
            ui.formatter(b'replicate-snapshot', _bytes(opts)) as fm,
            ui.makeprogress(b'snapshots', total=len(chosen)) as progress,
        ):
            for name in chosen:
                progress.increment(item=edge.local(name))
                try:
                    taken = make(node.hosted(name))
                except (FleetError, error.LockHeld) as problem:
                    failed = 1
                    _complain(ui, name, problem)
                else:
                    _show(fm, taken)
    return failed


def _show(fm: Any, taken: Any) -> None:
    made = taken.snapshot
    fm.startitem()
    fm.write(b'name', b'%s: ', edge.local(taken.name))
    fm.write(b'seq', b'entry %d', made.seq)
    fm.data(
        blob=edge.local(made.blob) if made.blob else None,
        digest=edge.local(made.state.digest),
        position=made.state.position,
        fresh=taken.fresh,
        removed=taken.removed,
        listed=taken.listed,
        time=made.time / 1000,
    )
    fm.condwrite(taken.fresh, b'size', b', %d bytes', made.size)
    fm.plain(b'\n' if taken.fresh else b', as before\n')


@command(
    b'replicate::bootstrap',
    [],
    _(b'[NAME]...'),
    helpcategory=command.CATEGORY_MAINTENANCE,
    norepo=True,
)
def bootstrap_command(ui: Any, *names: bytes, **opts: Any) -> int:
    """fill this node, from snapshots where there are any

    Without NAME, with all repositories. This is what the daemon does by
    itself; but here one can watch. Interrupted, it goes on with the
    repository at which it was.

    Returns 0, and 1 when a repository could not be done; the others were.
    """
    failed = 0
    with edge.refusing():
        node = Node.of(ui)
        chosen = [edge.text(one) for one in names] or sorted(_listed(node))
        with ui.makeprogress(b'repositories', total=len(chosen)) as progress:
            for name in chosen:
                progress.increment(item=edge.local(name))
                try:
                    state = catch_up_patiently(node.hosted(name)).state
                except (FleetError, error.LockHeld) as problem:
                    failed = 1
                    _complain(ui, name, problem)
                else:
                    ui.status(edge.local(f'{name}: at entry {state.seq}\n'))
    return failed


def _complain(ui: Any, name: str, problem: Exception) -> None:
    said = str(problem)
    if isinstance(problem, error.LockHeld):
        said = f'{name}: locked by {problem.locker!r}'
    ui.warn(edge.local(f'{said}\n'))
    hint = getattr(problem, 'hint', None)
    if hint:
        ui.warn(edge.local(f'({hint})\n'))


def _known(node: Node) -> set[str]:
    """Return the repositories of which this node has anything."""
    graves = node.state('deleted')
    deleted = os.listdir(graves) if os.path.isdir(graves) else []
    found = {one.replace('%2F', '/') for one in deleted}
    return found.union(Gate(node.settings, node.clock).scan())


def _listed(node: Node) -> set[str]:
    """Return the repositories of which the ledger has anything."""
    found = set()
    for partition in range(node.settings.partitions):
        for record in shelf.records(node.ledger, stream(partition)):
            with contextlib.suppress(NameRefused):
                found.add(repository(owner(record.key)))
    return found


def _bytes(opts: dict[str, Any]) -> dict[bytes, Any]:
    return {key.encode(): value for key, value in opts.items()}
