"""What a fleet in a box consists of: decided here, made elsewhere.

:func:`settle` joins what the operator asks for with what the folder
remembers; :func:`nodes` and :func:`parts` follow from the result.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..fleet.core.barrier import MIRROR, PRIMARY
from ..fleet.core.errors import SettingError
from .layout import Layout

DAEMON, LEDGER, WARM, SSHD, WEB = 'daemon', 'ledger', 'warm', 'sshd', 'web'
MOST_NODES = 50
READY = '.ready'
APPLICATION = 'hgext3rd.fleet.web:application'


@dataclass(frozen=True)
class Wishes:
    """What the operator asked for; None: nothing."""

    primaries: int | None = None
    mirrors: int | None = None
    ssh_port: int | None = None
    http_port: int | None = None
    ready_port: int | None = None


@dataclass(frozen=True)
class Record:
    """What the folder remembers.

    A port of 0 means any free one; ``ports`` are those in use, by node,
    and by NODE.ready where a primary tells its load balancer how it is.
    ``founded`` is set when the first start has come to its end.
    """

    primaries: int = 1
    mirrors: int = 2
    ssh_port: int = 8022
    http_port: int = 8080
    ports: Mapping[str, int] = field(default_factory=dict)
    founded: bool = False
    ready_port: int = 0


@dataclass(frozen=True)
class Node:
    """One node.  ``port`` is 0 when any free one will do, if possible
    ``liked``; likewise ``ready``, where a primary says how it is."""

    name: str
    role: str
    alias: str
    port: int
    liked: int = 0
    ready: int = 0
    ready_liked: int = 0

    @property
    def url(self) -> str:
        """Where a mirror serves HTTP; empty for a primary."""
        return f'http://127.0.0.1:{self.port}/' if self.role == MIRROR else ''

    @property
    def ssh(self) -> str:
        """Where a primary is pushed to; empty for a mirror."""
        return f'ssh://{self.alias}/' if self.role == PRIMARY else ''


@dataclass(frozen=True)
class Tools:
    """Absolute paths of the programs that parts are made of."""

    hg: str
    python: str
    sshd: str


@dataclass(frozen=True)
class Fleet:
    """Everything that is decided: where, who, and with which programs.

    ``env`` is the environment of every part, see :func:`environment`.
    """

    layout: Layout
    record: Record
    nodes: tuple[Node, ...]
    tools: Tools
    env: Mapping[str, str]

    def of_node(self, node: str) -> dict[str, str]:
        """Return the environment in which ``hg`` is this node."""
        return of_node(self.env, self.layout, node)


@dataclass(frozen=True)
class Part:
    """One process that the supervisor keeps running."""

    name: str
    node: str
    kind: str
    argv: tuple[str, ...]
    env: Mapping[str, str]


def settle(wishes: Wishes, record: Record) -> Record:
    """Return the record that comes true; SettingError when it cannot."""
    settled = replace(
        record,
        primaries=_or(wishes.primaries, record.primaries),
        mirrors=_or(wishes.mirrors, record.mirrors),
        ssh_port=_or(wishes.ssh_port, record.ssh_port),
        http_port=_or(wishes.http_port, record.http_port),
        ready_port=_or(wishes.ready_port, record.ready_port),
    )
    for what, count in (
        ('--primaries', settled.primaries),
        ('--mirrors', settled.mirrors),
    ):
        if not 1 <= count <= MOST_NODES:
            raise SettingError(f'{what} is {count}; use 1 to {MOST_NODES}')
    for what, port in (
        ('--ssh-port', settled.ssh_port),
        ('--http-port', settled.http_port),
        ('--ready-port', settled.ready_port),
    ):
        if not 0 <= port <= 65535 - MOST_NODES:
            raise SettingError(
                f'{what} is {port}; use 0 to {65535 - MOST_NODES}'
            )
    return settled


def _or(wish: int | None, known: int) -> int:
    return known if wish is None else wish


def nodes(record: Record) -> list[Node]:
    """Return the nodes, primaries first; ports are counted up."""

    def port(base: int, index: int) -> int:
        return base and base + index

    return [
        Node(
            f'hg{index + 1}',
            PRIMARY,
            'fleet' if index == 0 else f'fleet{index + 1}',
            port(record.ssh_port, index),
            record.ports.get(f'hg{index + 1}', 0),
            port(record.ready_port, index),
            record.ports.get(f'hg{index + 1}{READY}', 0),
        )
        for index in range(record.primaries)
    ] + [
        Node(
            f'web{index + 1}',
            MIRROR,
            '',
            port(record.http_port, index),
            record.ports.get(f'web{index + 1}', 0),
        )
        for index in range(record.mirrors)
    ]


def ports(nodes: Iterable[Node]) -> dict[str, int]:
    """Return the ports in use, as a record has them."""
    found = {}
    for node in nodes:
        found[node.name] = node.port
        if node.ready:
            found[node.name + READY] = node.ready
    return found


def placed(node: Node) -> Node:
    """Return the node with the ports that it was given last."""
    return replace(
        node,
        port=node.port or node.liked,
        ready=node.ready or node.ready_liked,
    )


def environment(outer: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of every part, made from the supervisor's.

    Whatever would configure Mercurial or gunicorn is left out: a part is
    configured by the files of its node alone.
    """
    env = {
        name: value
        for name, value in outer.items()
        if name.startswith('HGFLEET_')
        or not name.startswith(('HG', 'GUNICORN_', 'SSH_'))
    }
    return {**env, 'HGPLAIN': '1', 'HGENCODING': 'utf-8'}


def of_node(
    env: Mapping[str, str], layout: Layout, node: str
) -> dict[str, str]:
    """Return the environment in which ``hg`` is this node."""
    return {**env, 'HGRCPATH': layout.node(node).hgrc}


def parts(fleet: Fleet, ledger: str) -> list[Part]:
    """Return the parts of a fleet, in the order of their start.

    ``ledger`` is its URL.  Pushes come to primaries only, and only where
    connecting takes time does a relay save any.
    """
    layout, tools, env = fleet.layout, fleet.tools, fleet.env
    made = []
    for node in fleet.nodes:
        own = fleet.of_node(node.name)
        serve = (tools.hg, 'replicate::serve')
        made.append(Part(f'{node.name}.daemon', node.name, DAEMON, serve, own))
        if node.role == PRIMARY:
            if not ledger.startswith('sqlite://'):
                keep = (tools.hg, 'replicate::relay')
                name = f'{node.name}.ledger'
                made.append(Part(name, node.name, LEDGER, keep, own))
            warm = (tools.hg, 'warmserver::serve')
            made.append(Part(f'{node.name}.warm', node.name, WARM, warm, own))
            config = ('-f', layout.sshd(node.name))
            door = (tools.sshd, '-D', '-e', *config)
            made.append(Part(f'{node.name}.sshd', node.name, SSHD, door, env))
        else:
            config = ('--config', layout.node(node.name).gunicorn)
            app = (tools.python, '-m', 'gunicorn', *config, APPLICATION)
            made.append(Part(f'{node.name}.web', node.name, WEB, app, own))
    return made


def encode(record: Record) -> bytes:
    """Return the bytes of ``fleet.json``."""
    body = {
        'primaries': record.primaries,
        'mirrors': record.mirrors,
        'ssh_port': record.ssh_port,
        'http_port': record.http_port,
        'ready_port': record.ready_port,
        'ports': dict(record.ports),
        'founded': record.founded,
    }
    return json.dumps(body, indent=2).encode() + b'\n'


def decode(data: bytes) -> Record:
    """Return the record; SettingError when it cannot be read."""
    try:
        body: dict[str, Any] = json.loads(data)
        return Record(
            primaries=int(body['primaries']),
            mirrors=int(body['mirrors']),
            ssh_port=int(body['ssh_port']),
            http_port=int(body['http_port']),
            ready_port=int(body.get('ready_port', 0)),
            ports={str(n): int(p) for n, p in body['ports'].items()},
            founded=body['founded'] is True,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise SettingError(
            f'fleet.json cannot be read: {problem}',
            'restore it, or remove it to start with the default ports',
        ) from None
