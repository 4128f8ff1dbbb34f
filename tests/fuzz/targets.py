"""What is fed with made-up input, and what must hold whatever it is.

Each target takes bytes and returns whether they were accepted.  That a
defect was found is any exception: what code under test must not raise, and
``AssertionError`` for the rest.
"""

from __future__ import annotations

import base64
import io
import json
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from mercurial import encoding
from mercurial import ui as uimod

from fleetpash import grammar, pash, serving, session, sshkeys
from hgext3rd.fleet import adapters, settings
from hgext3rd.fleet.adapters import directory_file, directory_ldap
from hgext3rd.fleet.core import (
    access,
    entry,
    ldapconf,
    names,
    sshcert,
    sshkey,
)
from hgext3rd.fleet.core.errors import (
    EntryUnreadable,
    FleetError,
    NameRefused,
    SettingError,
)
from hgext3rd.fleet.core.ledger import RepoState, fold
from hgext3rd.fleet.core.sshkey import KeyRefused
from hgext3rd.fleet.ports import Directory, Record, User
from hgext3rd.warmserver import request as packets
from testlib import sshcert as certificates

from . import oracle, watch

Target = Callable[[bytes], bool]


def command(data: bytes) -> bool:
    """The grammar takes what the oracle takes, and means what it says."""
    text = data.decode('utf-8', 'surrogateescape')
    asked = grammar.parse(text)
    accepted = not isinstance(asked, grammar.Refused)
    assert accepted == oracle.accepts(text), (accepted, text)
    if isinstance(asked, grammar.Refused):
        assert asked.reason
        assert asked.hint
    else:
        assert grammar.parse(grammar.render(asked)) == asked
    return accepted


def name(data: bytes) -> bool:
    """A name that is taken stays below the folder of the repositories."""
    text = data.decode('utf-8', 'surrogateescape')
    try:
        assert names.repository(text) == text
    except NameRefused:
        return False
    parts = Path('/root', text).parts
    assert '/'.join(parts) == f'//root/{text}'
    assert not {'.', '..', '.hg'} & {part.lower() for part in parts[2:]}
    assert text[0] not in '-.~$'
    assert text.isascii()
    assert text.isprintable()
    return True


class _Known:
    """A directory of one person, who is not in any group."""

    def user(self, name: str) -> User | None:
        return User(name, frozenset({'staff'}), True, ())

    def owner(self, key: str) -> User | None:
        return None

    def users(self) -> Iterator[User]:
        yield from ()

    def seen(self, name: str) -> None:
        pass

    def close(self) -> None:
        pass


class _Server:
    """A server without a repository: all that is asked for is refused."""

    def __init__(self) -> None:
        self.folder = tempfile.mkdtemp(prefix='hgfleet-fuzz.')
        ui = uimod.ui()
        settings.declare(ui)
        for item, value in (
            (b'root', self.folder.encode()),
            (b'audit', b'file:///dev/null'),
            (b'directory', b'file:///made/up'),
        ):
            ui.setconfig(b'fleet', item, value)
        ui.setconfig(b'access', b'**', b'staff:admin, *:read')
        self.ui = ui


def _opened(url: str, told: Any = None) -> Directory:
    return _Known()


_server: list[_Server] = []


def a_session(data: bytes) -> bool:
    """A session starts nothing, and says why it does nothing."""
    if not _server:
        _server.append(_Server())
    ui: Any = _server[0].ui.copy()
    ui.fout, ui.ferr = io.BytesIO(), io.BytesIO()
    person, _nul, asked = data.partition(b'\0')
    asked = asked.replace(b'\0', b'')  # no variable can hold it
    with (
        mock.patch.object(adapters, 'open_directory', _opened),
        mock.patch.dict(encoding.environ, {b'HGFLEET_COMMAND': asked}),
        watch.watching(),
    ):
        code = session.run(ui, person.decode('utf-8', 'surrogateescape'))
    said, problem = ui.fout.getvalue(), ui.ferr.getvalue()
    assert b'Traceback' not in said + problem
    assert not list(Path(_server[0].folder).iterdir())
    if code == 0:
        # There is nothing to serve, so only these say anything.
        text = asked.decode('utf-8', 'surrogateescape')
        assert isinstance(grammar.parse(text), grammar.Banner | grammar.Help)
        assert said
        return True
    assert code in (session.REFUSED, serving.LATER), code
    assert problem.startswith(b'hgfleet: ')
    return False


def environment(data: bytes) -> bool:
    """Nothing of a client's environment gets through but what sshd says."""
    outer = {}
    for pair in data.split(b'\0'):
        key, equals, value = pair.partition(b'=')
        if key and equals:
            outer[key] = value
    inner = pash.environment('/etc/hgfleet/primary.rc', outer)
    ours = {*pash.KEPT, b'PATH', b'LANG', b'HGENCODING', b'HGPLAIN'}
    assert set(inner) <= ours | {b'HGRCPATH', b'HGFLEET_COMMAND'}
    assert inner[b'HGRCPATH'] == b'/etc/hgfleet/primary.rc'
    assert inner[b'PATH'] == b'/usr/local/bin:/usr/bin:/bin'
    asked = outer.get(b'SSH_ORIGINAL_COMMAND', b'')
    assert inner[b'HGFLEET_COMMAND'] == asked
    return bool(asked)


def packet(data: bytes) -> bool:
    """What the warm server takes is what pash can have said."""
    try:
        asked = packets.decode(data)
    except packets.Nonsense:
        return False
    assert set(asked.kept) <= packets.KEPT
    assert 0 <= asked.umask <= 0o777
    assert packets.decode(packets.encode(asked)) == asked
    return True


_LENGTHS = struct.Struct('>II')


def record(data: bytes) -> bool:
    """An entry is read, or halts its repository; nothing else happens."""
    if data[:1] == b'+':
        # Most of what is made up would fail at the checksum.
        data = _sealed(data[1:])
    key = 'demo'
    with_length = data.partition(b'"repo":"')[2].partition(b'"')[0]
    key = with_length.decode('utf-8', 'replace') or key
    judged = fold(RepoState(), Record(0, key, data))
    assert judged.record.offset == 0
    try:
        found = entry.decode(key, data)
    except EntryUnreadable:
        return False
    assert found.key == key
    assert entry.decode(key, entry.encode(found)) == found
    return True


def _sealed(body: bytes) -> bytes:
    """Return a record with this body and the right length and checksum."""
    model = entry.encode(
        entry.Entry(entry.Kind.CREATE, 'demo', 1, 0, 'n', 'u', 0)
    )
    head = model[: model.index(b'{') - _LENGTHS.size]
    return head + _LENGTHS.pack(len(body), zlib.crc32(body)) + body


def users(data: bytes) -> bool:
    """A file of users is read, or refused with a reason."""
    try:
        found = directory_file.parse(data, 'users.toml')
    except SettingError:
        return False
    for user in found.values():
        _check_user(user)
    return bool(found)


class _Answering(directory_ldap.LdapDirectory):
    """A directory whose server says what it is given."""

    said: list[tuple[str, dict[str, list[bytes]]]]

    def _search(
        self, place: str, asked: str
    ) -> list[tuple[str, dict[str, list[bytes]]]]:
        return self.said


_ldap: list[_Answering] = []


def ldap(data: bytes) -> bool:
    """What a directory server answers makes proper users, or none."""
    if not _ldap:
        conf = ldapconf.from_url('ldaps', 'ldap.example.org/dc=example')
        _ldap.append(_Answering(conf, None))
    its = _ldap[0]
    called = its._conf.names
    attributes = (called.name, called.key, called.group, called.enabled)
    found: dict[str, list[bytes]] = {}
    for number, value in enumerate(data.split(b'\0')):
        found.setdefault(attributes[number % 4] or 'other', []).append(value)
    its.said = [('uid=x,dc=example,dc=org', found)]
    first = data.partition(b'\0')[0].decode('utf-8', 'replace')
    user = its.user(first)
    if user is None:
        return False
    assert user.name == first
    _check_user(user)
    return True


def _check_user(user: User) -> None:
    assert names.person(user.name) == user.name
    for group in user.groups:
        assert access.group(group) == group
    for key in user.keys:
        assert sshkey.parse(key) == key
        line = sshkeys.line('/bin/hg', '/etc/hgrc', user.name, key)
        assert line.count('\n') == 1
        assert line.endswith('\n')
        assert line.startswith('restrict,command="')


def certificate(data: bytes) -> bool:
    """A certificate is read or refused; only a user's name can be a user."""
    text = data.decode('utf-8', 'surrogateescape')
    if data[:1] == b'+':
        # Most of what is made up is no base64.
        kind = 'ssh-ed25519-cert-v01@openssh.com'
        text = f'{kind} {base64.b64encode(data[1:]).decode()}'
    try:
        found = sshcert.parse(text)
        people = sshcert.candidates(found)
    except KeyRefused:
        return False
    assert len(people) <= sshcert.MOST_PRINCIPALS
    for person in people:
        assert names.person(person) == person
        assert person in found.principals
    try:
        holder = sshcert.holder(dict.fromkeys(people, True))
    except KeyRefused:
        return False
    return [holder] == list(people)


def rules(data: bytes) -> bool:
    """Rules of access are read, or refused; and they say only yes or no."""
    text = data.decode('utf-8', 'surrogateescape')
    lines = [line.partition('=') for line in text.split('\n')]
    try:
        read = access.Rules.parse(
            (glob.strip(), grants) for glob, _equals, grants in lines
        )
    except FleetError:
        return False
    asked = [
        access.decide(read, 'ann', ('staff',), 'users/ann/x', verb).allowed
        for verb in access.Verb
    ]
    assert asked == sorted(asked, reverse=True)
    return True


TARGETS: dict[str, tuple[int, Target]] = {
    'command': (30, command),
    'name': (15, name),
    'environment': (12, environment),
    'packet': (12, packet),
    'entry': (10, record),
    'certificate': (4, certificate),
    'rules': (6, rules),
    'ldap': (5, ldap),
    'users': (3, users),
    'session': (3, a_session),
}
"""Each target, and how many of a hundred inputs it gets."""

SEEDS: dict[str, tuple[bytes, ...]] = {
    'command': (
        b'hg -R demo serve --stdio',
        b"'hg:for=a@b.c' -R '/users/ann/a+b/' serve --stdio",
        b'clone --json new users/ann/x',
        'edit demo description Übung'.encode(),
        b'edit --json /demo delete YES',
        b'edit demo publishing yes',
        b'repo-group --json demo',
        b'repo-config demo/',
        b'help --json',
    ),
    'name': (b'demo', b'users/ann_b.c/x+y', b'a.hg', b'../x', b'healthz/x'),
    'environment': (
        b'SSH_ORIGINAL_COMMAND=hg\0SSH_CLIENT=1\0HGPLAIN=\0LD_PRELOAD=x',
    ),
    'packet': (
        b'hgfleet 1\x0022\0ann\0hg -R demo serve --stdio\0HOME=/x',
        b'hgfleet 1\x00777\0a\0\0SSH_CLIENT=1\0SSH_CONNECTION=2',
    ),
    'entry': (
        b'+'
        + json.dumps(
            {
                **{'kind': 'push', 'repo': 'demo', 'seq': 1, 'prev': 0},
                **{'node': 'n', 'user': 'u', 'time': 0, 'push_id': 0},
                **{'changesets': 1, 'digest': '', 'source': '', 'text': None},
                'payload': {'sha256': '0', 'size': 1, 'inline': True},
            },
            separators=(',', ':'),
        ).encode(),
    ),
    'certificate': (
        certificates.made().encode(),
        b'+' + base64.b64decode(certificates.made().split()[1]),
    ),
    'rules': (b'users/{user}/** = *:admin\n** = staff:write, @x:act',),
    'ldap': (
        b'ann\0ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAA'
        b'AAAAAAAAAAAAAAAAAAAAAA\0staff\0TRUE',
    ),
    'users': (b'[users.ann]\ngroups = ["staff"]\nkeys = []\nenabled = true\n',),
    'session': (
        b'ann\0help',
        b'ann\0hg -R demo serve --stdio',
        b'a@b.c\0clone x demo',
        b'ann\0edit demo delete YES',
    ),
}
WORDS: tuple[bytes, ...] = (
    *(b'hg -R ', b' serve --stdio', b' --json', b'hg:for=', b'clone ', b'help'),
    *(b'edit ', b' description ', b' publishing ', b' obsolescence ', b'yes'),
    *(b' delete YES', b'repo-group ', b'repo-config ', b"'", b'/', b'..'),
    *(b'.hg', b'.git', b'--debugger', b'--config', b'\\', b'$(id)', b'`id`'),
    *(b';id', b'\n', b'\0', b'healthz', b'users/', b'\xe2\x80\xae', b'demo'),
    *(b'HOME=', b'SSH_CLIENT=', b'SSH_ORIGINAL_COMMAND=', b'hgfleet 1\0'),
    *(b'"kind":"fence"', b'"seq":', b'null', b'[users.', b'{user}', b':act'),
    *(b'ssh-ed25519 ', b'restrict,', b'"', b'**', b'@', b'*:read'),
)
