"""Making, configuring and deleting a repository on every node of the fleet.

Each of these is one entry, which this node then applies as all others do.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from ..fleet import auditing
from ..fleet.core.entry import Entry, Kind
from ..fleet.core.errors import NameRefused
from ..fleet.core.ledger import RepoState
from . import repohgrc
from .follow import catch_up_patiently
from .node import Hosted
from .publish import publish


def create(ui: Any, hosted: Hosted, hgrc: str | None) -> None:
    """Make a repository; raises NameRefused or LedgerError."""
    if catch_up_patiently(hosted).state.exists:
        raise NameRefused(f'{hosted.name} exists already')
    _change(ui, hosted, Kind.CREATE, hgrc)


def configure(ui: Any, hosted: Hosted, hgrc: str | None) -> None:
    """Give a repository this hgrc, that was checked, or none."""
    _expect(hosted)
    _change(ui, hosted, Kind.CONFIG, hgrc)


def delete(ui: Any, hosted: Hosted) -> None:
    """Remove a repository; raises NameRefused or LedgerError."""
    _expect(hosted)
    _change(ui, hosted, Kind.DELETE, None)


def edit(ui: Any, hosted: Hosted, change: Callable[[str], str]) -> None:
    """Change the hgrc that a repository has.

    Raises SettingError when it may not have what comes of it, Superseded
    when somebody else has just changed something.
    """
    _expect(hosted)
    state = catch_up_patiently(hosted).state
    new = change(hgrc(hosted.path))
    repohgrc.check(f'the hgrc of {hosted.name}', new)
    _publish(ui, hosted, Kind.CONFIG, state, new)
    catch_up_patiently(hosted)


def hgrc(path: str) -> str:
    """Return the hgrc of the repository in a folder."""
    try:
        with open(os.path.join(path, '.hg', 'hgrc'), encoding='utf-8') as file:
            return file.read()
    except FileNotFoundError:
        return ''


def _expect(hosted: Hosted) -> None:
    if not catch_up_patiently(hosted).state.exists:
        raise NameRefused(f'there is no repository {hosted.name}')


def _change(ui: Any, hosted: Hosted, kind: Kind, hgrc: str | None) -> None:
    state = catch_up_patiently(hosted).state
    _publish(ui, hosted, kind, state, hgrc)
    catch_up_patiently(hosted)


def _publish(
    ui: Any, hosted: Hosted, kind: Kind, state: RepoState, hgrc: str | None
) -> None:
    publish(hosted, state, _entry(ui, hosted, kind, state, hgrc))
    auditing.told(ui, kind.value, auditing.ALLOWED, repo=hosted.name)


def _entry(
    ui: Any, hosted: Hosted, kind: Kind, state: RepoState, hgrc: str | None
) -> Entry:
    now = int(hosted.node.clock.wall() * 1000)
    return Entry(
        kind=kind,
        repo=hosted.name,
        seq=state.seq + 1,
        prev=state.seq,
        node=hosted.node.settings.node,
        user=auditing.user(ui),
        time=max(now, state.time),
        push_id=0 if kind is Kind.CREATE else state.push_id,
        digest='' if kind is Kind.CREATE else state.digest,
        source=kind.value,
        text=hgrc,
    )
