"""Where everything is in the folder of a fleet in a box.

::

    version           the format of the folder, one number
    fleet.json        how many nodes, and their ports
    ledger.db blobs/  the truth
    users.toml        who may log in; access.rc: who may do what
    local.rc          the operator's own settings, read last by every node
    client/           ssh_config, the administrator's key, known_hosts
    ssh/              the host key, and one sshd configuration per primary
    nodes/NAME/       hgrc, repos/, state/ of one node
    run/              the lock, and what the supervisor runs at the moment
    log/              one file for each part, and its predecessor

The shipped recipes (``primary.rc``, ``mirror.rc``) are data files of the
package ``fleetrc``, which is the folder ``hgrc.d`` of a checkout.
"""

from __future__ import annotations

import importlib.util
import os
import re
from dataclasses import dataclass

from ..fleet.core.errors import SettingError

VERSION = 1

# What survives the quoting of sshd, of URLs and of hgrc files unchanged, and
# is one path and not two in HGRCPATH.
_PLAIN = re.compile(r'/[A-Za-z0-9_@+=,./-]*\Z')


@dataclass(frozen=True)
class Place:
    """The folder of one node."""

    root: str

    @property
    def hgrc(self) -> str:
        """The only configuration file that the node's processes read."""
        return f'{self.root}/hgrc'

    @property
    def repos(self) -> str:
        """The folder of the repositories."""
        return f'{self.root}/repos'

    @property
    def state(self) -> str:
        """The folder of the node's own small files."""
        return f'{self.root}/state'

    @property
    def warm(self) -> str:
        """The socket of the node's warm server."""
        return f'{self.state}/warm.sock'

    @property
    def gunicorn(self) -> str:
        """The settings of the node's web server."""
        return f'{self.root}/gunicorn.conf.py'


@dataclass(frozen=True)
class Layout:
    """The paths below ``root``, which is absolute."""

    root: str

    def __post_init__(self) -> None:
        if not _PLAIN.match(self.root):
            raise SettingError(
                f'the folder {self.root!r} cannot hold a fleet',
                'use a path of letters, digits and _ @ + = , . / -',
            )

    def node(self, name: str) -> Place:
        """Return the folder of the node of that name."""
        return Place(f'{self.root}/nodes/{name}')

    def log(self, name: str) -> str:
        """Return the log file of a part."""
        return f'{self.root}/log/{name}.log'

    def sshd(self, node: str) -> str:
        """Return the sshd configuration of a primary."""
        return f'{self.root}/ssh/{node}.conf'

    @property
    def version(self) -> str:
        """The format of the folder."""
        return f'{self.root}/version'

    @property
    def record(self) -> str:
        """How many nodes, and their ports."""
        return f'{self.root}/fleet.json'

    @property
    def ledger(self) -> str:
        """The URL of the ledger."""
        return f'sqlite://{self.root}/ledger.db'

    @property
    def blobs(self) -> str:
        """The URL of the blob store."""
        return f'file://{self.root}/blobs'

    @property
    def users(self) -> str:
        """The file of the directory of users."""
        return f'{self.root}/users.toml'

    @property
    def directory(self) -> str:
        """The URL of the directory of users."""
        return f'file://{self.users}'

    @property
    def access(self) -> str:
        """The access rules, included by every node."""
        return f'{self.root}/access.rc'

    @property
    def local(self) -> str:
        """The operator's own settings, included last by every node."""
        return f'{self.root}/local.rc'

    @property
    def host_key(self) -> str:
        """The private host key of every sshd."""
        return f'{self.root}/ssh/host_key'

    @property
    def client_key(self) -> str:
        """The private key of the user ``admin``."""
        return f'{self.root}/client/key'

    @property
    def known_hosts(self) -> str:
        """The host key as clients want it."""
        return f'{self.root}/client/known_hosts'

    @property
    def ssh_config(self) -> str:
        """The configuration for ``ssh -F``."""
        return f'{self.root}/client/ssh_config'

    @property
    def lock(self) -> str:
        """Locked while a supervisor, or what is left of one, runs."""
        return f'{self.root}/run/lock'

    @property
    def running(self) -> str:
        """What the supervisor runs, for ``status`` and ``down``."""
        return f'{self.root}/run/parts.json'

    @property
    def heads(self) -> str:
        """Counted heads, so that ``status`` need not count them again."""
        return f'{self.root}/run/heads.json'

    @property
    def folders(self) -> list[str]:
        """The folders that the first start makes, outermost first."""
        names = ('blobs', 'client', 'ssh', 'nodes', 'log')
        return [self.root, *(f'{self.root}/{name}' for name in names)]


def recipe(name: str) -> str:
    """Return the path of a shipped hgrc file; SettingError if missing."""
    spec = importlib.util.find_spec('fleetrc')
    for folder in (spec and spec.submodule_search_locations) or ():
        path = os.path.join(folder, name)
        if os.path.exists(path):
            return path
    raise SettingError(
        f'the file {name} is not part of this installation',
        'install hgfleet again',
    )
