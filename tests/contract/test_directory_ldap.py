"""The directory in LDAP, on a real slapd, and what outlives an outage."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import ldap3
import pytest

from hgext3rd.fleet.adapters import directory_ldap, open_directory
from hgext3rd.fleet.core.errors import DirectoryUnavailable, SettingError
from hgext3rd.fleet.ports import Directory, User
from testlib import slapd
from testlib.slapd import BASE, READER, WRITER, Ldap

from .test_directory import ANN, BOB, ZOE, key

EVE = User('eve', frozenset(), True, (key(5),))


_made: list[Directory] = []
_roots: list[ldap3.Connection] = []


def at(url: str, told: Callable[[str, float], None] | None = None) -> Directory:
    """Open a directory, to be closed when the test has ended."""
    _made.append(open_directory(url, told))
    return _made[-1]


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while _made:
        _made.pop().close()
    while _roots:
        _roots.pop().socket.close()


def person(user: User) -> dict[str, list[str]]:
    """Return the attributes of a user, keys with comments."""
    return {
        'mail': [user.name],
        'uid': [user.name],
        'sshPublicKey': [f'{one} a comment' for one in user.keys],
        'hgAccountEnabled': [str(user.enabled).upper()],
    }


def toml(server: Ldap, folder: Path, *more: str, url: str = '') -> str:
    """Write a configuration; return the URL that names it."""
    path = folder / 'ldap.toml'
    lines = [
        f'servers = ["{url or server.url}"]',
        f'base = "{BASE}"',
        f'ca = "{server.ca}"',
        'preset = "mozilla"',
        f'cache = "{folder}/proven.db"',
        f'bind = "{READER}"',
        f'password-file = "{server.folder}/secret"',
        'patience = 30',
    ]
    # What stands before the first table replaces what is usual.
    own = itertools.takewhile(lambda line: not line.startswith('['), more)
    taken = {line.split(' = ')[0] for line in own}
    kept = [line for line in lines if line.split(' = ')[0] not in taken]
    path.write_text('\n'.join([*kept, *more]))
    return f'ldap://{path}'


NAMES = ('[names]', 'groups = "(objectClass=posixGroup)"')


def serving(folder: Path, users: list[User]) -> Ldap:
    """Return a server with these people in it, to be entered."""
    groups: dict[str, list[str]] = {}
    for user in users:
        for group in user.groups:
            groups.setdefault(group, []).append(user.name)
    place = folder / 'slapd'
    place.mkdir()
    return Ldap(place, [person(one) for one in users], groups)


@pytest.fixture(scope='module')
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ldap]:
    folder = tmp_path_factory.mktemp('shared')
    with _had(serving(folder, [ANN, BOB, ZOE, EVE])) as server:
        yield server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Ldap]:
    with _had(serving(tmp_path, [ANN, BOB])) as server:
        yield server


def _had(server: Ldap) -> Ldap:
    try:
        slapd.program()
    except slapd.Missing as problem:
        pytest.skip(str(problem))
    return server


def test_users(shared: Ldap, tmp_path: Path) -> None:
    directory = at(toml(shared, tmp_path, *NAMES))
    assert list(directory.users()) == [ZOE, ANN, BOB, EVE]
    assert directory.user('ann') == ANN
    assert directory.user('bob@example.org') == BOB
    assert directory.user('Zoe') == ZOE


@pytest.mark.parametrize(
    'name',
    [
        *('', 'nobody', 'Ann', 'ann ', '*', 'a*', 'a\0', 'é', 'ann)(uid=*'),
        *('\\', '\\2a', '(', 'x' * 200, 'ann\n'),
    ],
)
def test_no_such_user(shared: Ldap, tmp_path: Path, name: str) -> None:
    assert at(toml(shared, tmp_path)).user(name) is None


def test_owners(shared: Ldap, tmp_path: Path) -> None:
    directory = at(toml(shared, tmp_path, *NAMES))
    # Found among all, then where the memory says.
    for _again in range(2):
        assert directory.owner(key(1)) == ANN
        assert directory.owner(key(2)) == ANN
        assert directory.owner(f'{key(3)} any comment') == BOB


@pytest.mark.parametrize(
    'presented',
    ['', 'x', 'ssh-ed25519', key(9), key(1)[:-4], 'ssh-dss AAAA', '*', '\0'],
)
def test_nobodys_key(shared: Ldap, tmp_path: Path, presented: str) -> None:
    assert at(toml(shared, tmp_path)).owner(presented) is None


def test_without_a_memory(shared: Ldap, tmp_path: Path) -> None:
    directory = at(toml(shared, tmp_path, 'cache = ""', *NAMES))
    assert directory.owner(key(1)) == ANN
    assert directory.user('ann') == ANN


def test_groups_that_name_people_by_where_they_are(
    shared: Ldap, tmp_path: Path
) -> None:
    more = ('[names]', 'groups = "(objectClass=groupOfNames)"')
    where = ('member = "member"', 'member-is-dn = true')
    directory = at(toml(shared, tmp_path, *more, *where))
    ann = directory.user('ann')
    assert ann is not None
    assert ann.groups == frozenset()


def test_starttls(shared: Ldap, tmp_path: Path) -> None:
    url = toml(shared, tmp_path, *NAMES, url=shared.starttls)
    assert at(url).user('ann') == ANN


def test_unprotected_only_when_told_so(shared: Ldap, tmp_path: Path) -> None:
    said: list[object] = []
    (tmp_path / 'bare').mkdir()
    with _mute_tls(shared, said) as port:
        address = f'ldap://localhost:{port}'
        refused = at(toml(shared, tmp_path, url=address))
        with pytest.raises(DirectoryUnavailable):
            refused.user('ann')
        told = toml(
            shared,
            tmp_path / 'bare',
            'unprotected = true',
            *NAMES,
            url=address,
        )
        assert at(told).user('ann') == ANN


def test_a_certificate_of_somebody_else(shared: Ldap, tmp_path: Path) -> None:
    other = tmp_path / 'other'
    other.mkdir()
    slapd.certify(other, 'subjectAltName=DNS:localhost')
    wrong = at(toml(shared, tmp_path, f'ca = "{other}/ca.pem"'))
    with pytest.raises(DirectoryUnavailable, match='certificate'):
        wrong.user('ann')


def test_a_certificate_for_another_name(tmp_path: Path) -> None:
    with _had(serving(tmp_path, [ANN])) as server:
        server.stop()
        slapd.certify(server.folder, 'subjectAltName=DNS:ldap.example.org')
        server.start()
        wrong = at(toml(server, tmp_path))
        with pytest.raises(DirectoryUnavailable):
            wrong.user('ann')


def test_the_next_server(shared: Ldap, tmp_path: Path) -> None:
    servers = f'servers = ["ldaps://localhost:1", "{shared.url}"]'
    url = toml(shared, tmp_path, servers, *NAMES)
    assert at(url).user('ann') == ANN


def test_a_wrong_password(shared: Ldap, tmp_path: Path) -> None:
    (tmp_path / 'wrong').write_text('guess')
    secret = f'password-file = "{tmp_path}/wrong"'
    with pytest.raises(DirectoryUnavailable, match='invalidCredentials'):
        at(toml(shared, tmp_path, secret)).user('ann')


# While it is away.


def test_who_was_proven_gets_in(server: Ldap, tmp_path: Path) -> None:
    url = toml(server, tmp_path, *NAMES)
    first = at(url)
    assert first.user('ann') == first.owner(key(1)) == ANN
    assert first.user('bob@example.org') == BOB
    server.stop()
    told: list[str] = []
    later = at(url, lambda name, age: told.append(name))
    assert later.user('ann') == ANN
    assert later.owner(key(1)) == ANN
    assert told == ['ann', 'ann']
    # Disabled, and never seen.
    for name in ('bob@example.org', 'nobody'):
        with pytest.raises(DirectoryUnavailable):
            later.user(name)
    with pytest.raises(DirectoryUnavailable):
        later.owner(key(3))


def test_not_for_ever(server: Ldap, tmp_path: Path) -> None:
    url = toml(server, tmp_path, 'remember = 0.2')
    assert at(url).user('ann')
    server.stop()
    time.sleep(0.3)
    with pytest.raises(DirectoryUnavailable):
        at(url).user('ann')


def test_who_is_gone_is_forgotten(server: Ldap, tmp_path: Path) -> None:
    url = toml(server, tmp_path)
    assert at(url).user('ann')
    _as_root(server).delete(f'cn=p0,ou=people,{BASE}')
    assert at(url).user('ann') is None
    server.stop()
    with pytest.raises(DirectoryUnavailable):
        at(url).user('ann')


@pytest.mark.parametrize('how', ['frozen', 'rubbish', 'trickle'])
def test_slow_or_talking_nonsense(
    how: str, server: Ldap, tmp_path: Path
) -> None:
    assert at(toml(server, tmp_path, *NAMES)).user('ann') == ANN
    short = ('patience = 4', *NAMES)
    with _ill(how, server) as address:
        later = at(toml(server, tmp_path, *short, url=address or server.url))
        assert later.user('ann') == ANN
        # Not asked again for a while: nobody waits a second time.
        began = time.monotonic()
        assert later.user('ann') == ANN
        with pytest.raises(DirectoryUnavailable) as caught:
            later.user('eve')
        assert time.monotonic() - began < 4
        assert caught.value.retry


def test_a_memory_that_others_can_write_is_none(
    server: Ldap, tmp_path: Path
) -> None:
    url = toml(server, tmp_path)
    assert at(url).user('ann')
    (tmp_path / 'proven.db').chmod(0o666)
    server.stop()
    with pytest.raises(DirectoryUnavailable):
        at(url).user('ann')


def test_the_memory_is_bounded(server: Ldap, tmp_path: Path) -> None:
    url = toml(server, tmp_path, 'most = 1')
    for user in (ANN, EVE):
        _put(server, user) if user is EVE else None
        assert at(url).user(user.name)
    server.stop()
    assert at(url).user('eve')
    with pytest.raises(DirectoryUnavailable):
        at(url).user('ann')


# Last access.


def test_access_is_noted_once_a_day(server: Ldap, tmp_path: Path) -> None:
    write = (
        '[write]',
        f'servers = ["{server.url}"]',
        f'bind = "{WRITER}"',
        f'password-file = "{server.folder}/secret"',
    )
    url = toml(server, tmp_path, *write)
    at(url).seen('ann')
    root = _as_root(server)
    first = _accessed(root)
    assert first.endswith('Z')
    root.modify(
        f'cn=p0,ou=people,{BASE}',
        {'hgAccessDate': [(ldap3.MODIFY_REPLACE, ['then'])]},
    )
    at(url).seen('ann')
    assert _accessed(root) == 'then'
    server.stop()
    at(url).seen('bob@example.org')


def _accessed(root: ldap3.Connection) -> str:
    root.search(BASE, '(mail=ann)', attributes=['hgAccessDate'])
    (value,) = root.response[0]['attributes']['hgAccessDate'] or ['']
    return str(value) if isinstance(value, str) else value


def _as_root(server: Ldap) -> ldap3.Connection:
    """Return a connection that may change everything."""
    server.stop()
    config = server.folder / 'slapd.conf'
    config.write_text(
        config.read_text().replace(
            'directory ', f'rootpw "{slapd.SECRET}"\ndirectory '
        )
    )
    server.start()
    root = ldap3.Connection(
        ldap3.Server('127.0.0.1', server.plain, get_info=ldap3.NONE),
        f'cn=root,{BASE}',
        slapd.SECRET,
        auto_bind=True,
        raise_exceptions=True,
    )
    _roots.append(root)
    return root


def _put(server: Ldap, user: User) -> None:
    kinds = ['inetOrgPerson', 'ldapPublicKey', 'hgAccount']
    _as_root(server).add(
        f'cn={user.name},ou=people,{BASE}',
        kinds,
        {**person(user), 'sn': ['x']},
    )


class _ill:
    """Within, a server that is no good; where, unless it is the old one."""

    def __init__(self, how: str, server: Ldap) -> None:
        self._how = how
        self._server = server
        self._listener: socket.socket | None = None

    def __enter__(self) -> str | None:
        if self._how == 'frozen':
            self._server.freeze()
            return None
        self._listener = socket.create_server(('127.0.0.1', 0))
        threading.Thread(target=self._talk, daemon=True).start()
        return f'ldap://localhost:{self._listener.getsockname()[1]}'

    def __exit__(self, *_error: object) -> None:
        if self._listener is not None:
            self._listener.close()

    def _talk(self) -> None:
        assert self._listener is not None
        try:
            while True:
                link, _address = self._listener.accept()
                threading.Thread(
                    target=self._say, args=[link], daemon=True
                ).start()
        except OSError:
            return

    def _say(self, link: socket.socket) -> None:
        with link, contextlib.suppress(OSError):
            link.recv(1000)
            if self._how == 'rubbish':
                link.sendall(b'HTTP/1.1 200 OK\r\n\r\n' * 100)
                return
            link.sendall(b'\x30\x84\x7f\xff\xff\xff')
            while True:
                link.sendall(b'\0')
                time.sleep(0.1)


class _mute_tls:
    """Within, a way to the server on which StartTLS is unknown."""

    def __init__(self, server: Ldap, said: list[object]) -> None:
        self._server = server

    def __enter__(self) -> int:
        self._listener = socket.create_server(('127.0.0.1', 0))
        threading.Thread(target=self._accept, daemon=True).start()
        return int(self._listener.getsockname()[1])

    def __exit__(self, *_error: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        try:
            while True:
                link, _address = self._listener.accept()
                there = socket.create_connection(
                    ('127.0.0.1', self._server.plain)
                )
                for one, other in ((link, there), (there, link)):
                    threading.Thread(
                        target=_pass, args=(one, other), daemon=True
                    ).start()
        except OSError:
            return


def _pass(one: socket.socket, other: socket.socket) -> None:
    try:
        while data := one.recv(10000):
            # The name of StartTLS, so that the server knows none.
            other.sendall(data.replace(b'1466.20037', b'1466.20999'))
    except OSError:
        pass
    finally:
        for each in (one, other):
            each.close()


# What the configuration may say.


@pytest.mark.parametrize(
    ('text', 'says'),
    [
        ('base = "dc=x"', 'servers is not a list'),
        ('servers = []\nbase = "dc=x"', 'servers is not a list'),
        ('servers = ["http://x"]\nbase = "dc=x"', "'http://x' is not the"),
        ('servers = ["ldaps://x:y"]\nbase = "dc=x"', 'is not the addr'),
        ('servers = ["ldaps://x"]', "'' is not a base"),
        ('servers = ["ldaps://x"]\nbase = "dc=x"\nbind = "cn=y"', 'belong'),
        ('servers = ["ldaps://x"]\nbase = "dc=x"\npreset = "y"', "preset 'y'"),
        ('servers = ["ldaps://x"]\nbase = "dc=x"\npatience = 0', 'patience is'),
        ('servers = ["ldaps://x"]\nbase = "dc=x"\nunprotected = 1', 'neither'),
        ('servers = ["ldaps://x"]\nbase = "dc=x"\n[names]\ny = "z"', 'names.y'),
        ('servers = ["ldaps://x"]\nbase = "dc=x"\nverify = false', "'verify'"),
        (
            'servers = ["ldaps://x"]\nbase = "dc=x"\n[write]\n'
            'servers = ["ldaps://x"]',
            'no attribute to write',
        ),
        ('nonsense', 'not TOML'),
    ],
)
def test_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / 'ldap.toml'
    path.write_text(text)
    with pytest.raises(SettingError) as caught:
        at(f'ldap://{path}')
    assert says in str(caught.value)
    assert str(caught.value).startswith(f'{path}: ')


def test_all_in_the_url() -> None:
    directory = at('ldaps://a,b:7/dc=example,dc=org')
    assert isinstance(directory, directory_ldap.LdapDirectory)
    for url in ('ldaps://', 'ldaps://host', 'ldap://host/base', 'ldap://'):
        with pytest.raises(SettingError):
            at(url)


def test_a_directory_is_one(shared: Ldap, tmp_path: Path) -> None:
    directory: Directory = at(toml(shared, tmp_path))
    assert directory.user('nobody') is None
