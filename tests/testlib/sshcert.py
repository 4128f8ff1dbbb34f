"""Certificates of SSH that nobody has signed, for what does not verify them."""

from __future__ import annotations

import base64


def string(*some: bytes) -> bytes:
    """Return strings as they stand in keys, one after the other."""
    return b''.join(len(one).to_bytes(4, 'big') + one for one in some)


def made(
    kind: str = 'ssh-ed25519-cert-v01@openssh.com',
    fields: tuple[bytes, ...] = (b'k' * 32,),
    principals: tuple[bytes, ...] = (b'ann',),
    role: int = 1,
    critical: bytes = b'',
    after: bytes = b'',
) -> str:
    """Return a certificate, ``type base64``."""
    raw = string(kind.encode(), b'nonce', *fields)
    raw += (7).to_bytes(8, 'big') + role.to_bytes(4, 'big')
    raw += string(b'ann@example.org', string(*principals))
    raw += bytes(16)
    raw += string(critical, b'', b'', b'signer', b'signature') + after
    return f'{kind} {base64.b64encode(raw).decode()}'


def key(kind: str, fields: tuple[bytes, ...]) -> str:
    """Return the key that is made of these fields."""
    raw = string(kind.encode(), *fields)
    return f'{kind} {base64.b64encode(raw).decode()}'
