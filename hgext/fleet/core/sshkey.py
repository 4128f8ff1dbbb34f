"""SSH public keys as text: which are accepted, and in which one form.

A public key is written ``type base64 [comment]``.  Accepted are Ed25519,
ECDSA over the three NIST curves, both on security keys (``sk-``), and RSA of
at least 2048 bits.  DSA, certificates and options in front of the key are
refused.  What :func:`parse` returns is canonical: two texts of one key
become the same string.

:class:`Limits` says which of these keys may be used on a site.  Types are
named ``ed25519``, ``sk-ed25519``, ``ecdsa-256``, ``ecdsa-384``, ``ecdsa-521``,
``sk-ecdsa`` and ``rsa``; ``ecdsa`` is short for the three sizes.  RSA keys
have at least 3072 bits unless that is set: as strong as the other types, and
what ``ssh-keygen`` has made since 2019.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass

from .errors import FleetError, SettingError

FEWEST_RSA_BITS = 2048
MOST_RSA_BITS = 16384

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


_NAMES = {
    'ssh-ed25519': 'ed25519',
    'sk-ssh-ed25519@openssh.com': 'sk-ed25519',
    'ecdsa-sha2-nistp256': 'ecdsa-256',
    'ecdsa-sha2-nistp384': 'ecdsa-384',
    'ecdsa-sha2-nistp521': 'ecdsa-521',
    'sk-ecdsa-sha2-nistp256@openssh.com': 'sk-ecdsa',
    'ssh-rsa': 'rsa',
}
_ECDSA = frozenset({'ecdsa-256', 'ecdsa-384', 'ecdsa-521'})
TYPES = frozenset(_NAMES.values())


class KeyRefused(FleetError):
    """A text is not a public key that the fleet accepts."""


@dataclass(frozen=True)
class Limits:
    """Which keys may be used: their types, and the fewest bits of RSA."""

    types: frozenset[str] = TYPES
    rsa_bits: int = 3072

    @classmethod
    def of(cls, types: str = '', rsa_bits: str = '') -> Limits:
        """Return limits from two settings, empty for the defaults.

        Types stand between commas or spaces.  Raises SettingError.
        """
        return cls(
            _types(types) if types else cls.types,
            _size(rsa_bits) if rsa_bits else cls.rsa_bits,
        )

    def check(self, key: str) -> None:
        """Raise KeyRefused for a public key outside of them."""
        kind, _space, encoded = parse(key).partition(' ')
        name = _NAMES[kind]
        if name not in self.types:
            raise KeyRefused(
                f'keys of type {name} are not accepted here',
                f'use a key of type {" or ".join(sorted(self.types))}',
            )
        if name == 'rsa':
            bits = _bits(fields(encoded)[2])
            if bits < self.rsa_bits:
                raise KeyRefused(
                    f'RSA keys of {bits} bits are not accepted here',
                    f'use {self.rsa_bits} bits or more'
                    + (', or Ed25519' if 'ed25519' in self.types else ''),
                )


def _types(text: str) -> frozenset[str]:
    found: set[str] = set()
    for name in text.replace(',', ' ').split():
        if name not in TYPES and name != 'ecdsa':
            raise SettingError(
                f'pash.key-types has {name[:40]!r}, which is no type of key',
                f'use ecdsa, {", ".join(sorted(TYPES))}',
            )
        found |= _ECDSA if name == 'ecdsa' else {name}
    if not found:
        raise SettingError('pash.key-types allows no type of key')
    return frozenset(found)


def _size(text: str) -> int:
    bits = int(text) if text.isascii() and text.isdigit() else 0
    if not FEWEST_RSA_BITS <= bits <= MOST_RSA_BITS:
        raise SettingError(
            f'pash.rsa-bits is {text[:40]!r}',
            f'use {FEWEST_RSA_BITS} to {MOST_RSA_BITS}',
        )
    return bits


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
    inside = fields(encoded)
    if not (
        len(inside) == 1 + len(lengths)
        and inside[0] == kind.encode()
        and all(
            length in (None, len(field))
            for length, field in zip(lengths, inside[1:], strict=True)
        )
        and _curve(kind) in (None, inside[1])
    ):
        raise _damaged(kind)
    if kind == 'ssh-rsa' and not all(map(_is_positive, inside[1:])):
        raise _damaged(kind)
    if kind == 'ssh-rsa' and _bits(inside[2]) < FEWEST_RSA_BITS:
        raise KeyRefused(
            f'an RSA key of {_bits(inside[2])} bits is too weak',
            f'use {FEWEST_RSA_BITS} bits or more, or "ssh-keygen -t ed25519"',
        )
    return f'{kind} {encoded}'


def canonical(text: str) -> str | None:
    """Return ``type base64`` for a public key, None when it is none."""
    try:
        return parse(' '.join(text.split()[:2]))
    except KeyRefused:
        return None


def count(kind: str) -> int:
    """Return how many fields follow the type; KeyRefused for no type."""
    lengths = _LENGTHS.get(kind)
    if lengths is None:
        raise KeyRefused(f'{kind[:40]!r} is no type of key that is accepted')
    return len(lengths)


def fields(encoded: str) -> list[bytes]:
    """Return the strings inside a key, or nothing when it is damaged."""
    return strings(decoded(encoded))


def decoded(encoded: str) -> bytes:
    """Return the bytes of base64 text, or none when it is not canonical."""
    try:
        raw = binascii.a2b_base64(encoded)
    except ValueError:
        return b''
    again = binascii.b2a_base64(raw, newline=False).decode()
    return raw if again == encoded else b''


def strings(raw: bytes) -> list[bytes]:
    """Return strings that follow each other, or nothing if one is cut."""
    found = []
    while raw:
        length = int.from_bytes(raw[:4], 'big')
        if len(raw) < 4 + length:
            return []
        found.append(raw[4 : 4 + length])
        raw = raw[4 + length :]
    return found


def _curve(kind: str) -> bytes | None:
    """Return the curve that an ECDSA key must name after its type."""
    start = kind.find('nistp')
    return kind[start : start + 8].encode() if start >= 0 else None


def _bits(number: bytes) -> int:
    return int.from_bytes(number, 'big').bit_length()


def _is_positive(number: bytes) -> bool:
    """Tell whether this is a number of RFC 4251 above zero, in its one form."""
    first, second = number[:1], number[1:2]
    return b'\0' < first < b'\x80' or (first == b'\0' and second >= b'\x80')


def _damaged(kind: str) -> KeyRefused:
    return KeyRefused(
        f'the text after {kind} is not a key of that type',
        'copy the one line of the .pub file unchanged',
    )
