"""Signatures of changesets, made by GnuPG and looked at by gpgv."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hgext3rd.checks import world

pytestmark = pytest.mark.skipif(
    not (shutil.which('gpg') and shutil.which('gpgv')),
    reason='gpg and gpgv are missing: apt-get install gnupg gpgv',
)
SAID = b'%040d\n' % 7


class Signer:
    """Somebody with keys of their own."""

    def __init__(self, home: Path, *people: str) -> None:
        self._home = home
        for name in people:
            self._gpg('--quick-gen-key', name, 'ed25519', 'sign', 'never')

    def keyring(self, path: Path, *people: str) -> str:
        """Write a keyring of these people; return its path."""
        path.write_bytes(self._gpg('--export', *people))
        return str(path)

    def sign(self, who: str, said: bytes, how: str = '--detach-sign') -> bytes:
        """Sign as Mercurial's extension gpg does."""
        return self._gpg('--local-user', who, how, said=said)

    def end(self) -> None:
        """End the agent that GnuPG has started."""
        subprocess.run(
            ['gpgconf', '--homedir', self._home, '--kill', 'all'], check=True
        )

    def _gpg(self, *words: str, said: bytes = b'') -> bytes:
        done = subprocess.run(
            [
                *('gpg', '--homedir', str(self._home), '--batch', '--yes'),
                *('--quiet', '--pinentry-mode', 'loopback'),
                *('--passphrase', '', *words),
            ],
            input=said,
            capture_output=True,
            check=True,
        )
        return done.stdout


@pytest.fixture(scope='module')
def signer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    # Its socket is in there, and may not have a long path.
    folder = Path(tempfile.mkdtemp(prefix='hgfleet-gpg.', dir='/tmp'))
    try:
        one = Signer(folder, 'ann@example.org', 'eve@example.org')
        yield one
        one.end()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def known(signer: Signer, tmp_path: Path) -> str:
    return signer.keyring(tmp_path / 'known.gpg', 'ann@example.org')


def looked_at(signature: bytes, keyring: str, said: bytes = SAID) -> bool:
    # What is looked at does not depend on a repository.
    return world.NodeWorld(None).is_signed(said, signature, keyring)


def test_a_known_key_is_good(signer: Signer, known: str) -> None:
    assert looked_at(signer.sign('ann@example.org', SAID), known)


def test_another_changeset_is_not(signer: Signer, known: str) -> None:
    signature = signer.sign('ann@example.org', SAID)
    assert not looked_at(signature, known, b'%040d\n' % 8)


def test_an_unknown_key_is_not(signer: Signer, known: str) -> None:
    assert not looked_at(signer.sign('eve@example.org', SAID), known)


def test_a_good_one_beside_an_unknown_one_is_not(
    signer: Signer, known: str
) -> None:
    both = [signer.sign(f'{name}@example.org', SAID) for name in ('ann', 'eve')]
    assert not looked_at(b''.join(both), known)


def test_a_message_that_is_signed_itself_is_not(
    signer: Signer, known: str
) -> None:
    whole = signer.sign('ann@example.org', b'something else\n', '--sign')
    assert not looked_at(whole, known)


@pytest.mark.parametrize('signature', [b'', b'x', b'-----BEGIN PGP'])
def test_rubbish_is_not(signature: bytes, known: str) -> None:
    assert not looked_at(signature, known)


def test_no_keyring_is_not(signer: Signer, tmp_path: Path) -> None:
    signature = signer.sign('ann@example.org', SAID)
    assert not looked_at(signature, str(tmp_path / 'nothing.gpg'))
