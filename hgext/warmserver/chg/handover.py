"""Going on with a client in a process that has other code.

A worker that finds that its code is old, or that nobody serves this
configuration, executes ``hg`` anew: in the environment, folder and umask of
its client, which it has taken on already, with the client's descriptors and
the connection still open.  So it stays the process that the client sends
its signals to, and the client has noticed nothing but the time.  What it has
loaded by then is of use to others: it forks, and the child becomes the
server, listening where the old one did, or at an address of its own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NoReturn

from mercurial import encoding

from . import inputs

NAME = b'HGFLEET_CHG'

_FLAGS = {
    b'--config': 1,
    b'--cwd': 1,
    b'--repo': 1,
    b'--repository': 1,
    b'--traceback': 0,
    b'-R': 1,
}


@dataclass(frozen=True)
class Handed:
    """What the process that goes on has to know; numbers are descriptors."""

    link: int
    folder: int
    """The client's working folder."""
    args: list[str]
    runs: bool
    """Whether the client has asked for the command, and not for a check."""
    attached: bool
    unread: str
    base: str
    born: int
    lock: int | None = None
    """Held while it is to become a server as well."""
    listener: int | None = None
    """The socket to listen on, if it takes the place of a server."""
    title: str = ''

    @property
    def descriptors(self) -> list[int]:
        """What has to be open in the other process."""
        all_of_them = (self.link, self.folder, self.lock, self.listener)
        return [one for one in all_of_them if one is not None]

    @property
    def words(self) -> list[bytes]:
        """The arguments as the client has given them."""
        return [one.encode('latin-1') for one in self.args]


_received: list[Handed | None] = []


def received() -> Handed | None:
    """Return what this process was handed, if it was."""
    if not _received:
        environ: Any = encoding.environ
        told = environ.pop(NAME, None)
        handed = None
        if told:
            with open(int(told), 'rb') as file:
                handed = Handed(**json.load(file))
            inputs.executed(handed.born)
            for one in handed.descriptors:
                os.set_inheritable(one, False)
        _received.append(handed)
    return _received[0]


def go(handed: Handed) -> NoReturn:
    """Become the process that goes on; raises OSError."""
    environ = dict(encoding.environ)
    words = handed.words
    command = environ.get(b'CHGHG') or environ.get(b'HG') or b'hg'
    if b'LC_CTYPE' in environ:
        environ[b'CHGORIG_LC_CTYPE'] = environ[b'LC_CTYPE']
    else:
        environ[b'CHG_CLEAR_LC_CTYPE'] = b''
    environ[b'CHGINTERNALMARK'] = b''
    # A variable could not be long enough.
    told = os.memfd_create('hgfleet')
    os.pwrite(told, json.dumps(asdict(handed)).encode(), 0)
    os.set_inheritable(told, True)
    environ[NAME] = b'%d' % told
    for one in handed.descriptors:
        os.set_inheritable(one, True)
    address = b'%s.%d' % (os.fsencode(handed.base), os.getpid())
    argv = [
        *(command, b'serve', b'--no-profile', b'--cmdserver', b'chgunix'),
        *(b'--address', address, b'--daemon-postexec', b'chdir:/'),
        *sensitive(words),
    ]
    os.execvpe(command, argv, environ)


def sensitive(words: Sequence[bytes]) -> list[bytes]:
    """Return the arguments that decide on the configuration, as chg does."""
    found: list[bytes] = []
    at = 0
    while at < len(words) and words[at] != b'--':
        taken = _taken(words[at])
        if at + taken <= len(words):
            found += words[at : at + taken]
        at += taken or 1
    return found


def _taken(word: bytes) -> int:
    """Return how many words belong to an option that counts."""
    for flag, values in _FLAGS.items():
        if word == flag:
            return values + 1
        if word.startswith(flag):
            rest = word[len(flag) :]
            if (rest.startswith(b'=') and values) or not flag.startswith(b'--'):
                return 1
    return 0
