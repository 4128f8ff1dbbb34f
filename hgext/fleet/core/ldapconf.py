"""How a directory in LDAP is reached and read, as types.

Either the URL says all that differs from the defaults,

    directory = ldaps://ldap1.example.org,ldap2.example.org/dc=example,dc=org

or it names a TOML file, ``directory = ldap:///etc/hgfleet/ldap.toml``:

    servers = ["ldaps://ldap1.example.org", "ldap://ldap2.example.org:389"]
    base = "dc=example,dc=org"
    ca = "/etc/ssl/certs/example.pem"      # default: those of the system
    bind = "uid=fleet,dc=example,dc=org"   # default: anonymous
    password-file = "/etc/hgfleet/ldap.secret"
    patience = 1.2                         # seconds for one question
    cache = "/var/lib/hgfleet/proven.db"   # default: no cache
    remember = 86400                       # seconds that an answer is good
    most = 10000                           # answers in the cache
    preset = "rfc2307"                     # or mozilla, groupofnames

    [names]                                # what differs from the preset
    group = "cn"

    [write]                                # where last access is noted
    servers = ["ldaps://ldap0.example.org"]
    bind = "uid=writer,dc=example,dc=org"
    password-file = "/etc/hgfleet/ldap-writer.secret"

``ldap://`` means StartTLS before anything is said.  A connection without TLS
is refused unless the file says ``unprotected = true``: whoever can change
what travels on it can log in as anybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from .errors import SettingError

_SCHEMES = {'ldap': 389, 'ldaps': 636}


@dataclass(frozen=True)
class Names:
    """Where in the tree people and groups are, and what attributes are called.

    ``people_base`` and ``groups_base`` are put in front of the base.
    ``enabled`` names an attribute that must be TRUE, ``accessed`` one that
    takes the time of the last login; empty, there is none.  ``member`` holds
    names of people, or with ``member_is_dn`` where they are in the tree.
    """

    people_base: str = ''
    people: str = '(objectClass=posixAccount)'
    name: str = 'uid'
    key: str = 'sshPublicKey'
    enabled: str = ''
    accessed: str = ''
    groups_base: str = ''
    groups: str = '(objectClass=posixGroup)'
    group: str = 'cn'
    member: str = 'memberUid'
    member_is_dn: bool = False


PRESETS = {
    'rfc2307': Names(),
    'groupofnames': Names(
        groups='(objectClass=groupOfNames)', member='member', member_is_dn=True
    ),
    # hg.mozilla.org
    'mozilla': Names(
        people='(objectClass=hgAccount)',
        name='mail',
        enabled='hgAccountEnabled',
        accessed='hgAccessDate',
        groups_base='ou=groups',
        groups='(cn=scm_*)',
    ),
}


@dataclass(frozen=True)
class Server:
    """A server; ``tls`` from the first byte on, or begun by StartTLS."""

    host: str
    port: int
    tls: bool

    def __str__(self) -> str:
        scheme = 'ldaps' if self.tls else 'ldap'
        return f'{scheme}://{self.host}:{self.port}'


@dataclass(frozen=True)
class Access:
    """Servers, tried in their order, and who one is to them."""

    servers: tuple[Server, ...]
    bind: str = ''
    password_file: str = ''


@dataclass(frozen=True)
class Directory:
    """All of it; times are in seconds."""

    access: Access
    base: str
    names: Names = field(default_factory=Names)
    write: Access | None = None
    ca: str = ''
    unprotected: bool = False
    patience: float = 1.2
    cache: str = ''
    remember: float = 86400.0
    most: int = 10000


def from_url(scheme: str, rest: str) -> Directory:
    """Return what ``scheme://rest`` says; SettingError."""
    hosts, _slash, base = rest.partition('/')
    servers = tuple(_server(f'{scheme}://{host}') for host in hosts.split(','))
    return Directory(Access(servers), _base(base))


def from_table(table: Mapping[str, Any]) -> Directory:
    """Return what a TOML file says; SettingError names the item."""
    given = dict(table)
    write = given.pop('write', None)
    names = _names(given.pop('preset', 'rfc2307'), given.pop('names', {}))
    access = _access(given, '')
    found = Directory(access, _base(_text(given.pop('base', ''), 'base')))
    changes: dict[str, Any] = {'names': names}
    for item in ('ca', 'cache'):
        changes[item] = _text(given.pop(item, ''), item)
    for item, default in (
        ('patience', found.patience),
        ('remember', found.remember),
        ('most', found.most),
    ):
        changes[item] = type(default)(_number(given.pop(item, default), item))
    changes['unprotected'] = _flag(given.pop('unprotected', False))
    if write is not None:
        if not isinstance(write, dict):
            raise SettingError('"write" is not a table')
        write = dict(write)
        changes['write'] = _access(write, 'write.')
        _nothing_else(write)
    _nothing_else(given)
    if write is not None:
        _needs_accessed(names)
    return replace(found, **changes)


def _needs_accessed(names: Names) -> None:
    if not names.accessed:
        raise SettingError(
            '[write] is there, and no attribute to write',
            'name it: names.accessed',
        )


def _access(given: dict[str, Any], where: str) -> Access:
    servers = given.pop('servers', None)
    if not isinstance(servers, list) or not servers:
        raise SettingError(
            f'{where}servers is not a list of URLs',
            'write servers = ["ldaps://ldap.example.org"]',
        )
    bind = _text(given.pop('bind', ''), f'{where}bind')
    secret = _text(given.pop('password-file', ''), f'{where}password-file')
    if bool(bind) is not bool(secret):
        raise SettingError(
            f'{where}bind and {where}password-file belong together',
            'give both, or neither to be anonymous',
        )
    each = tuple(_server(_text(one, f'{where}servers')) for one in servers)
    return Access(each, bind, secret)


def _server(url: str) -> Server:
    scheme, _mark, place = url.partition('://')
    host, _colon, port = place.removesuffix('/').partition(':')
    good = scheme in _SCHEMES and host and host.isascii() and '/' not in host
    if not good or (port and not port.isdecimal()):
        raise SettingError(
            f'{url!r} is not the address of an LDAP server',
            'write ldaps://HOST, or ldap://HOST for StartTLS',
        )
    return Server(host, int(port or _SCHEMES[scheme]), scheme == 'ldaps')


def _names(preset: Any, given: Any) -> Names:
    if preset not in PRESETS:
        known = ', '.join(sorted(PRESETS))
        raise SettingError(f'preset {preset!r} is unknown', f'use {known}')
    if not isinstance(given, dict):
        raise SettingError('"names" is not a table')
    known_names = {one.name.replace('_', '-') for one in fields(Names)}
    for item, value in given.items():
        wanted: type = bool if item == 'member-is-dn' else str
        if item not in known_names or not isinstance(value, wanted):
            raise SettingError(
                f'names.{item} = {value!r} is not understood',
                f'use {", ".join(sorted(known_names))}',
            )
    changes = {item.replace('-', '_'): value for item, value in given.items()}
    return replace(PRESETS[preset], **changes)


def _base(text: str) -> str:
    if '=' in text:
        return text
    raise SettingError(
        f'{text!r} is not a base to search from',
        'write it as in dc=example,dc=org',
    )


def _text(value: Any, item: str) -> str:
    if isinstance(value, str):
        return value
    raise SettingError(f'{item} is not a text in quotes')


def _number(value: Any, item: str) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if good and 0 < value < 1e9:
        return float(value)
    raise SettingError(f'{item} is {value!r}; use a number above 0')


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise SettingError('unprotected is neither true nor false')


def _nothing_else(left: Mapping[str, Any]) -> None:
    if left:
        raise SettingError(f'{min(left)!r} is unknown')
