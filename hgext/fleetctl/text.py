"""The files that are generated for a fleet, as pure text."""

from __future__ import annotations

from ..fleet.core.barrier import PRIMARY
from .layout import Layout
from .plan import Fleet, Node
from .sockets import ADDRESS

_HGRC = """\
# Written by "hgfleet up"; changes here are lost.  Yours go to
# {local}
%include {recipe}

[fleet]
node = {node.name}
role = {node.role}
root = {place.repos}
state = {place.state}
ledger = {layout.ledger}
blobs = {layout.blobs}
directory = {layout.directory}
url = {node.url}
ssh = {node.ssh}
push-url = ssh://fleet/
{health}
%include {access}
%include {local}
"""

_HEALTH = """\
ready = {address}:{node.ready}
sshd = {address}:{node.port}
"""

_GUNICORN = """\
# Written by "hgfleet up"; changes here are lost.
bind = '{address}:{port}'
worker_class = 'gthread'
workers = {workers}
threads = {threads}
timeout = 600
graceful_timeout = 3
keepalive = 15
# Mercurial's clients put what they ask into many headers.
limit_request_fields = 1000
# The longest that there is: "changeset" of json-pushes may be repeated.
limit_request_line = 8190
errorlog = '-'
control_socket_disable = True
"""

ACCESS = """\
# Who may do what: GLOB = GROUP:VERB, ...  The first line whose glob matches
# the repository decides; what no line allows is denied.
[access]
** = admins:admin, developers:write, *:read
"""

_READY = """\
ready: {count} in {root}

  {hg} clone {url}demo
  date > demo/date.txt
  {hg} -R demo commit --addremove --user you --message "try it"
  {hg} -R demo push --ssh "ssh -F {layout.ssh_config}" {ssh}demo
  {hgfleet} status --data {root}
"""


def hgrc(layout: Layout, node: Node, recipe: str) -> str:
    """Return the hgrc of a node that includes the shipped ``recipe``."""
    return _HGRC.format(
        layout=layout,
        node=node,
        place=layout.node(node.name),
        recipe=recipe,
        health=_HEALTH.format(node=node, address=ADDRESS) if node.ready else '',
        access=layout.access,
        local=layout.local,
    )


def is_hgrc_of(data: bytes, layout: Layout) -> bool:
    """Tell whether this hgrc of a node was written for this folder."""
    return f'\n%include {layout.local}\n'.encode() in data


def recipe_name(node: Node) -> str:
    """Return which of the shipped hgrc files a node includes."""
    return 'primary.rc' if node.role == PRIMARY else 'mirror.rc'


def gunicorn(
    node: Node, address: str, workers: int = 1, threads: int = 8
) -> str:
    """Return the settings of a mirror's web server."""
    return _GUNICORN.format(
        address=address, port=node.port, workers=workers, threads=threads
    )


def ready(fleet: Fleet, hg: str, hgfleet: str) -> list[str]:
    """Return what is printed when everything is: lines to copy and paste.

    ``hg`` and ``hgfleet`` are the commands as they have to be typed.
    """
    primaries = [one for one in fleet.nodes if one.role == PRIMARY]
    mirrors = [one for one in fleet.nodes if one.role != PRIMARY]
    count = f'{_some(primaries, "primary", "primaries")}, '
    count += _some(mirrors, 'mirror', 'mirrors')
    return _READY.format(
        count=count,
        root=fleet.layout.root,
        layout=fleet.layout,
        hg=hg,
        hgfleet=hgfleet,
        url=mirrors[0].url,
        ssh=primaries[0].ssh,
    ).split('\n')[:-1]


def _some(nodes: list[Node], one: str, more: str) -> str:
    return f'{len(nodes)} {one if len(nodes) == 1 else more}'
