"""signatures that are there are good

A changeset is signed with Mercurial's extension ``gpg``, by a line in
``.hgsigs``.  Each line that is added there must be a signature of the
changeset that it names, by a key that is known.  Changesets need not be
signed.

``signatures.keyring`` (a path, needed)
  the keys, as ``gpg --export`` writes them.  They are read with ``gpgv``,
  which has to be installed.
"""

from __future__ import annotations

import binascii
import re

from hgext3rd.fleet.core.checks import (
    Change,
    Failure,
    Failures,
    File,
    Judge,
    Options,
    Push,
)

ITEMS = {'keyring': ''}

_LINE = re.compile(rb'([0-9a-f]{40}) 0 ([A-Za-z0-9+/=]+)')


def begin(options: Options, push: Push) -> Judge:
    """Refuse lines of .hgsigs that are no good signatures."""
    keyring = options.text('keyring')
    if not keyring.startswith('/'):
        raise options.wrong('keyring', 'the absolute path of a file of keys')

    def file(change: Change, file: File) -> Failures:
        if file.path != '.hgsigs' or file.gone:
            return
        for line in filter(None, file.added.split(b'\n')):
            what = _fault(push, line, keyring)
            if what:
                remedy = 'sign again, with a key that is known here'
                yield Failure(what, remedy, change.node, file.path)

    return Judge(file=file)


def _fault(push: Push, line: bytes, keyring: str) -> str:
    match = _LINE.fullmatch(line)
    if match is None:
        return 'a line is added that is not a signature'
    node, encoded = match.groups()
    try:
        signature = binascii.a2b_base64(encoded)
    except binascii.Error:
        return 'a line is added that is not a signature'
    if push.world.is_signed(node + b'\n', signature, keyring):
        return ''
    return f'the signature of {node[:12].decode()} is not good'
