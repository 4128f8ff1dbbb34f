"""The commands behind ``hgfleet``; each does one thing of this package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from mercurial import registrar
from mercurial.i18n import _
from mercurial.utils import procutil

from ..fleet import auditing, edge
from ..fleet.adapters import directory_file
from ..fleet.core import names
from ..fleet.core.barrier import PRIMARY
from ..fleet.core.errors import SettingError
from . import down as ending
from . import founding, gather, nodeui, plan, repos, status
from . import up as beginning
from .layout import Layout
from .plan import Wishes

cmdtable: dict[bytes, Any] = {}
command = registrar.command(cmdtable)

DATA = (b'', b'data', b'', _(b'the folder of the fleet'), _(b'DIR'))
CREATE, DELETE = 'replicate::create', 'replicate::delete'
FENCE, UNFENCE = 'replicate::fence', 'replicate::unfence'

JSON = (b'', b'json', None, _(b'print one JSON object'))


@command(
    b'fleet::up',
    [
        DATA,
        (b'', b'mirrors', b'', _(b'how many mirrors (first 2)'), _(b'N')),
        (b'', b'primaries', b'', _(b'how many primaries (first 1)'), _(b'N')),
        (
            *(b'', b'ssh-port', b''),
            *(_(b'port of the first sshd (first 8022)'), _(b'PORT')),
        ),
        (
            *(b'', b'http-port', b''),
            *(_(b'port of the first mirror (first 8080)'), _(b'PORT')),
        ),
        (
            *(b'', b'ready-port', b''),
            *(_(b'where the first primary says how it is'), _(b'PORT')),
        ),
        (b'', b'detach', None, _(b'go on in the background once ready')),
    ],
    b'hgfleet up --data DIR [OPTION]...',
    helpcategory=command.CATEGORY_MAINTENANCE,
    norepo=True,
)
def up(ui: Any, **opts: Any) -> int:
    """start a fleet and keep it running

    A primary is an sshd and a daemon; a mirror is a web server and a daemon.
    Where the ledger is not in SQLite, a primary also keeps a connection to it.
    All of them listen on 127.0.0.1 only. A part that ends is started again,
    after a pause that grows from 0.2 to 30 seconds. Ctrl-C, SIGTERM or
    ``hgfleet down`` stop everything.

    When everything is ready, a line with ``ready:`` is printed, and the
    commands to try. If nothing moves for a minute before that, everything is
    stopped and the reason printed.

    Further nodes of a kind take the ports that follow. Port 0 is any free
    port. What is not given is as it was the last time.

    On its port for that, at first any free one, a primary answers 200 to
    ``GET /readyz`` while it can take pushes: for a load balancer in front of
    several primaries.

    Returns 0 when the fleet was told to stop (with --detach: when it is
    ready), and 255 when it did not come up.
    """
    with edge.refusing():
        wishes = Wishes(
            primaries=_number('--primaries', opts['primaries']),
            mirrors=_number('--mirrors', opts['mirrors']),
            ssh_port=_number('--ssh-port', opts['ssh_port']),
            http_port=_number('--http-port', opts['http_port']),
            ready_port=_number('--ready-port', opts['ready_port']),
        )
        tools = founding.find_tools(
            edge.text(os.path.abspath(procutil.hgexecutable())),
            sys.executable,
        )
        return beginning.up(_layout(opts), wishes, tools, bool(opts['detach']))


@command(
    b'fleet::down',
    [DATA],
    b'hgfleet down --data DIR',
    helpcategory=command.CATEGORY_MAINTENANCE,
    norepo=True,
)
def down(ui: Any, **opts: Any) -> None:
    """stop a fleet, and whatever is left of one

    Pushes that are under way have two seconds to end. This also ends what a
    supervisor left behind that was killed.

    Returns 0 when nothing runs any more, also when nothing did.
    """
    with edge.refusing():
        layout = _layout(opts)
        founding.require(layout)
        stopped = ending.down(layout)
    said = 'stopped' if stopped else 'was not up'
    ui.status(edge.local(f'the fleet in {layout.root} {said}\n'))


@command(
    b'fleet::status',
    [
        DATA,
        JSON,
        (b'', b'check', None, _(b'return 1 if something is wrong')),
    ],
    b'hgfleet status --data DIR [--json] [--check]',
    helpcategory=command.CATEGORY_MAINTENANCE,
    norepo=True,
)
def show(ui: Any, **opts: Any) -> int:
    """show nodes, parts and repositories, whether or not the fleet is up

    A node's *offset* is the number of entries of the ledger that it has
    applied, its *lag* how many it has not. A mirror *serves* when it proves
    to be current, for the seconds of its *lease* at a time. The heads of a
    repository are *visible* when all mirrors show them.

    With --json one object is printed. These keys stay; others may be added:

    ``up``
      whether a supervisor runs

    ``unread``
      why the ledger cannot be read; then what only that knows is null
      (``lag_entries``, ``lag_seconds``, ``fenced``). Else it is empty

    ``nodes``
      a list of objects: ``name``; ``role`` (``primary`` or ``mirror``);
      ``url``, where a mirror serves HTTP (else empty); ``ssh``, where a
      primary takes pushes with ``ssh -F DIR/client/ssh_config`` (else
      empty); ``offset``; ``lag_entries``; ``lag_seconds``, the age of the
      oldest entry that is not applied; ``lease``, in seconds (null for a
      primary); ``serving``, whether it answers now; ``pid`` of its daemon
      (null when it does not run); ``restarts`` of all its parts;
      ``quarantined``, a list of the repositories that it cannot follow;
      ``fenced``, whether nothing counts that it does;
      ``compared`` and ``verified``, since when all its copies have been
      compared with the ledger, and all their content verified (such as
      ``2026-01-31T12:00:00Z``; null while one never was); ``reasons``, an
      object with the reason for each repository that it does not serve;
      ``kept``, the folders of damaged copies that were replaced;
      ``parts``, a list of objects: ``name``, ``kind`` (``daemon``,
      ``ledger``, ``sshd`` or ``web``), ``state``, ``pid``, ``restarts``,
      ``since`` (seconds since 1970), ``exit`` (the last exit code, minus the
      number of a signal).

    ``repos``
      a list of objects: ``name``; ``seq``, the number of its last entry;
      ``heads``; ``visible_heads`` (null while they are still being counted);
      ``last_push`` (such as ``2026-01-31T12:00:00Z``, or null) and
      ``last_user``, who made it.

    Returns 0; with --check, 1 when a part does not run, a node does not
    serve, a repository cannot be followed, or the ledger cannot be read.
    """
    with edge.refusing():
        said = status.document(gather.gather(existing(opts)))
    if opts['json']:
        ui.write(json.dumps(said, indent=2).encode() + b'\n')
    else:
        ui.write(edge.local('\n'.join([*status.tables(said), ''])))
    return 1 if opts['check'] and status.complaints(said) else 0


@command(
    b'fleet::doctor',
    [
        DATA,
        JSON,
        (b'', b'fix', None, _(b'mend what can be mended')),
        (b'', b'copies', b'3', _(b'copies of a record on brokers'), _(b'N')),
    ],
    b'hgfleet doctor --data DIR [--fix] [--json]',
    helpcategory=command.CATEGORY_MAINTENANCE,
    norepo=True,
)
def examine(ui: Any, **opts: Any) -> int:
    """find what is wrong with a fleet, and tell what helps

    Looks at how the ledger is set up, at the parts and nodes, and compares
    every copy of every repository with the digest in the ledger. Tells of
    copies that a daemon has found damaged, of entries that the ledger is to
    delete by its age or size and no snapshot has, and of snapshots that
    nothing lists. All of the ledger is read.

    With --fix, missing topics of a ledger on Kafka are made, with --copies
    copies of each record; copies of repositories that are damaged are made
    anew from the ledger while their node goes on serving the others; and
    snapshots that nothing lists are removed when they are a day old.

    With --json: an object with a list ``findings`` of objects with ``about``,
    ``what``, ``remedy``, and ``fixed``, whether it has been mended.

    Returns 0 when nothing is wrong any more, else 1.
    """
    from . import doctor

    rows = []
    with edge.refusing():
        layout = own(opts) if opts['fix'] else existing(opts)
        hg = edge.text(procutil.hgexecutable())
        copies = _number('--copies', opts['copies']) or 1
        for one in doctor.examine(layout, hg, copies):
            fixed = bool(opts['fix'] and one.mend)
            if fixed and one.mend:
                one.mend()
            rows.append(
                {
                    **{'about': one.about, 'what': one.what},
                    **{'remedy': one.remedy, 'fixed': fixed},
                }
            )
            if not opts['json']:
                said = 'mended' if fixed else one.remedy
                ui.write(edge.local(f'{one.about}: {one.what}\n  {said}\n'))
    if opts['json']:
        ui.write(json.dumps({'findings': rows}, indent=2).encode() + b'\n')
    elif not rows:
        ui.status(b'nothing is wrong\n')
    return 0 if all(row['fixed'] for row in rows) else 1


@command(
    b'fleet::fence',
    [DATA],
    b'hgfleet fence NODE --data DIR',
    helpcategory=command.CATEGORY_MAINTENANCE,
    norepo=True,
)
def fence(ui: Any, name: bytes, **opts: Any) -> int:
    """let nothing count that a primary does from now on

    For a primary that may have lost its way: it was paused, cut off or cloned,
    or its machine is to be replaced. Its pushes are refused on every node,
    also those it has begun, and however late it comes back. What it did
    before stays.

    Returns 0 when the fence holds.
    """
    return _as_primary(opts, FENCE, edge.text(name))


@command(
    b'fleet::unfence',
    [DATA],
    b'hgfleet unfence NODE --data DIR',
    helpcategory=command.CATEGORY_MAINTENANCE,
    norepo=True,
)
def unfence(ui: Any, name: bytes, **opts: Any) -> int:
    """let a fenced primary take pushes again"""
    return _as_primary(opts, UNFENCE, edge.text(name))


@command(
    b'fleet::repo-create',
    [DATA],
    b'hgfleet repo create NAME --data DIR',
    helpcategory=command.CATEGORY_REPO_CREATION,
    norepo=True,
)
def repo_create(ui: Any, name: bytes, **opts: Any) -> int:
    """make a repository on every node

    Returns when every mirror that serves shows it.
    """
    return _on_primary(ui, opts, CREATE, name)


@command(
    b'fleet::repo-delete',
    [DATA],
    b'hgfleet repo delete NAME --data DIR',
    helpcategory=command.CATEGORY_MAINTENANCE,
    norepo=True,
)
def repo_delete(ui: Any, name: bytes, **opts: Any) -> int:
    """remove a repository from every node

    Returns when no mirror that serves shows it any more.
    """
    return _on_primary(ui, opts, DELETE, name)


@command(
    b'fleet::repo-list',
    [DATA, JSON],
    b'hgfleet repo list --data DIR [--json]',
    helpcategory=command.CATEGORY_MAINTENANCE,
    norepo=True,
)
def repo_list(ui: Any, **opts: Any) -> None:
    """list the repositories

    With --json: an object with a list ``repos`` of objects with ``name``.
    """
    with edge.refusing():
        found = repos.names(existing(opts))
    if opts['json']:
        said = {'repos': [{'name': name} for name in found]}
        ui.write(json.dumps(said, indent=2).encode() + b'\n')
    else:
        ui.write(b''.join(b'%s\n' % edge.local(name) for name in found))


@command(
    b'fleet::user-add',
    [
        DATA,
        (b'', b'key', [], _(b'a file with a public key'), _(b'FILE')),
        (b'', b'group', [], _(b'a group to be in'), _(b'GROUP')),
    ],
    b'hgfleet user add NAME --key FILE [--group GROUP]... --data DIR',
    helpcategory=command.CATEGORY_MAINTENANCE,
    norepo=True,
)
def user_add(ui: Any, name: bytes, **opts: Any) -> None:
    """let somebody log in, with a key and in groups

    FILE is what ``ssh-keygen`` writes with the suffix ``.pub``. What groups
    may do is said in DIR/access.rc: at first, ``admins`` may do everything,
    ``developers`` may push, and everybody else may only read.

    A key must be of a type and size that ``[pash] key-types`` and
    ``rsa-bits`` allow.
    """
    with edge.refusing():
        layout = own(opts)
        person = names.person(edge.text(name))
        if not opts['key']:
            raise SettingError('no key given', 'use --key FILE')
        keys = [key for path in opts['key'] for key in _keys(path)]
        groups = [edge.text(group) for group in opts['group']]
        _check(layout, keys)
        user = directory_file.add_user(layout.users, person, keys, groups)
        said = ', '.join(sorted(user.groups)) or 'no group'
        node = nodeui.of_first_primary(layout)
        what = f'added {user.name}, in {said}'
        auditing.told(node, 'user', auditing.ALLOWED, what=what)
    ui.status(edge.local(f'{what}\n'))


def _keys(path: bytes) -> list[str]:
    """Return the public keys in a file, one a line."""
    name = edge.text(path)
    try:
        with open(path, encoding='utf-8') as file:
            lines = [line.strip() for line in file]
    except (OSError, UnicodeDecodeError) as problem:
        reason = getattr(problem, 'strerror', None) or problem
        raise SettingError(f'cannot read the key {name}: {reason}') from None
    keys = [line for line in lines if line and not line.startswith('#')]
    if any('PRIVATE KEY' in line for line in keys):
        raise SettingError(
            f'{name} is a private key', f'name the public one: {name}.pub'
        )
    if not keys:
        raise SettingError(f'{name} has no key in it')
    return keys


def _check(layout: Layout, keys: list[str]) -> None:
    """Raise KeyRefused for a key that would let nobody in."""
    from fleetpash import door

    for node in plan.nodes(founding.record(layout)):
        if node.role == PRIMARY:
            limits = door.read(nodeui.of(layout, node.name)).limits
            for key in keys:
                limits.check(key)


def _layout(opts: dict[str, Any]) -> Layout:
    if not opts['data']:
        raise SettingError('the folder of the fleet is not given', '--data DIR')
    return Layout(os.path.realpath(edge.text(opts['data'])))


def existing(opts: dict[str, Any]) -> Layout:
    """Return the folder that ``--data`` names; SettingError if it is none."""
    layout = _layout(opts)
    founding.require(layout)
    founding.require_place(layout)
    founding.require_ledger(layout)
    return layout


def own(opts: dict[str, Any]) -> Layout:
    """Return the folder that ``--data`` names, to change what is in it.

    Raises SettingError when it is none, or somebody else's.
    """
    layout = existing(opts)
    founding.require_own(layout)
    return layout


def _number(option: str, value: bytes) -> int | None:
    if not value:
        return None
    if not value.isdigit() or len(value) > 5:
        raise SettingError(f'{option} is {edge.text(value)!r}; use a number')
    return int(value)


def _on_primary(ui: Any, opts: dict[str, Any], what: str, name: bytes) -> int:
    """Change a repository on a primary; wait for the mirrors."""
    with edge.refusing():
        repo = names.repository(edge.text(name))
        code = _as_primary(opts, what, repo)
        if code == 0:
            there = what == CREATE
            late = gather.await_repository(existing(opts), repo, there)
            for line in late:
                ui.warn(edge.local(f'{line}\n'))
    return code


def _as_primary(opts: dict[str, Any], what: str, name: str) -> int:
    """Run ``hg WHAT NAME`` as the first primary that is not fenced."""
    with edge.refusing():
        layout = own(opts)
        return as_node(layout, gather.primary(layout), [what, '--', name])


def as_node(layout: Layout, node: str, words: list[str]) -> int:
    """Run ``hg`` as one of the nodes; return its exit code."""
    env = plan.of_node(plan.environment(os.environ), layout, node)
    hg = edge.text(procutil.hgexecutable())
    return subprocess.call((hg, '--cwd', '/', *words), env=env)
