"""The settings of ``[pash]``: which keys and certificates sshd accepts.

    [pash]
    key-types = ed25519, sk-ed25519, ecdsa, sk-ecdsa, rsa
    rsa-bits = 3072
    revoked = /etc/hgfleet/revoked
    trusted-user-ca = /etc/hgfleet/user-ca.pub

Types and sizes are described in ``hgext3rd.fleet.core.sshkey``.  The two
files are sshd's ``RevokedKeys`` and ``TrustedUserCAKeys``; it reads them for
each login.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hgext3rd.fleet import edge
from hgext3rd.fleet.core.errors import SettingError
from hgext3rd.fleet.core.sshkey import Limits


@dataclass(frozen=True)
class Door:
    """The settings; a file that is not set is empty."""

    limits: Limits = field(default_factory=Limits)
    revoked: str = ''
    trusted_user_ca: str = ''

    def unreadable(self) -> list[tuple[str, str]]:
        """Return a sentence and a remedy for each file that sshd needs."""
        found = []
        for path, what in (
            (self.revoked, 'pash.revoked: nobody gets in while'),
            (
                self.trusted_user_ca,
                'pash.trusted-user-ca: no certificate is accepted while',
            ),
        ):
            try:
                if path:
                    with open(path, 'rb') as file:
                        file.read(1)
            except OSError as problem:
                found.append(
                    (
                        f'{what} {path} cannot be read: {problem.strerror}',
                        'put that file back, or take the setting out and '
                        'start the fleet again',
                    )
                )
        return found


def read(ui: Any) -> Door:
    """Return the settings in a configuration; raises SettingError."""

    def text(item: str) -> str:
        return edge.text(ui.config(b'pash', item.encode()) or b'').strip()

    door = Door(
        Limits.of(text('key-types'), text('rsa-bits')),
        text('revoked'),
        text('trusted-user-ca'),
    )
    for item, path in (
        ('revoked', door.revoked),
        ('trusted-user-ca', door.trusted_user_ca),
    ):
        if path and not path.startswith('/'):
            raise SettingError(
                f'pash.{item} is {path!r}', 'use the absolute path of a file'
            )
    return door
