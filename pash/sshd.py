"""The configuration of a fleet's own sshd, and of a client that uses it.

The generators are pure: they return text, and the caller writes it.

    sshd_config(port=8022, account='hg', host_key='/data/ssh/host_key',
                hg='/venv/bin/hg', hgrc='/data/primary.rc',
                directory='file:///data/users.toml', spared='') -> str
    known_hosts(public_key='ssh-ed25519 AAAA…') -> str
    ssh_config(port=8022, account='hg', identity='/data/client/key',
               known_hosts='/data/client/known_hosts') -> str

What the caller has to see to:

- Run it in the foreground as ``sshd -D -e -f FILE`` by its absolute path
  (sshd executes itself again for every connection); ``sshd -t -f FILE``
  checks a configuration and the host key first.
- As root, sshd needs the folder in ``PRIVSEP`` (mode 0755, owned by root).
  Without root it serves one account only: the one that runs it.
- The host key has mode 0600.  ``ssh-keygen -q -t ed25519 -N '' -f FILE``
  makes one.
- Without PAM, sshd refuses an account whose password field in
  ``/etc/shadow`` starts with ``!``; ``usermod -p '*' ACCOUNT`` leaves it
  without a password but lets keys in.

- Since OpenSSH 9.8, sshd shuts out addresses that fail to log in.  Where
  everybody comes from one address, such as that of a load balancer or of the
  loopback device, one person with a wrong key shuts out all.  Name such
  addresses in ``spared`` when :func:`has_penalties`.

- The limits of keys in ``door`` are those that the look-up keeps to.  When
  its file of revoked keys cannot be read, sshd refuses everybody.

Paths are restricted to letters, digits and ``_@+=:,./-``: they travel
through sshd's own quoting and, in the forced command, through the account's
login shell.  Anything else is a SettingError.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

from hgext3rd.fleet.core.sshkey import Limits

from .door import Door
from .sshkeys import word

PRIVSEP = '/run/sshd'
"""The empty folder that sshd wants when it runs as root."""

ALIAS = 'hgfleet'
"""The name under which clients file the host key, whatever the port."""

_SERVER = """\
# Written by hgfleet; changes here are lost.
ListenAddress {address}
Port {port}
HostKey {host_key}
PidFile none
LogLevel VERBOSE
UsePAM no
UseDNS no

AllowUsers {account}
PermitRootLogin forced-commands-only
AuthenticationMethods publickey
PasswordAuthentication no
KbdInteractiveAuthentication no
HostbasedAuthentication no
AuthorizedKeysFile none
{certificates}AuthorizedKeysCommand {lookup} %t %k
AuthorizedKeysCommandUser {account}
StrictModes yes

DisableForwarding yes
PermitTunnel no
PermitTTY no
PermitUserRC no
PermitUserEnvironment no
# So that bash, as a login shell, leaves ~/.bashrc alone.
SetEnv SHLVL=1
PrintMotd no
PrintLastLog no
Banner none

LoginGraceTime 20
MaxAuthTries 6
MaxStartups 50:30:100
MaxSessions 50
ClientAliveInterval 15
ClientAliveCountMax 4
{more}"""

_DOOR = Door()

# In front of AuthorizedKeysCommand: OpenSSH passes over a command for
# principals that comes after it.  Without command and file it would let in
# whoever has the name of the account as a principal, to a shell.
_CERTIFICATES = """\
TrustedUserCAKeys {file}
AuthorizedPrincipalsFile /nonexistent
AuthorizedPrincipalsCommand {lookup} --certificate %t %k
AuthorizedPrincipalsCommandUser {account}
"""

_CLIENT = """\
# Written by hgfleet; changes here are lost.
Host {host}
    HostName {address}
    Port {port}
    User {account}
    IdentityFile {identity}
    IdentitiesOnly yes
    HostKeyAlias {alias}
    UserKnownHostsFile {known_hosts}
    GlobalKnownHostsFile none
    StrictHostKeyChecking yes
    UpdateHostKeys no
    PreferredAuthentications publickey
    KexAlgorithms {kex}
    ControlPath none
    ForwardAgent no
    ForwardX11 no
    ClearAllForwardings yes
    RequestTTY no
    LogLevel ERROR
"""

# About 50 ms a connection faster than OpenSSH's post-quantum default, which
# protects nothing on the loopback device.
_KEX = 'curve25519-sha256,curve25519-sha256@libssh.org'


def sshd_config(
    *,
    port: int,
    account: str,
    host_key: str,
    hg: str,
    hgrc: str,
    directory: str,
    python: str = sys.executable,
    address: str = '127.0.0.1',
    spared: str = '',
    warm: str = '',
    door: Door = _DOOR,
    audited: tuple[str, str] | None = None,
) -> str:
    """Return the configuration of an sshd that serves the fleet only.

    ``account`` is the local account that everybody logs in to and that owns
    the repositories; who it is comes from the key.  ``hgrc`` is the only
    configuration file that sessions read, ``directory`` the URL of the
    directory of users.  ``spared`` are addresses or networks, with commas
    between them, that are never shut out.  ``warm`` is where a warm server
    listens, or will.  ``audited`` is the place of the audit and the name of
    the node, for a directory that is remembered while it is away.  Raises
    SettingError.
    """
    folder = os.path.dirname(os.path.abspath(__file__))
    # sshd checks the owner of the first word and of its folders; a Python
    # in somebody's home would not pass, and env does.
    lookup = (
        f'/usr/bin/env -i {word(python)} -I -S {word(folder)}/sshkeys.py'
        f' --hg {word(hg)} --hgrc {word(hgrc)} --directory {word(directory)}'
        f'{f" --warm {word(warm)}" if warm else ""}'
        f'{_options(door.limits, audited)}'
    )
    more = [f'PerSourcePenaltyExemptList {word(spared)}\n'] if spared else []
    if door.revoked:
        more.append(f'RevokedKeys {word(door.revoked)}\n')
    certificates = ''
    if door.trusted_user_ca:
        certificates = _CERTIFICATES.format(
            file=word(door.trusted_user_ca),
            lookup=lookup,
            account=word(account),
        )
    return _SERVER.format(
        address=word(address),
        port=int(port),
        account=word(account),
        host_key=word(host_key),
        lookup=lookup,
        certificates=certificates,
        more=''.join(more),
    )


def _options(limits: Limits, audited: tuple[str, str] | None) -> str:
    """Return the options of the look-up that are not as they are anyway."""
    options = []
    if limits.types != Limits.types:
        options += ['--key-types', ','.join(sorted(limits.types))]
    if limits.rsa_bits != Limits.rsa_bits:
        options += ['--rsa-bits', str(limits.rsa_bits)]
    if audited:
        place, node = audited
        options += ['--audit', word(place), '--node', word(node)]
    return ''.join(f' {one}' for one in options)


def has_penalties(program: str) -> bool:
    """Tell whether an sshd can shut out addresses: OpenSSH 9.8 and later."""
    said = subprocess.run(
        [program, '-V'],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    version = re.search(r'OpenSSH_(\d+)\.(\d+)', said.stderr + said.stdout)
    return version is not None and tuple(map(int, version.groups())) >= (9, 8)


def known_hosts(*, public_key: str) -> str:
    """Return a known_hosts file for a host's public key (``type base64``)."""
    kind, encoded = public_key.split()[:2]
    return f'{ALIAS} {kind} {encoded}\n'


def ssh_config(
    *,
    port: int,
    account: str,
    identity: str,
    known_hosts: str,
    host: str = 'fleet',
    address: str = '127.0.0.1',
) -> str:
    """Return a client configuration in which ``host`` is the fleet.

    ``identity`` is the file of the private key.  Raises SettingError.
    """
    return _CLIENT.format(
        host=word(host),
        address=word(address),
        port=int(port),
        account=word(account),
        identity=word(identity),
        alias=ALIAS,
        known_hosts=word(known_hosts),
        kex=_KEX,
    )
