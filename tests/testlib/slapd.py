"""slapd, the real one: OpenLDAP with a small tree of people and groups.

``make test`` installs it as root on Debian; :class:`Missing` says that it is
not there.  :class:`Ldap` runs it in the foreground on free ports of the
loopback interface, with a certificate made for the occasion, and stops it by
its process id.  Its people have the attributes that hg.mozilla.org's have.
"""

from __future__ import annotations

import base64
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from .haproxy import free_ports

BASE = 'dc=example,dc=org'
READER, WRITER = f'cn=reader,{BASE}', f'cn=writer,{BASE}'
SECRET = 'open sesame'
START = 120.0
_SCHEMAS = Path('/etc/ldap/schema')

_OURS = """\
attributetype ( 1.3.6.1.4.1.24552.500.1.1.1.13 NAME 'sshPublicKey'
    EQUALITY octetStringMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 )
attributetype ( 1.3.6.1.4.1.55555.1.1 NAME 'hgAccountEnabled'
    EQUALITY booleanMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.7 SINGLE-VALUE )
attributetype ( 1.3.6.1.4.1.55555.1.2 NAME 'hgAccessDate'
    EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15
    SINGLE-VALUE )
objectclass ( 1.3.6.1.4.1.24552.500.1.1.2.0 NAME 'ldapPublicKey'
    SUP top AUXILIARY MAY ( sshPublicKey $ uid ) )
objectclass ( 1.3.6.1.4.1.55555.2.1 NAME 'hgAccount' SUP top AUXILIARY
    MAY ( hgAccountEnabled $ hgAccessDate ) )
"""

_CONFIG = """\
include {schemas}/core.schema
include {schemas}/cosine.schema
include {schemas}/inetorgperson.schema
include {schemas}/nis.schema
include {folder}/ours.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/pid
TLSCACertificateFile {folder}/ca.pem
TLSCertificateFile {folder}/ca.pem
TLSCertificateKeyFile {folder}/key.pem
sizelimit unlimited
database mdb
suffix "{base}"
rootdn "cn=root,{base}"
directory {folder}/data
index objectClass,uid,mail,memberUid eq
access to attrs=userPassword by anonymous auth
access to attrs=hgAccessDate by dn="{writer}" write by users read
access to * by users read by anonymous read
"""


class Missing(RuntimeError):
    """slapd cannot be had on this machine; the message says why."""


def program(name: str = 'slapd') -> str:
    """Return the path of slapd; raises Missing."""
    path = os.pathsep.join([os.environ.get('PATH', ''), '/usr/sbin', '/sbin'])
    found = shutil.which(name, path=path)
    if found is None or not _SCHEMAS.is_dir():
        raise Missing(f'there is no command {name}')
    return found


class Ldap:
    """A running slapd; a context manager that ends it.

    ``people`` are attributes by name, ``groups`` names of members by group.
    """

    def __init__(
        self,
        folder: Path,
        people: Iterable[Mapping[str, Iterable[str]]] = (),
        groups: Mapping[str, Iterable[str]] | None = None,
    ) -> None:
        self.folder = folder
        self.plain, self.tls = free_ports(2)
        self.ca = folder / 'ca.pem'
        self._people = list(people)
        self._groups = groups or {}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Ldap:
        self._prepare()
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The address with TLS."""
        return f'ldaps://localhost:{self.tls}'

    @property
    def starttls(self) -> str:
        """The address where TLS has to be begun."""
        return f'ldap://localhost:{self.plain}'

    def start(self) -> None:
        """Start it, and wait until it answers."""
        log = open(self.folder / 'log', 'ab')  # noqa: SIM115 it is inherited
        self._process = subprocess.Popen(
            [
                *('setpriv', '--pdeathsig', 'KILL', program(), '-d', '0'),
                *('-f', str(self.folder / 'slapd.conf')),
                *('-h', f'ldap://127.0.0.1:{self.plain} {self._listens}'),
            ],
            stdout=log,
            stderr=log,
        )
        log.close()
        deadline = time.monotonic() + START
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection(('127.0.0.1', self.tls), 1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise RuntimeError((self.folder / 'log').read_text())

    def stop(self) -> None:
        """Stop it, if it runs."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def freeze(self) -> None:
        """Have it accept connections and say nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    @property
    def _listens(self) -> str:
        return f'ldaps://127.0.0.1:{self.tls}'

    def _prepare(self) -> None:
        (self.folder / 'data').mkdir()
        (self.folder / 'ours.schema').write_text(_OURS)
        (self.folder / 'secret').write_text(f'{SECRET}\n')
        (self.folder / 'slapd.conf').write_text(
            _CONFIG.format(
                schemas=_SCHEMAS, folder=self.folder, base=BASE, writer=WRITER
            )
        )
        certify(self.folder, 'subjectAltName=DNS:localhost,IP:127.0.0.1')
        (self.folder / 'tree.ldif').write_text(self._tree())
        subprocess.run(
            [
                *(program('slapadd'), '-q'),
                *('-f', str(self.folder / 'slapd.conf')),
                *('-l', str(self.folder / 'tree.ldif')),
            ],
            check=True,
            capture_output=True,
        )

    def _tree(self) -> str:
        made = [
            _entry(BASE, objectClass=['dcObject', 'organization'], o=['x']),
            _entry(f'ou=people,{BASE}', objectClass=['organizationalUnit']),
            _entry(f'ou=groups,{BASE}', objectClass=['organizationalUnit']),
        ]
        for where in (READER, WRITER):
            made.append(
                _entry(
                    where,
                    objectClass=['organizationalRole', 'simpleSecurityObject'],
                    userPassword=[SECRET],
                )
            )
        kinds = ['inetOrgPerson', 'ldapPublicKey', 'hgAccount']
        for number, person in enumerate(self._people):
            made.append(
                _entry(
                    f'cn=p{number},ou=people,{BASE}',
                    objectClass=kinds,
                    sn=['x'],
                    **person,
                )
            )
        for number, (name, members) in enumerate(self._groups.items()):
            made.append(
                _entry(
                    f'cn={name},ou=groups,{BASE}',
                    objectClass=['posixGroup'],
                    gidNumber=[str(number)],
                    memberUid=members,
                )
            )
        return '\n'.join(made)


def certify(folder: Path, names: str) -> None:
    """Make ``ca.pem``, for servers of these names, and its ``key.pem``."""
    subprocess.run(
        [
            *('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt'),
            *('ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'),
            *('-subj', '/CN=localhost', '-addext', names),
            *('-keyout', str(folder / 'key.pem')),
            *('-out', str(folder / 'ca.pem')),
        ],
        check=True,
        capture_output=True,
    )


def _entry(where: str, **attributes: Iterable[str]) -> str:
    lines = [f'dn: {where}']
    for name, values in attributes.items():
        for value in values:
            encoded = base64.b64encode(value.encode()).decode()
            lines.append(f'{name}:: {encoded}')
    return '\n'.join([*lines, ''])
