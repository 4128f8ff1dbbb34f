"""Which public keys are accepted, and that each has one form."""

from __future__ import annotations

import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgext3rd.fleet.core import sshkey
from hgext3rd.fleet.core.errors import SettingError
from hgext3rd.fleet.core.sshkey import KeyRefused, Limits


def encoded(*fields: bytes) -> str:
    raw = b''.join(len(one).to_bytes(4, 'big') + one for one in fields)
    return base64.b64encode(raw).decode()


def ed25519(secret: bytes = b'\1' * 32) -> str:
    return f'ssh-ed25519 {encoded(b"ssh-ed25519", secret)}'


def ecdsa(curve: bytes, length: int, inside: bytes = b'') -> str:
    kind = b'ecdsa-sha2-' + curve
    point = b'\4' * length
    return f'{kind.decode()} {encoded(kind, inside or curve, point)}'


def rsa(bits: int) -> str:
    modulus = (1 << (bits - 1) | 1).to_bytes(bits // 8 + 1, 'big')
    exponent = bytes([1, 0, 1])
    return f'ssh-rsa {encoded(b"ssh-rsa", exponent, modulus)}'


def security_key() -> list[str]:
    one = b'sk-ssh-ed25519@openssh.com'
    two = b'sk-ecdsa-sha2-nistp256@openssh.com'
    point = b'\4' * 65
    return [
        f'{one.decode()} {encoded(one, b"k" * 32, b"ssh:")}',
        f'{two.decode()} {encoded(two, b"nistp256", point, b"ssh:")}',
    ]


GOOD = [
    ed25519(),
    ecdsa(b'nistp256', 65),
    ecdsa(b'nistp384', 97),
    ecdsa(b'nistp521', 133),
    *security_key(),
    rsa(2048),
    rsa(4096),
]


@pytest.mark.parametrize('key', GOOD)
def test_accepted(key: str) -> None:
    assert sshkey.parse(key) == key
    assert sshkey.parse(f'  {key}   ann@laptop (new)\n') == key


@pytest.mark.parametrize(
    'key',
    [
        '',
        'ssh-ed25519',
        f'ssh-dss {encoded(b"ssh-dss", b"p", b"q", b"g", b"y")}',
        f'restrict {ed25519()}',
        f'command="id" {ed25519()}',
        f'# {ed25519()}',
        ed25519() + '\n' + ed25519(b'\2' * 32),
        ed25519() + ' comment\nssh-rsa',
        ed25519(b'\1' * 31),
        ecdsa(b'nistp256', 65).removesuffix('='),
        ed25519().replace(' ', '\t'),
        ed25519()[:-8],
        ed25519() + 'AAAA',
        ed25519().replace('AAAA', 'AAA$', 1),
        f'ssh-ed25519 {encoded(b"ssh-rsa", b"1" * 32)}',
        f'ssh-ed25519 {encoded(b"ssh-ed25519", b"1" * 32, b"more")}',
        f'ssh-rsa {encoded(b"ssh-ed25519", b"1" * 32)}',
        ecdsa(b'nistp256', 64),
        ecdsa(b'nistp256', 65, inside=b'nistp384'),
        rsa(2047),
        rsa(1024),
        'ssh-ed25519-cert-v01@openssh.com ' + encoded(b'x'),
    ],
)
def test_refused(key: str) -> None:
    with pytest.raises(KeyRefused) as caught:
        sshkey.parse(key)
    assert str(caught.value).isprintable()


@given(st.one_of(st.text(), st.text().map(lambda text: f'ssh-rsa {text}')))
def test_total(text: str) -> None:
    with pytest.raises(KeyRefused):
        sshkey.parse(text)


@given(st.sampled_from(GOOD), st.data())
def test_one_form(key: str, data: st.DataObject) -> None:
    """No other base64 text of the same bytes is accepted."""
    kind, text = key.split()
    at = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from('AQgw+/=-_ \n'))
    other = f'{kind} {text[:at]}{letter}{text[at + 1 :]}'
    try:
        accepted = sshkey.parse(other)
    except KeyRefused:
        return
    assert accepted == key or base64.b64decode(
        accepted.split()[1]
    ) != base64.b64decode(text)


def test_limits_as_they_are_by_default() -> None:
    limits = Limits.of()
    for key in GOOD:
        if key != rsa(2048):
            limits.check(key)
    with pytest.raises(KeyRefused, match='RSA keys of 2048 bits'):
        limits.check(rsa(2048))
    limits.check(rsa(3072))
    with pytest.raises(KeyRefused, match='RSA keys of 3071 bits'):
        limits.check(rsa(3071))


@pytest.mark.parametrize(
    ('types', 'within'),
    [
        ('ed25519', GOOD[:1]),
        ('sk-ed25519, ed25519', [GOOD[0], GOOD[4]]),
        ('ecdsa', GOOD[1:4]),
        ('ecdsa-384,rsa', [GOOD[2], *GOOD[6:]]),
        ('sk-ecdsa', [GOOD[5]]),
    ],
)
def test_limited_types(types: str, within: list[str]) -> None:
    limits = Limits.of(types, '2048')
    for key in GOOD:
        if key in within:
            limits.check(key)
        else:
            with pytest.raises(KeyRefused, match='are not accepted here'):
                limits.check(key)


@pytest.mark.parametrize(
    ('types', 'bits'),
    [
        ('dss', ''),
        ('rsa, dsa', ''),
        ('ssh-ed25519', ''),
        (',', ''),
        ('RSA', ''),
        ('', '2047'),
        ('', '16385'),
        ('', '0'),
        ('', '-4096'),
        ('', '4096.0'),
        ('', '\u0664\u0660\u0669\u0666'),
    ],
)
def test_no_limits(types: str, bits: str) -> None:
    with pytest.raises(SettingError, match=r'pash\.(key-types|rsa-bits)'):
        Limits.of(types, bits)


@given(st.text(), st.text())
def test_limits_are_total(types: str, bits: str) -> None:
    with contextlib.suppress(SettingError):
        limits = Limits.of(types, bits)
        assert limits.types <= sshkey.TYPES
        assert 2048 <= limits.rsa_bits <= 16384


@pytest.mark.parametrize(
    'number', [b'', b'\0', b'\0\1' + b'x' * 400, b'\x80' + b'x' * 400]
)
def test_numbers_have_one_form(number: bytes) -> None:
    with pytest.raises(KeyRefused):
        sshkey.parse(f'ssh-rsa {encoded(b"ssh-rsa", bytes([3]), number)}')
    modulus = b'\1' * 400
    with pytest.raises(KeyRefused):
        sshkey.parse(f'ssh-rsa {encoded(b"ssh-rsa", number, modulus)}')
