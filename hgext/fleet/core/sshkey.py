"""SSH public keys as text: which are accepted, and in which one form.

A public key is written ``type base64 [comment]``.  Accepted are Ed25519,
ECDSA over the three NIST curves, both on security keys (``sk-``), and RSA of
at least 2048 bits.  DSA, certificates and options in front of the key are
refused.  What :func:`parse` returns is canonical: two texts of one key
become the same string.
"""

from __future__ import annotations

import binascii

from .errors import FleetError

FEWEST_RSA_BITS = 2048

# The lengths of a key's fields after its type, where they are fixed.
_LENGTHS: dict[str, tuple[int | None, ...]] = {
    'ssh-ed25519': (32,),
    'ecdsa-sha2-nistp256': (8, 65),
    'ecdsa-sha2-nistp384': (8, 97),
    'ecdsa-sha2-nistp521': (8, 133),
    'sk-ssh-ed25519@openssh.com': (32, None),
    'sk-ecdsa-sha2-nistp256@openssh.com': (8, 65, None),
    'ssh-rsa': (None, None),
}


class KeyRefused(FleetError):
    """A text is not a public key that the fleet accepts."""


def parse(text: str) -> str:
    """Return ``type base64`` for a public key; else KeyRefused."""
    kind, encoded, *_comment = [*text.split(None, 2), '', '']
    lengths = _LENGTHS.get(kind)
    if lengths is None or not text.strip().isprintable():
        raise KeyRefused(
            f'{text[:40]!r} is not the start of one public key of a type '
            'that is accepted',
            'make a key with "ssh-keygen -t ed25519", and give its .pub file',
        )
    fields = _fields(encoded)
    if not (
        len(fields) == 1 + len(lengths)
        and fields[0] == kind.encode()
        and all(
            length in (None, len(field))
            for length, field in zip(lengths, fields[1:], strict=True)
        )
        and _curve(kind) in (None, fields[1])
    ):
        raise _damaged(kind)
    if kind == 'ssh-rsa' and _bits(fields[2]) < FEWEST_RSA_BITS:
        raise KeyRefused(
            f'an RSA key of {_bits(fields[2])} bits is too weak',
            f'use {FEWEST_RSA_BITS} bits or more, or "ssh-keygen -t ed25519"',
        )
    return f'{kind} {encoded}'


def canonical(text: str) -> str | None:
    """Return ``type base64`` for a public key, None when it is none."""
    try:
        return parse(' '.join(text.split()[:2]))
    except KeyRefused:
        return None


def _fields(encoded: str) -> list[bytes]:
    """Return the strings inside a key, or nothing when it is damaged."""
    try:
        raw = binascii.a2b_base64(encoded)
    except ValueError:
        return []
    if binascii.b2a_base64(raw, newline=False).decode() != encoded:
        return []
    fields = []
    while raw:
        length = int.from_bytes(raw[:4], 'big')
        if len(raw) < 4 + length:
            return []
        fields.append(raw[4 : 4 + length])
        raw = raw[4 + length :]
    return fields


def _curve(kind: str) -> bytes | None:
    """Return the curve that an ECDSA key must name after its type."""
    start = kind.find('nistp')
    return kind[start : start + 8].encode() if start >= 0 else None


def _bits(number: bytes) -> int:
    return int.from_bytes(number, 'big').bit_length()


def _damaged(kind: str) -> KeyRefused:
    return KeyRefused(
        f'the text after {kind} is not a key of that type',
        'copy the one line of the .pub file unchanged',
    )
