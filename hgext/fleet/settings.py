"""The settings that every part of the fleet reads, as one type.

They stand in two sections of hgrc; :data:`ITEMS` is the one place where
their names and defaults are.  An extension of the fleet calls
:func:`declare` from its ``uisetup`` and :func:`read` when it needs them.

    [fleet]
    node = hg1                     # this node's name, unlike any other's
    role = primary                 # or mirror
    root = /srv/hg/repos           # the repositories
    state = /srv/hg/state          # this node's own small files
    ledger = sqlite:///var/lib/hgfleet/ledger.db
    blobs = file:///var/lib/hgfleet/blobs
    directory = file:///etc/hgfleet/users.toml
    url = http://hg1.example.org/  # where it serves, for `hgfleet status`
    ssh = ssh://hg@hg1.example.org/
    ready = 10.0.0.1:9022         # where a primary tells its load balancer
                                   # whether it can take pushes
    sshd = 127.0.0.1:22            # an sshd that must answer for that
    room = 64 MB                   # and what must be left on the disk
    audit = syslog:///dev/log      # or a file; see fleet.audit

    [replicate]
    partitions = 8                 # never change it on a running fleet
    partition-map.10 = 4: try      # partitions, and the start of a name
    inline-limit = 64 KB          # larger payloads go to the blob store
    lease = 5                      # seconds; on mirrors of a ledger that
                                   # is elsewhere, 20
    wait = none                    # or visible: a push returns when it is
                                   # readable on every live mirror
    check-share = 5%               # of one core, for all of these:
    check-interval = 1 hour        # compare each repository with the ledger
    verify-interval = 7 days       # look at all of its content
    snapshot-interval = 1 day      # or never, as for the other two

Those of ``[pash]`` (``key-types``, ``rsa-bits``, ``revoked`` and
``trusted-user-ca``) are only declared here; ``fleetpash.door`` reads them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from . import edge
from .core import names
from .core.access import Rules
from .core.errors import SettingError
from .core.walk import Pace

# section, item, default
ITEMS: tuple[tuple[bytes, bytes, Any], ...] = (
    (b'fleet', b'node', None),
    (b'fleet', b'role', b'primary'),
    (b'fleet', b'root', None),
    (b'fleet', b'state', None),
    (b'fleet', b'ledger', None),
    (b'fleet', b'blobs', None),
    (b'fleet', b'directory', None),
    (b'fleet', b'url', b''),
    (b'fleet', b'ssh', b''),
    (b'fleet', b'user', b''),
    (b'fleet', b'actor', b''),
    (b'fleet', b'audit', b''),
    (b'fleet', b'ready', b''),
    (b'fleet', b'sshd', b''),
    (b'fleet', b'room', b'64 MB'),
    (b'pash', b'key-types', b''),
    (b'pash', b'rsa-bits', b''),
    (b'pash', b'revoked', b''),
    (b'pash', b'trusted-user-ca', b''),
    (b'devel', b'fleet-failpoint', b''),
    (b'replicate', b'partitions', 8),
    (b'replicate', b'inline-limit', b'64 KB'),
    (b'replicate', b'lease', None),
    (b'replicate', b'wait', b'none'),
    (b'replicate', b'check-share', b'5%'),
    (b'replicate', b'check-interval', b'1 hour'),
    (b'replicate', b'verify-interval', b'7 days'),
    (b'replicate', b'snapshot-interval', b'1 day'),
)

_UNITS = {
    **{'second': 1.0, 'sec': 1.0, 's': 1.0},
    **{'minute': 60.0, 'min': 60.0, 'm': 60.0},
    **{'hour': 3600.0, 'h': 3600.0, 'day': 86400.0, 'd': 86400.0},
}
_INTERVAL = re.compile(r'([0-9]+(?:\.[0-9]+)?) ?([a-z]+)')

LEASE, FAR_LEASE = '5', '20'
"""Leases when none is set, in seconds.

The longer one is for a mirror whose ledger is on other machines: it serves on
while they elect a new leader.
"""

ROLES = ('primary', 'mirror')
WAITS = ('none', 'visible')


@dataclass(frozen=True)
class Settings:
    """The settings of one node; ``lease`` is in seconds, ``room`` in bytes."""

    node: str
    role: str
    root: str
    state: str
    ledger: str
    blobs: str
    url: str
    ssh: str
    partitions: int
    partition_rules: tuple[tuple[str, tuple[int, ...]], ...]
    inline_limit: int
    lease: float
    wait: str
    pace: Pace = field(default_factory=Pace)
    ready: str = ''
    sshd: str = ''
    room: int = 64 << 20

    def partition(self, repo: str) -> int:
        """Return the partition of a repository."""
        return names.partition(repo, self.partitions, self.partition_rules)


def declare(ui: Any) -> None:
    """Register the items with Mercurial; harmless when repeated."""
    from mercurial import configitems

    for section, item, default in ITEMS:
        known = ui._knownconfig.setdefault(section, configitems.itemregister())
        if item not in known:
            known[item] = configitems.configitem(section, item, default)
    known = ui._knownconfig[b'replicate']
    if b'partition-map.*' not in known:
        known[b'partition-map.*'] = configitems.configitem(
            b'replicate', b'partition-map.*', None, generic=True
        )


def read(ui: Any) -> Settings:
    """Return the settings of this node; SettingError when one is wrong."""

    def required(item: str) -> str:
        value = _text(ui, 'fleet', item)
        if not value:
            raise SettingError(
                f'fleet.{item} is not set',
                'see "hg help replicate" for the settings of a node',
            )
        return value

    return Settings(
        node=names.node(required('node')),
        role=_one_of('fleet.role', _text(ui, 'fleet', 'role'), ROLES),
        root=required('root').rstrip('/'),
        state=required('state').rstrip('/'),
        ledger=required('ledger'),
        blobs=required('blobs'),
        url=_text(ui, 'fleet', 'url'),
        ssh=_text(ui, 'fleet', 'ssh'),
        partitions=_positive(ui, 'partitions'),
        partition_rules=_rules(ui),
        inline_limit=ui.configbytes(b'replicate', b'inline-limit'),
        lease=_seconds(_text(ui, 'replicate', 'lease') or _lease(ui)),
        wait=_one_of('replicate.wait', _text(ui, 'replicate', 'wait'), WAITS),
        pace=Pace(
            share=_share(_text(ui, 'replicate', 'check-share')),
            compare=_interval(ui, 'check-interval'),
            verify=_interval(ui, 'verify-interval'),
            snapshot=_interval(ui, 'snapshot-interval'),
        ),
        ready=_text(ui, 'fleet', 'ready'),
        sshd=_text(ui, 'fleet', 'sshd'),
        room=ui.configbytes(b'fleet', b'room'),
    )


def rules(items: Iterable[tuple[bytes, bytes]]) -> Rules:
    """Return the rules in the items of ``[access]``; SettingError."""
    return Rules.parse(
        (edge.text(glob), edge.text(grants)) for glob, grants in items
    )


def _text(ui: Any, section: str, item: str) -> str:
    value = ui.config(section.encode(), item.encode())
    return (value or b'').decode('utf-8', 'surrogateescape')


def _one_of(item: str, value: str, choices: tuple[str, ...]) -> str:
    if value in choices:
        return value
    raise SettingError(f'{item} is {value!r}; use {" or ".join(choices)}')


def _positive(ui: Any, item: str) -> int:
    value: int = ui.configint(b'replicate', item.encode())
    if value < 1:
        raise SettingError(f'replicate.{item} is {value}; use 1 or more')
    return value


def _lease(ui: Any) -> str:
    far = not _text(ui, 'fleet', 'ledger').startswith('sqlite://')
    is_mirror = _text(ui, 'fleet', 'role') == 'mirror'
    return FAR_LEASE if far and is_mirror else LEASE


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0.2 <= seconds <= 3600:
        raise SettingError(
            f'replicate.lease is {value!r}; use 0.2 to 3600 seconds'
        )
    return seconds


def _share(value: str) -> float:
    try:
        share = float(value.removesuffix('%')) / 100
    except ValueError:
        share = 0.0
    if not value.endswith('%') or not 0.001 <= share <= 1:
        raise SettingError(
            f'replicate.check-share is {value!r}; use 0.1% to 100%'
        )
    return share


def _interval(ui: Any, item: str) -> float:
    """Return the seconds; infinity for ``never``."""
    value = _text(ui, 'replicate', item)
    if value == 'never':
        return math.inf
    match = _INTERVAL.fullmatch(value)
    unit = match[2] if match else ''
    one = _UNITS.get(unit) or _UNITS.get(unit.removesuffix('s'))
    seconds = float(match[1]) * one if match and one else 0.0
    if not 0.1 <= seconds <= 1e9:
        raise SettingError(
            f'replicate.{item} is {value!r}',
            'use such as "30 min", "12 hours" or "7 days", or "never"',
        )
    return seconds


def _rules(ui: Any) -> tuple[tuple[str, tuple[int, ...]], ...]:
    rules = []
    for item, value in sorted(ui.configitems(b'replicate')):
        if not item.startswith(b'partition-map.'):
            continue
        said = value.decode('utf-8', 'surrogateescape')
        where, colon, pattern = said.partition(':')
        try:
            chosen = tuple(int(one) for one in where.split(','))
        except ValueError:
            chosen = ()
        pattern = pattern.strip()
        if not colon or not chosen or not _is_pattern(pattern):
            raise SettingError(
                f'replicate.{item.decode("utf-8", "replace")} is {said!r}; '
                'use "N,N: start-of-name", which is a regular expression'
            )
        rules.append((pattern, chosen))
    return tuple(rules)


def _is_pattern(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True
