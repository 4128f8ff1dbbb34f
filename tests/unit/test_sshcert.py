"""Certificates: which are understood, and whose they are."""

from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgext3rd.fleet.core import sshcert, sshkey
from hgext3rd.fleet.core.sshkey import KeyRefused
from testlib.sshcert import key, made, string


@pytest.mark.parametrize(
    ('kind', 'plain', 'fields'),
    [
        ('ssh-ed25519', 'ssh-ed25519', (b'k' * 32,)),
        (
            'sk-ssh-ed25519',
            'sk-ssh-ed25519@openssh.com',
            (b'k' * 32, b'ssh:'),
        ),
        (
            'sk-ecdsa-sha2-nistp256',
            'sk-ecdsa-sha2-nistp256@openssh.com',
            (b'nistp256', b'\4' * 65, b'ssh:'),
        ),
        (
            'ecdsa-sha2-nistp521',
            'ecdsa-sha2-nistp521',
            (b'nistp521', b'\4' * 133),
        ),
        ('ssh-rsa', 'ssh-rsa', (b'\1\0\1', b'\0' + b'\xff' * 256)),
    ],
)
def test_understood(kind: str, plain: str, fields: tuple[bytes, ...]) -> None:
    found = sshcert.parse(made(f'{kind}-cert-v01@openssh.com', fields))
    assert found == sshcert.Certificate(
        key(plain, fields), 7, 'ann@example.org', ('ann',)
    )


@pytest.mark.parametrize(
    'text',
    [
        '',
        'ssh-ed25519-cert-v01@openssh.com',
        'ssh-ed25519-cert-v01@openssh.com AAAA',
        made().replace('ssh-ed25519-cert', 'ssh-rsa-cert', 1),
        made(kind='ssh-dss-cert-v01@openssh.com', fields=(b'1',) * 4),
        made(kind='ssh-ed25519'),
        made(fields=(b'k' * 31,)),
        made(kind='ssh-rsa-cert-v01@openssh.com', fields=(b'\3', b'\1' * 9)),
        made(role=2),
        made(role=0),
        made(critical=string(b'force-command', string(b'id'))),
        made(
            critical=string(
                *(b'source-address', string(b'::1')),
                *(b'force-command', string(b'id')),
            )
        ),
        made(critical=b'\0\0\0\x20force-command'),
        made(after=b'x'),
        made() + 'AAAA',
        made()[:-12],
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(KeyRefused) as caught:
        sshcert.parse(text)
    assert str(caught.value).isprintable()


@given(st.binary())
def test_total(raw: bytes) -> None:
    kind = 'ssh-ed25519-cert-v01@openssh.com'
    start = string(kind.encode(), b'nonce', b'k' * 32)
    for data in (raw, start + raw):
        text = base64.b64encode(data).decode()
        with pytest.raises(KeyRefused):
            sshcert.parse(f'{kind} {text}')


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_any_byte(at: int, value: int) -> None:
    kind, text = made().split()
    raw = bytearray(base64.b64decode(text))
    raw[at % len(raw)] = value
    try:
        found = sshcert.parse(f'{kind} {base64.b64encode(raw).decode()}')
    except KeyRefused:
        return
    assert sshkey.parse(found.key) == found.key


def test_who_is_asked_about() -> None:
    names = (
        b'ann',
        b'*',
        b'',
        b'a b',
        b'-x',
        b'\xff',
        b'ann',
        b'bob\0',
        b'eve',
    )
    found = sshcert.parse(made(principals=names))
    assert sshcert.candidates(found) == ('ann', 'eve')
    many = tuple(b'u%d' % number for number in range(17))
    assert (
        len(sshcert.candidates(sshcert.parse(made(principals=many[1:])))) == 16
    )
    with pytest.raises(KeyRefused, match='17 principals'):
        sshcert.candidates(sshcert.parse(made(principals=many)))


@pytest.mark.parametrize(
    ('known', 'problem'),
    [
        ({}, 'none of its principals is a user'),
        ({'ann': False}, 'ann is locked out'),
        ({'ann': True, 'bob': True}, 'several users: ann, bob'),
        ({'bob': False, 'ann': True}, 'several users: ann, bob'),
    ],
)
def test_nobody(known: dict[str, bool], problem: str) -> None:
    with pytest.raises(KeyRefused, match=problem):
        sshcert.holder(known)


def test_somebody() -> None:
    assert sshcert.holder({'ann': True}) == 'ann'


@pytest.mark.skipif(not shutil.which('ssh-keygen'), reason='no ssh-keygen')
def test_as_openssh_makes_them(tmp_path: Path) -> None:
    def run(*argv: str) -> None:
        subprocess.run(['ssh-keygen', '-q', *argv], check=True, cwd=tmp_path)

    for name in ('ca', 'key'):
        run('-t', 'ed25519', '-N', '', '-f', name)
    signed = ['-s', 'ca', '-I', 'id', '-z', '18446744073709551615']
    run(*signed, '-n', 'ann,ops', '-O', 'source-address=::1', 'key.pub')
    kind, text, *_ = (tmp_path / 'key-cert.pub').read_text().split()
    public = ' '.join((tmp_path / 'key.pub').read_text().split()[:2])
    assert sshcert.parse(f'{kind} {text}') == sshcert.Certificate(
        public, 2**64 - 1, 'id', ('ann', 'ops')
    )
