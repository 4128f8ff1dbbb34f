"""The directory in LDAP; see ``core/ldapconf.py`` for how it is configured.

Each question goes to the first server that answers, on one connection, with
certificates verified.  All of it together, connecting included, may take
``patience`` seconds, whatever servers do with their time: sshd and the
person wait for the answer.  What arrives is trusted no further than a file
would be: names, groups and keys outside the grammar are passed over, and two
people of one name are nobody.

A key is looked up as it stands, then where the memory says, and then among
all keys: LDAP cannot search for a part of a value, and most people keep a
comment behind their key.  All keys are read at most every ``FRESH`` seconds
where there is a memory.
"""

from __future__ import annotations

import math
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

import ldap3
from ldap3.core.exceptions import LDAPException
from ldap3.utils.conv import escape_filter_chars

from ..core import access, ldapconf, names, sshkey
from ..core.errors import DirectoryUnavailable, FleetError, SettingError
from ..core.ldapconf import Server
from ..ports import Directory, User
from . import tomlfile
from .clock_system import SystemClock
from .directory_memory import Memory, Remembering

FRESH = 10.0
DAY = 86400.0
_PAGE = 500

T = TypeVar('T')
_Found = tuple[str, dict[str, list[bytes]]]


def open_ldap(rest: str) -> Directory:
    """Return the directory at ``ldap://rest``; raises SettingError."""
    if rest.startswith('/'):
        return opened(_from_file(rest))
    return opened(ldapconf.from_url('ldap', rest))


def open_ldaps(rest: str) -> Directory:
    """Return the directory at ``ldaps://rest``; raises SettingError."""
    return opened(ldapconf.from_url('ldaps', rest))


def opened(conf: ldapconf.Directory) -> Directory:
    """Return the directory, with a memory where one is configured."""
    if not conf.cache:
        return LdapDirectory(conf)
    memory = Memory(conf.cache, conf.most, SystemClock())
    return Remembering(LdapDirectory(conf, memory), memory, conf.remember)


def _from_file(path: str) -> ldapconf.Directory:
    try:
        return ldapconf.from_table(tomlfile.loads(Path(path).read_bytes()))
    except OSError as problem:
        raise SettingError(
            f'cannot read {path}: {problem.strerror}',
            'correct [fleet] directory, or the owner and mode of that file',
        ) from None
    except FleetError as problem:
        raise SettingError(f'{path}: {problem}', problem.hint) from None


class _Tls(ldap3.Tls):  # type: ignore[misc]
    """TLS as the standard library has it: certificate and name verified.

    What ldap3 does of its own compares names with a function that Python has
    no longer, and knows no addresses.
    """

    def __init__(self, host: str, ca: str) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED)
        self._host = host
        self._context = ssl.create_default_context(cafile=ca or None)

    def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:
        """Put TLS around the socket of a connection; raises OSError."""
        connection.socket = self._context.wrap_socket(
            connection.socket, server_hostname=self._host
        )


class LdapDirectory:
    """A directory in LDAP; ``memory`` is where hints are kept, if anywhere."""

    def __init__(
        self, conf: ldapconf.Directory, memory: Memory | None = None
    ) -> None:
        self._conf = conf
        self._memory = memory
        self._link: Any = None

    def user(self, name: str) -> User | None:
        """Return the user of that name, or None; DirectoryUnavailable."""
        if not _is_person(name):
            return None
        return self._within(
            f'look up {name}', lambda: self._one(self._conf.names.name, name)
        )

    def owner(self, key: str) -> User | None:
        """Return the user who holds a public key (``type base64``)."""
        canonical = sshkey.canonical(key)
        if canonical is None:
            return None
        return self._within('look up a key', lambda: self._holder(canonical))

    def users(self) -> Iterator[User]:
        """Yield every user, by name."""
        found = self._all()
        groups = self._within('read all groups', self._all_groups)
        for where, values in found:
            user = self._user(where, values, groups)
            if user is not None:
                yield user

    def seen(self, name: str) -> None:
        """Note that a user has logged in, at most once a day; no errors."""
        write, memory = self._conf.write, self._memory
        if write is None or memory is None or not _is_person(name):
            return
        last = memory.noted(f'seen {name}')
        if last is not None and last < DAY:
            return
        # Noted first: a server that refuses is not asked all day.
        memory.note(f'seen {name}')
        with suppress(DirectoryUnavailable, SettingError):
            self._within(
                f'note the login of {name}', lambda: self._write(write, name)
            )

    def close(self) -> None:
        """Let go of the connection; harmless when repeated."""
        link, self._link = self._link, None
        if link is not None:
            _hang_up(link)

    # -- questions -----------------------------------------------------------

    def _holder(self, key: str) -> User | None:
        by_key = self._one(self._conf.names.key, key)
        if by_key is not None:
            return by_key if key in by_key.keys else None
        hinted = self._memory.holder(key) if self._memory else None
        if hinted is not None:
            user = self._one(self._conf.names.name, hinted)
            if user is not None and key in user.keys:
                return user
        if self._memory is not None:
            last = self._memory.noted('keys')
            if last is not None and last < FRESH:
                return None
        return self._among_all(key)

    def _among_all(self, key: str) -> User | None:
        held: dict[str, str] = {}
        twice = set()
        for where, values in self._search(
            self._conf.names.people_base, self._conf.names.people
        ):
            user = self._user(where, values, {})
            for one in user.keys if user else ():
                if user and held.setdefault(one, user.name) != user.name:
                    twice.add(one)
        for one in twice:
            # Whoever that is, it cannot be told.
            del held[one]
        if self._memory is not None:
            self._memory.note('keys')
            self._memory.hold(held)
        name = held.get(key)
        return self._one(self._conf.names.name, name) if name else None

    def _one(self, attribute: str, value: str) -> User | None:
        """Return the one user with that value, and the groups of it."""
        its = self._conf.names
        asked = f'(&{its.people}({attribute}={escape_filter_chars(value)}))'
        found = [
            (where, user)
            for where, values in self._search(its.people_base, asked)
            if (user := self._user(where, values, {})) is not None
        ]
        if attribute == its.name:
            # LDAP does not tell upper from lower case.
            found = [
                (where, user) for where, user in found if user.name == value
            ]
        if len(found) != 1:
            return None
        where, user = found[0]
        member = where if its.member_is_dn else user.name
        asked = f'(&{its.groups}({its.member}={escape_filter_chars(member)}))'
        groups = [
            name
            for _where, values in self._search(its.groups_base, asked)
            for name in _texts(values, its.group)
        ]
        return replace(user, groups=_groups(groups))

    def _all(self) -> list[_Found]:
        its = self._conf.names
        return self._within(
            'read all people',
            lambda: sorted(
                self._search(its.people_base, its.people),
                key=lambda one: _texts(one[1], its.name),
            ),
        )

    def _all_groups(self) -> dict[str, set[str]]:
        its = self._conf.names
        found: dict[str, set[str]] = {}
        for _where, values in self._search(its.groups_base, its.groups):
            for member in _texts(values, its.member):
                found.setdefault(member, set()).update(
                    _texts(values, its.group)
                )
        return found

    def _user(
        self,
        where: str,
        values: dict[str, list[bytes]],
        groups: dict[str, set[str]],
    ) -> User | None:
        its = self._conf.names
        called = _texts(values, its.name)
        if len(called) != 1 or not _is_person(called[0]):
            return None
        name = called[0]
        keys = []
        for text in _texts(values, its.key):
            with suppress(sshkey.KeyRefused):
                keys.append(sshkey.parse(text))
        enabled = not its.enabled or _texts(values, its.enabled) == ['TRUE']
        mine = groups.get(where if its.member_is_dn else name, set())
        return User(name, _groups(mine), enabled, tuple(keys))

    def _write(self, write: ldapconf.Access, name: str) -> None:
        its = self._conf.names
        link = self._connected(write, read_only=False)
        try:
            base = _under(its.people_base, self._conf.base)
            asked = f'(&{its.people}({its.name}={escape_filter_chars(name)}))'
            link.search(base, asked, attributes=[its.name])
            (entry,) = [
                one for one in link.response if one['type'] == 'searchResEntry'
            ]
            now = datetime.now(timezone.utc).strftime('%Y%m%d%H%M%SZ')
            link.modify(
                entry['dn'], {its.accessed: [(ldap3.MODIFY_REPLACE, [now])]}
            )
        finally:
            _hang_up(link)

    # -- the wire ------------------------------------------------------------

    def _search(self, place: str, asked: str) -> list[_Found]:
        its = self._conf.names
        wanted = [its.name, its.key, its.group, its.member]
        wanted += [one for one in (its.enabled,) if one]
        if self._link is None:
            self._link = self._connected(self._conf.access, read_only=True)
        entries = self._link.extend.standard.paged_search(
            _under(place, self._conf.base),
            asked,
            attributes=wanted,
            paged_size=_PAGE,
            generator=False,
        )
        return [
            (entry['dn'], dict(entry['raw_attributes']))
            for entry in entries
            if entry['type'] == 'searchResEntry'
        ]

    def _connected(self, access: ldapconf.Access, read_only: bool) -> Any:
        """Return a connection to the first server that has one for us."""
        said = ''
        secret = _secret(access.password_file) if access.bind else None
        for server in access.servers:
            try:
                return self._connection(server, access.bind, secret, read_only)
            except (LDAPException, OSError) as problem:
                said = f'{server}: {problem}'
        raise OSError(said)

    def _connection(
        self, server: Server, bind: str, secret: str | None, read_only: bool
    ) -> Any:
        share = self._conf.patience / len(self._conf.access.servers)
        place = ldap3.Server(
            server.host,
            server.port,
            use_ssl=server.tls,
            tls=_Tls(server.host, self._conf.ca),
            get_info=ldap3.NONE,
            connect_timeout=share,
        )
        link = ldap3.Connection(
            place,
            bind or None,
            secret,
            read_only=read_only,
            # Whole seconds; who waits is spared the rest by _within.
            receive_timeout=max(1, math.ceil(share)),
            raise_exceptions=True,
            check_names=False,
            auto_referrals=False,
        )
        try:
            link.open()
            if not server.tls and not self._conf.unprotected:
                link.start_tls()
            link.bind()
        except BaseException:
            _hang_up(link)
            raise
        return link

    def _within(self, doing: str, ask: Callable[[], T]) -> T:
        """Return the answer if it comes in time; DirectoryUnavailable."""
        answers: list[T] = []
        problems: list[BaseException] = []

        def be() -> None:
            try:
                answers.append(ask())
            except BaseException as problem:  # noqa: BLE001 raised below
                problems.append(problem)

        thread = threading.Thread(target=be, daemon=True)
        thread.start()
        thread.join(self._conf.patience)
        if answers:
            return answers[0]
        # What may still come is of no use to the next question.
        self.close()
        said = 'no answer in time'
        if problems:
            if isinstance(problems[0], FleetError):
                raise problems[0]
            said = f'{problems[0]}' or type(problems[0]).__name__
        raise DirectoryUnavailable(
            f'cannot {doing} in the directory: {said}',
            'try again in some seconds; see whether the LDAP servers answer',
        )


def _secret(path: str) -> str:
    try:
        return Path(path).read_text().rstrip('\n')
    except (OSError, ValueError) as problem:
        raise SettingError(
            f'cannot read the password in {path}: {problem}',
            'correct password-file, or the owner and mode of that file',
        ) from None


def _hang_up(link: Any) -> None:
    """Close a connection, from which another thread may be reading.

    The library would say goodbye first, and wait.
    """
    plain = link.socket
    if plain is not None:
        with suppress(OSError):
            plain.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            plain.close()


def _under(place: str, base: str) -> str:
    return f'{place},{base}' if place else base


def _texts(values: dict[str, list[bytes]], name: str) -> list[str]:
    lower = name.lower()
    return [
        one.decode('utf-8', 'replace')
        for attribute, some in values.items()
        if attribute.lower() == lower
        for one in some
    ]


def _groups(found: list[str] | set[str]) -> frozenset[str]:
    kept = set()
    for name in found:
        with suppress(FleetError):
            kept.add(access.group(name))
    return frozenset(kept)


def _is_person(name: str) -> bool:
    try:
        return names.person(name) == name
    except FleetError:
        return False
