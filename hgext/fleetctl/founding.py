"""The folder of a fleet: is it ours, and making what is missing in it.

Every step leaves alone what exists, so a first start that was interrupted
is simply started again.
"""

from __future__ import annotations

import os
import shutil
import subprocess

from ..fleet import adapters, audit, edge, files, settings
from ..fleet.adapters import directory_file
from ..fleet.core.barrier import PRIMARY
from ..fleet.core.errors import SettingError
from . import plan, sockets, text
from .layout import VERSION, Layout, recipe
from .plan import Fleet, Node, Record, Tools

ADMIN = 'admin'
ADMINS = 'admins'
_LOCK = 'run'


def is_fleet(layout: Layout) -> bool:
    """Tell whether the folder holds a fleet of this version.

    False when it is empty or missing; SettingError when it holds anything
    else, or a fleet of a newer version.
    """
    data = files.read(layout.version)
    if data is None:
        inside = set(_list(layout.root)) - {_LOCK}
        if inside:
            raise SettingError(
                f'{layout.root} is not empty, and not a fleet: it has '
                f'{min(inside)!r}',
                'name an empty or a new folder',
            )
        return False
    version = data.decode('ascii', 'replace').strip()
    if version != str(VERSION):
        raise SettingError(
            f'{layout.root} has format {version[:20]!r}; this version of '
            f'hgfleet reads {VERSION}',
            'use the version of hgfleet that it was made with, or a newer',
        )
    return True


def require(layout: Layout) -> None:
    """Raise SettingError when there is no fleet in the folder."""
    if not is_fleet(layout):
        raise SettingError(
            f'there is no fleet in {layout.root}',
            f'to make one: hgfleet up --data {layout.root}',
        )


def _list(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []
    except OSError as problem:
        raise SettingError(
            f'cannot use the folder {folder}: {problem.strerror}'
        ) from None


def record(layout: Layout) -> Record:
    """Return what the folder remembers, or the defaults."""
    data = files.read(layout.record)
    return Record() if data is None else plan.decode(data)


def remember(layout: Layout, known: Record) -> None:
    """Let the folder remember."""
    files.replace(layout.record, plan.encode(known), sync=True)


def found(layout: Layout) -> None:
    """Make what a fleet has once: keys, users, rules, an empty ledger."""
    for folder in layout.folders:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    # First of all, so that the folder is known to be ours from now on.
    files.replace(layout.version, b'%d\n' % VERSION, sync=True)
    _keygen(layout.host_key, 'hgfleet host key')
    _keygen(layout.client_key, f'{ADMIN} of hgfleet')
    if not os.path.exists(layout.users):
        public = _text(f'{layout.client_key}.pub')
        directory_file.add_user(layout.users, ADMIN, [public], [ADMINS])
    if not os.path.exists(layout.access):
        files.replace(layout.access, text.ACCESS.encode())
    adapters.open_ledger(layout.ledger).close()
    # Of keys, ssh-keygen syncs nothing; nobody could log in without them.
    files.sync_system(layout.root)


def furnish(fleet: Fleet, account: str) -> None:
    """Write every file that follows from the nodes and their ports.

    ``account`` is the local one that runs the fleet.
    """
    from fleetpash import sshd

    layout = fleet.layout
    client = []
    for node in fleet.nodes:
        place = layout.node(node.name)
        os.makedirs(place.repos, exist_ok=True)
        os.makedirs(place.state, exist_ok=True)
        shipped = recipe(text.recipe_name(node))
        _write(place.hgrc, text.hgrc(layout, node, shipped))
        if node.role != PRIMARY:
            _write(place.gunicorn, text.gunicorn(node, sockets.ADDRESS))
            continue
        _write(layout.sshd(node.name), _server(fleet, node, account))
        config = sshd.ssh_config(
            port=node.port,
            account=account,
            identity=layout.client_key,
            known_hosts=layout.known_hosts,
            host=node.alias,
            address=sockets.ADDRESS,
        )
        client.append(config)
    _write(layout.ssh_config, '\n'.join(client))
    public = _text(f'{layout.host_key}.pub')
    _write(layout.known_hosts, sshd.known_hosts(public_key=public))


def _server(fleet: Fleet, node: Node, account: str) -> str:
    """Return the configuration of the sshd of a primary, by its hgrc."""
    from fleetpash import door, sshd

    from . import nodeui

    layout, tools = fleet.layout, fleet.tools
    place = layout.node(node.name)
    ui = nodeui.of(layout, node.name)
    its = settings.read(ui)
    directory = edge.text(ui.config(b'fleet', b'directory'))
    audited = None
    if not directory.startswith('file://'):
        where = edge.text(ui.config(b'fleet', b'audit'))
        audited = (audit.place(where, its.state), its.node)
    return sshd.sshd_config(
        port=node.port,
        account=account,
        host_key=layout.host_key,
        hg=tools.hg,
        hgrc=place.hgrc,
        directory=directory,
        python=tools.python,
        address=sockets.ADDRESS,
        warm=place.warm,
        spared=sockets.ADDRESS if sshd.has_penalties(tools.sshd) else '',
        door=door.read(ui),
        audited=audited,
    )


def prepare_sshd(fleet: Fleet) -> None:
    """Let sshd check its configurations; SettingError when it objects."""
    from fleetpash import sshd

    if os.geteuid() == 0:
        os.makedirs(sshd.PRIVSEP, mode=0o755, exist_ok=True)
    for node in fleet.nodes:
        if node.role == PRIMARY:
            file = fleet.layout.sshd(node.name)
            _run([fleet.tools.sshd, '-t', '-f', file], f'sshd refuses {file}')


def find_tools(hg: str, python: str) -> Tools:
    """Return the programs that parts are made of; SettingError."""
    path = os.pathsep.join([os.environ.get('PATH', ''), '/usr/sbin', '/sbin'])
    found = {}
    for name in ('sshd', 'ssh-keygen'):
        where = shutil.which(name, path=path)
        if where is None:
            raise SettingError(
                f'{name} is missing on this machine',
                'install openssh-server and openssh-client (Debian: apt-get '
                'install openssh-server openssh-client)',
            )
        found[name] = where
    return Tools(hg=hg, python=python, sshd=os.path.abspath(found['sshd']))


def _keygen(path: str, comment: str) -> None:
    if os.path.exists(f'{path}.pub') and os.path.exists(path):
        return
    files.remove(path)
    argv = ['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', comment]
    _run([*argv, '-f', path], f'cannot make the key {path}')


def _run(argv: list[str], failure: str) -> None:
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().split('\n')[0]
        raise SettingError(f'{failure}: {said or done.returncode}')


def _text(path: str) -> str:
    with open(path, encoding='utf-8') as file:
        return file.read()


def _write(path: str, content: str) -> None:
    files.replace(path, content.encode())
