"""What a ``kafka://`` URL says, as one type.

    kafka://HOST[:PORT][,HOST[:PORT]...]/PREFIX[?KEY=VALUE&...]

``PREFIX`` starts the names of the topics, so that several fleets may share
a cluster.  The keys, each with its default:

=================  =======================================================
``security``       ``plaintext`` or ``ssl``
``cafile``         who signs the brokers' certificates (the system's CAs)
``certfile``       this client's certificate, where the brokers want one
``keyfile``        its key
``sasl``           ``plain``, ``scram-sha-256`` or ``scram-sha-512``
``user``           who logs in
``password-file``  a file whose first line is the password
``timeout``        seconds until a call gives up (15)
=================  =======================================================

Values are percent-encoded as in any URL.  A password is never part of the
URL, which ends up in logs and process lists: it is in a file.  Nothing that
stands in the URL before ``@`` is repeated in an error, in case somebody
tries.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl

from ..core.errors import SettingError

PORT = 9092
SECURITY = ('plaintext', 'ssl')
SASL = ('plain', 'scram-sha-256', 'scram-sha-512')
KEYS = frozenset(
    {
        *('security', 'cafile', 'certfile', 'keyfile'),
        *('sasl', 'user', 'password-file', 'timeout'),
    }
)

_FORM = 'write it as kafka://HOST[:PORT],HOST.../PREFIX?KEY=VALUE'
_HOST = re.compile(r'(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?')
_PREFIX = re.compile(r'[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}')
_STREAM = re.compile(r'entries-(0|[1-9][0-9]{0,8})')


@dataclass(frozen=True)
class Place:
    """A Kafka cluster, how to log in, and which topics are the ledger's."""

    servers: tuple[str, ...]
    prefix: str
    security: str = 'plaintext'
    cafile: str = ''
    certfile: str = ''
    keyfile: str = ''
    sasl: str = ''
    user: str = ''
    password_file: str = ''
    timeout: float = 15.0

    def __str__(self) -> str:
        return f'kafka://{",".join(self.servers)}/{self.prefix}'

    @property
    def entries(self) -> str:
        """The topic whose partition N is the stream ``entries-N``."""
        return f'{self.prefix}.entries'

    @property
    def members(self) -> str:
        """The compacted topic whose one partition is ``members``."""
        return f'{self.prefix}.members'

    def partition(self, stream: str) -> tuple[str, int]:
        """Return the topic and the partition that hold a stream."""
        if stream == 'members':
            return self.members, 0
        found = _STREAM.fullmatch(stream)
        if found is None:
            raise ValueError(f'there is no stream {stream!r}')
        return self.entries, int(found[1])


def parse(rest: str) -> Place:
    """Return what follows ``kafka://`` in a URL; raises SettingError."""
    where, _mark, query = rest.partition('?')
    hosts, _slash, prefix = where.partition('/')
    if '@' in hosts:
        raise _wrong(
            'there is an "@" before the prefix',
            'name the user with ?user= and the password with &password-file=',
        )
    servers = tuple(_server(one) for one in hosts.split(','))
    if not _PREFIX.fullmatch(prefix):
        raise _wrong(
            f"{prefix[:80]!r} cannot be the start of a topic's name",
            'use up to 200 letters, digits, ".", "_" and "-"',
        )
    given = _given(query)
    place = Place(
        servers,
        prefix,
        security=_one_of(given, 'security', SECURITY, 'plaintext'),
        cafile=_path(given, 'cafile'),
        certfile=_path(given, 'certfile'),
        keyfile=_path(given, 'keyfile'),
        sasl=_one_of(given, 'sasl', SASL, ''),
        user=given.get('user', ''),
        password_file=_path(given, 'password-file'),
        timeout=_seconds(given.get('timeout', '15')),
    )
    _agree(place)
    return place


def _server(text: str) -> str:
    port = text.rpartition(':')[2] if re.search(r':[0-9]+$', text) else ''
    if not _HOST.fullmatch(text) or (port and not 0 < int(port) < 65536):
        raise _wrong(f'{text[:80]!r} is not HOST or HOST:PORT', _FORM)
    return text if port else f'{text}:{PORT}'


def _given(query: str) -> dict[str, str]:
    if not query:
        return {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    except ValueError:
        raise _wrong('what follows "?" is not KEY=VALUE&...', _FORM) from None
    given = dict(pairs)
    for key in given:
        if key not in KEYS:
            raise _wrong(
                f'{key[:40]!r} is not a key',
                f'accepted: {", ".join(sorted(KEYS))}',
            )
    if len(given) < len(pairs):
        raise _wrong('a key is given twice', _FORM)
    return given


def _one_of(
    given: dict[str, str], key: str, choices: tuple[str, ...], default: str
) -> str:
    value = given.get(key, default).lower()
    if value in choices or value == default:
        return value
    raise _wrong(f'{key}={value[:40]}', f'use {", ".join(choices)}')


def _path(given: dict[str, str], key: str) -> str:
    value = given.get(key, '')
    if value and not value.startswith('/'):
        raise _wrong(f'{key} is not an absolute path', '')
    return value


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= 300:
        raise _wrong(f'timeout={text[:40]}', 'use 1 to 300 seconds')
    return seconds


def _agree(place: Place) -> None:
    """Refuse settings that contradict each other or give a secret away."""
    tls = place.security == 'ssl'
    if not tls and (place.cafile or place.certfile or place.keyfile):
        raise _wrong('certificates are of no use without TLS', 'security=ssl')
    if bool(place.certfile) != bool(place.keyfile):
        raise _wrong('certfile and keyfile go together', '')
    if bool(place.sasl) != bool(place.user and place.password_file) or bool(
        place.user
    ) != bool(place.password_file):
        raise _wrong('sasl, user and password-file go together', '')
    if place.sasl == 'plain' and not tls:
        raise _wrong(
            'sasl=plain would send the password for everybody to read',
            'add security=ssl, or use sasl=scram-sha-512',
        )


def _wrong(why: str, hint: str) -> SettingError:
    return SettingError(f'[fleet] ledger = kafka://...: {why}', hint)
