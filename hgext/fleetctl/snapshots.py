"""``hgfleet snapshot`` and ``hgfleet restore``."""

from __future__ import annotations

import os
import re
from typing import Any

from mercurial import error, registrar
from mercurial.i18n import _
from mercurial.utils import dateutil

from ..fleet import edge
from ..fleet.core import names
from ..fleet.core.barrier import PRIMARY
from ..fleet.core.errors import SettingError
from ..fleet.core.past import Moment, Selection
from ..fleet.ports import Ledger
from ..fleet.settings import Settings
from . import commands, founding, plan, restore
from .commands import DATA
from .layout import Layout

cmdtable: dict[bytes, Any] = {}
command = registrar.command(cmdtable)

_SEQ = re.compile(r'(?P<repo>[^@\s]+)@(?P<seq>[0-9]{1,18})')


@command(
    b'fleet::snapshot',
    [DATA, (b'T', b'template', b'', _(b'display with template'), _(b'TEXT'))],
    b'hgfleet snapshot [REPO]... --data DIR [-T json]',
    helpcategory=command.CATEGORY_MAINTENANCE,
    norepo=True,
)
def snapshot(ui: Any, *repos: bytes, **opts: Any) -> int:
    """make snapshots, from which empty or rebuilt nodes start

    Without REPO, of all repositories. It does not matter whether the fleet
    is up: readers notice nothing, and a push waits for no longer than it
    takes to list the files of its repository. The last two of each repository
    are kept. What has not changed since its last snapshot takes no space.

    Returns 0, and 1 when a repository could not be done; the others were.
    """
    with edge.refusing():
        layout = commands.own(opts)
        chosen = [names.repository(edge.text(one)) for one in repos]
        node = _maker(layout)
    words = ['replicate::snapshot']
    if opts['template']:
        words += ['--template', edge.text(opts['template'])]
    return commands.as_node(layout, node, [*words, '--', *chosen])


def _maker(layout: Layout) -> str:
    """Return the node whose copies are used: the last primary.

    A mirror refuses to serve a repository that is locked when an entry
    arrives; where a primary is locked, the push waits.
    """
    for one in reversed(plan.nodes(founding.record(layout))):
        made = os.path.exists(layout.node(one.name).hgrc)
        if made and one.role == PRIMARY:
            return one.name
    raise SettingError(
        f'the fleet in {layout.root} has no nodes yet',
        f'start it once: hgfleet up --data {layout.root}',
    )


@command(
    b'fleet::restore',
    [
        (b'', b'data', b'', _(b'the folder to make'), _(b'NEWDIR')),
        (b'', b'from', b'', _(b'a fleet, or its backup'), _(b'DIR')),
        (b'', b'to', b'', _(b'up to where (else all)'), _(b'REPO@SEQ|TIME')),
    ],
    b'hgfleet restore --from DIR [--to REPO@SEQ|TIME] --data NEWDIR',
    helpcategory=command.CATEGORY_MAINTENANCE,
    norepo=True,
)
def restore_command(ui: Any, **opts: Any) -> int:
    """make a new fleet that is as another was

    TIME is a date as in :hg:`help dates`: the second in which the last entry
    may have been made that is still to be there. With REPO@SEQ, such as
    ``tools/build@17``, REPO ends with its entry SEQ, and everything else with
    the time of that entry; ``hgfleet status`` and the pushlog tell both.

    DIR is only read, and may be in use. ``hgfleet up --data NEWDIR`` starts
    the new fleet; give it other ports if the old one is to run beside it.

    Returns 0, and 1 when a repository could not be restored up to there,
    because an entry of it cannot be read; everything before that was.
    """
    with edge.refusing():
        source = _layout(opts, 'from', '--from DIR')
        target = _layout(opts, 'data', '--data NEWDIR')
        wanted = edge.text(opts['to'])
        parsed = _parse(wanted)
        with ui.makeprogress(b'restoring', unit=b'partitions') as bar:
            done = restore.restore(
                source,
                target,
                lambda ledger, its: _moment(ledger, its, parsed),
                lambda at, total: bar.update(at, total=total),
            )
    for name, reason in sorted(done.halted.items()):
        ui.warn(edge.local(f'{name} ends early: {reason}\n'))
    ui.status(
        edge.local(
            f'restored {done.repos} repositories with {done.entries} entries '
            f'in {target.root}\n'
            f'to start it: hgfleet up --data {target.root}\n'
        )
    )
    return 1 if done.halted else 0


def _layout(opts: dict[str, Any], name: str, option: str) -> Layout:
    if not opts[name]:
        raise SettingError('a folder is not given', option)
    return Layout(os.path.realpath(edge.text(opts[name])))


def _parse(wanted: str) -> Moment:
    """Return the moment; one of a repository has still to get its time."""
    if not wanted:
        return Moment()
    match = _SEQ.fullmatch(wanted)
    if match:
        repo = names.repository(match['repo'])
        return Moment(repo=repo, seq=int(match['seq']))
    try:
        seconds, _offset = dateutil.parsedate(edge.local(wanted))
    except (error.Error, ValueError, OverflowError):
        raise SettingError(
            f'--to {wanted}: this is neither REPO@SEQ nor a date',
            'such as "2026-01-31 12:00:00Z"; see "hg help dates"',
        ) from None
    # To the end of that second, since dates are shown in seconds.
    return Moment(int(seconds) * 1000 + 999)


def _moment(ledger: Ledger, its: Settings, parsed: Moment) -> Moment:
    """Return the moment with the time of the entry that it is about."""
    if not parsed.repo:
        return parsed
    stream = f'entries-{its.partition(parsed.repo)}'
    selection = Selection(parsed)
    copy = restore.everything(ledger, stream)
    for _record, entry in selection.keep(copy):
        same = entry is not None and entry.repo == parsed.repo
        if entry is not None and same and entry.seq == parsed.seq:
            return Moment(entry.time, parsed.repo, parsed.seq)
    last = max(selection.states.get(parsed.repo, {0: None}))
    raise SettingError(
        f'--to {parsed.repo}@{parsed.seq}: the last entry of {parsed.repo} '
        f'is {last}'
        if last
        else f'--to {parsed.repo}@{parsed.seq}: there is no {parsed.repo}'
    )
