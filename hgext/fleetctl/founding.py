"""The folder of a fleet: is it ours, and making what is missing in it.

Every step leaves alone what exists, so a first start that was interrupted
is simply started again.
"""

from __future__ import annotations

import os
import pwd
import re
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
# As files.replace calls a file before it is whole.
_UNFINISHED = '.tmp-'


def is_fleet(layout: Layout) -> bool:
    """Tell whether the folder holds a fleet of this version.

    False when it is empty or missing; SettingError when it holds anything
    else, or a fleet of a newer version.
    """
    data = files.read(layout.version)
    if data is None:
        inside = {
            name
            for name in _list(layout.root)
            if name != _LOCK and not name.startswith(_UNFINISHED)
        }
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


def require_own(layout: Layout) -> None:
    """Raise SettingError when the fleet in the folder is somebody else's.

    What root makes there its owner could not use: a repository that takes
    no pushes, or an audit that cannot be written, so that nobody gets in.
    """
    owner = os.stat(layout.version).st_uid
    if owner != os.geteuid():
        name = _account(owner)
        raise SettingError(
            f'the fleet in {layout.root} belongs to {name}, and you are '
            f'{_account(os.geteuid())}',
            f'run it as {name}, such as with: sudo -u {name} hgfleet ...',
        )


def _account(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f'#{number}'


def require_place(layout: Layout) -> None:
    """Raise SettingError when its nodes are those of another folder.

    So they are in a folder that was copied or moved, until the next start:
    whatever is done as one of them is done where it was.
    """
    for node in plan.nodes(record(layout)):
        data = files.read(layout.node(node.name).hgrc)
        if data is not None and not text.is_hgrc_of(data, layout):
            raise SettingError(
                f'{layout.root} was copied or moved, and {node.name} is still '
                'set up for where it was',
                f'to set it up for here: hgfleet up --data {layout.root}',
            )


def require_ledger(layout: Layout) -> None:
    """Raise SettingError when the ledger has gone from the folder.

    Whoever opened it would make an empty one; and what that was told would be
    lost when the ledger is put back.
    """
    from . import nodeui

    stated = nodeui.of_first_primary(layout).config(b'fleet', b'ledger')
    path = layout.ledger.removeprefix('sqlite://')
    ours = stated is not None and edge.text(stated) == layout.ledger
    if ours and record(layout).founded and not os.path.exists(path):
        raise SettingError(
            f'the ledger {path} is missing',
            'put it back, or restore it from a backup',
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


def claim(layout: Layout) -> None:
    """Make the folders, and before them what says whose they are."""
    os.makedirs(layout.root, mode=0o700, exist_ok=True)
    files.replace(layout.version, b'%d\n' % VERSION, sync=True)
    for folder in layout.folders:
        os.makedirs(folder, mode=0o700, exist_ok=True)


def found(layout: Layout) -> None:
    """Make what a fleet has once: keys, users, rules, an empty ledger.

    Rules and ledger are made by its first start only: there may be no file
    of rules since others stand in ``local.rc``, which it would overrule.
    """
    claim(layout)
    _keygen(layout.host_key, 'hgfleet host key')
    _keygen(layout.client_key, f'{ADMIN} of hgfleet')
    if not os.path.exists(layout.users):
        public = _text(f'{layout.client_key}.pub')
        directory_file.add_user(layout.users, ADMIN, [public], [ADMINS])
    if not record(layout).founded:
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
    """Make what is missing of a pair of keys, and never another private one.

    Each of the two files is there as a whole, or not at all.
    """
    if not os.path.exists(path):
        new = f'{path}.new'
        files.remove(new)
        argv = ['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', comment]
        _run([*argv, '-f', new], f'cannot make the key {path}')
        os.replace(f'{new}.pub', f'{path}.pub')
        os.replace(new, path)
    elif not os.path.exists(f'{path}.pub'):
        failure = f'cannot make {path}.pub of {path}'
        public = _run(['ssh-keygen', '-y', '-P', '', '-f', path], failure)
        files.replace(f'{path}.pub', public.encode())


def _run(argv: list[str], failure: str) -> str:
    """Return what a program writes; SettingError when it fails."""
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).split('\n')
        # Some begin with a line of ornaments.
        said = next((one for one in lines if re.search('[a-z]', one)), '')
        raise SettingError(f'{failure}: {said or done.returncode}')
    return done.stdout


def _text(path: str) -> str:
    with open(path, encoding='utf-8') as file:
        return file.read()


def _write(path: str, content: str) -> None:
    files.replace(path, content.encode())
