"""Nodes with real repositories, inside the process of the test.

No hgrc of the machine is read.  The extensions stay loaded for the rest of
the process, but touch only repositories below a node's own root.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Before Mercurial looks for it, which it does once.
os.environ['HGRCPATH'] = ''

from mercurial import context, extensions
from mercurial import ui as uimod
from mercurial.node import hex

from hgext3rd.fleet import compat
from hgext3rd.fleet.core.entry import Entry, Kind
from hgext3rd.replicate import commands, digest
from hgext3rd.replicate.node import Hosted, Node
from hgext3rd.replicate.opening import open_repository

# By their whole names: by the short ones Mercurial may find them in the
# folder in which the tests were started, a second time.
_EXTENSIONS = (b'hgext3rd.pushlog', b'hgext3rd.replicate')


def make_node(
    folder: Path,
    name: str = 'p1',
    role: str = 'primary',
    **replicate: str,
) -> Node:
    """Return a node whose files are below ``folder``.

    All nodes that are made in one folder share the ledger and the blobs.
    ``replicate`` are settings of that section, with ``_`` for ``-``.
    """
    root = folder / name / 'repos'
    config = {
        'fleet.node': name,
        'fleet.role': role,
        'fleet.root': str(root),
        'fleet.state': str(folder / name / 'state'),
        'fleet.ledger': f'sqlite://{folder}/ledger.db',
        'fleet.blobs': f'file://{folder}/blobs',
        'fleet.user': 'ann',
        'phases.publish': 'no',
        'experimental.evolution': 'all',
        'ui.interactive': 'no',
    }
    for item, value in replicate.items():
        config[f'replicate.{item.replace("_", "-")}'] = value
    ui = uimod.ui.load()
    for setting, value in config.items():
        section, _dot, item = setting.partition('.')
        ui.setconfig(section.encode(), item.encode(), value.encode())
    for one in _EXTENSIONS:
        ui.setconfig(b'extensions', one, b'')
    compat.initialize()
    extensions.loadall(ui)
    extensions.populateui(ui)
    root.mkdir(parents=True, exist_ok=True)
    return Node.of(ui)


def create(node: Node, name: str = 'demo') -> Hosted:
    """Make a repository on this node, through the ledger."""
    commands.create_command(node.ui, name.encode(), hgrc=b'')
    return node.hosted(name)


def entry(hosted: Hosted, kind: Kind, **more: Any) -> Entry:
    """Return what another node may append after the last entry applied."""
    state = hosted.applied().state
    fields = {
        'kind': kind,
        'repo': hosted.name,
        'seq': state.seq + 1,
        'prev': state.seq,
        'node': 'other',
        'user': 'bob',
        'time': state.time,
        'push_id': state.push_id,
        'digest': state.digest,
    }
    return Entry(**{**fields, **more})


def commit(
    repo: Any,
    content: bytes,
    within: Callable[[Any], Any] = lambda _tr: None,
    parent: int | None = None,
) -> bytes:
    """Commit a file, on top of the last changeset; return the new node.

    ``within`` is called inside the transaction, with it.
    """

    def file(repo: Any, ctx: Any, name: bytes) -> Any:
        return context.memfilectx(repo, ctx, name, content)

    with repo.lock(), repo.transaction(b'test') as tr:
        rev = len(repo) - 1 if parent is None else parent
        made = context.memctx(
            repo,
            (repo[rev].node(), None),
            content,
            [b'file'],
            file,
            user=b'ann',
            date=(0, 0),
        ).commit()
        within(tr)
    return bytes(made)


def picture(hosted: Hosted) -> dict[str, Any]:
    """Return everything that matters of a repository, read afresh."""
    repo = open_repository(hosted).unfiltered()
    store = Path(hosted.path, '.hg', 'store')
    state = hosted.applied().state
    return {
        'changesets': [
            (repo[rev].hex(), repo[rev].phase()) for rev in range(len(repo))
        ],
        'bookmarks': {
            name: hex(node) for name, node in repo._bookmarks.items()
        },
        'markers': sorted(repo.obsstore._all),
        'digest': digest.of(repo),
        'seq': state.seq,
        'push id': state.push_id,
        'pushlog': {
            path.name: path.read_bytes() for path in store.glob('*pushlog*')
        },
        'journal': (store / 'journal').exists(),
    }
