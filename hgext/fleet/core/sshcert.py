"""Certificates of OpenSSH for people, as far as a login depends on them.

sshd has verified the signature, asks whether it trusts who signed, and looks
at the time, at revoked serials and at addresses itself.  What is left to us
is which user a certificate is for: :func:`parse` tells what it certifies,
:func:`candidates` which of its principals may be users, and :func:`holder`,
when the directory has been asked about these, who it is.

A certificate is ``type base64`` like a key; see PROTOCOL.certkeys of
OpenSSH.  Host certificates, and those that bring a command of their own,
are refused.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from dataclasses import dataclass

from . import names, sshkey
from .errors import NameRefused
from .sshkey import KeyRefused

MOST_PRINCIPALS = 16
"""A certificate with more is refused: each is a question to the directory."""

_SUFFIX = '-cert-v01@openssh.com'
_USER = 1
_AFTER_NUMBERS = 8 + 4
_BRINGS_COMMAND = b'force-command'


@dataclass(frozen=True)
class Certificate:
    """What a certificate says; ``key`` is ``type base64``, as of a key."""

    key: str
    serial: int
    key_id: str
    principals: tuple[str, ...]


def parse(text: str) -> Certificate:
    """Return the certificate ``type base64``; else KeyRefused."""
    kind, _space, encoded = text.partition(' ')
    plain = kind.removesuffix(_SUFFIX)
    if plain == kind:
        raise KeyRefused(f'{kind[:60]!r} is no type of certificate')
    if plain.startswith('sk-'):
        plain += '@openssh.com'
    fields, rest = _cut(sshkey.decoded(encoded), 2 + sshkey.count(plain))
    if fields[0] != kind.encode() or len(rest) < _AFTER_NUMBERS:
        raise _damaged()
    serial = int.from_bytes(rest[:8], 'big')
    role = int.from_bytes(rest[8:_AFTER_NUMBERS], 'big')
    (key_id, principals), rest = _cut(rest[_AFTER_NUMBERS:], 2)
    # Two times stand between them, which sshd looks at.
    (critical, _extensions, _reserved, _signer, _signature), rest = _cut(
        rest[16:], 5
    )
    if rest:
        raise _damaged()
    if role != _USER:
        raise KeyRefused('a certificate of a host is no login')
    if _BRINGS_COMMAND in _all(critical)[::2]:
        raise KeyRefused(
            'the certificate brings a command of its own',
            'sign it without "-O force-command"',
        )
    return Certificate(
        _key(plain, fields[2:]),
        serial,
        key_id.decode('ascii', 'backslashreplace'),
        tuple(
            one.decode('ascii', 'backslashreplace') for one in _all(principals)
        ),
    )


def candidates(certificate: Certificate) -> tuple[str, ...]:
    """Return the principals that may be names of users; else KeyRefused."""
    found = tuple(
        one for one in dict.fromkeys(certificate.principals) if _is_person(one)
    )
    if len(found) > MOST_PRINCIPALS:
        raise KeyRefused(
            f'the certificate has {len(found)} principals',
            f'sign it for one user, and {MOST_PRINCIPALS - 1} others at most',
        )
    return found


def holder(known: Mapping[str, bool]) -> str:
    """Return the one enabled user among principals; else KeyRefused.

    ``known`` are the principals that are users, and whether each is enabled.
    """
    if len(known) > 1:
        raise KeyRefused(
            f'its principals are several users: {", ".join(sorted(known))}',
            'sign a certificate for each',
        )
    for name, enabled in known.items():
        if enabled:
            return name
        raise KeyRefused(f'{name} is locked out')
    raise KeyRefused('none of its principals is a user')


def _is_person(name: str) -> bool:
    try:
        return names.person(name) == name
    except NameRefused:
        return False


def _key(kind: str, fields: list[bytes]) -> str:
    """Return a key made of its fields, in its one form; else KeyRefused."""
    raw = b''.join(
        len(one).to_bytes(4, 'big') + one for one in (kind.encode(), *fields)
    )
    encoded = binascii.b2a_base64(raw, newline=False).decode()
    return sshkey.parse(f'{kind} {encoded}')


def _cut(raw: bytes, count: int) -> tuple[list[bytes], bytes]:
    """Return so many strings from the start, and what follows them."""
    found = []
    for _each in range(count):
        end = 4 + int.from_bytes(raw[:4], 'big')
        if len(raw) < end:
            raise _damaged()
        found.append(raw[4:end])
        raw = raw[end:]
    return found, raw


def _all(raw: bytes) -> list[bytes]:
    """Return all strings in a list of them; KeyRefused when it is cut."""
    found = sshkey.strings(raw)
    if raw and not found:
        raise _damaged()
    return found


def _damaged() -> KeyRefused:
    return KeyRefused('this is not a certificate', 'sign the key again')
