"""The forced command: cleans the environment and becomes the session.

sshd runs this for every connection, as our key look-up told it to:

    python -I -S pash.py --hg /venv/bin/hg --hgrc FILE USER

Its arguments are trusted: they come from the look-up's answer.  What the
client asked for is in SSH_ORIGINAL_COMMAND and is not looked at here; it is
handed on, as it is, to the one place that parses it.  The session is
``hg pash::session USER`` in an environment that is built from nothing: a
client or an account's start-up files can add no variable to it.

It is a script and not a module of the package, since every import costs
each connection time: with -I and -S, and only built-in modules, it adds
about a millisecond to the start of an interpreter.
"""

from __future__ import annotations

import posix
import sys

# What is set by sshd itself, and means the same to the session.
KEPT = (b'HOME', b'SSH_CLIENT', b'SSH_CONNECTION')


def environment(hgrc: str, outer: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """Return the environment of a session.

    HGRCPATH makes ``hgrc`` the only configuration file; HGPLAIN switches
    off what is meant for people at terminals, such as aliases.
    """
    return {
        **{name: outer[name] for name in KEPT if name in outer},
        b'PATH': b'/usr/local/bin:/usr/bin:/bin',
        b'LANG': b'C.UTF-8',
        b'HGENCODING': b'utf-8',
        b'HGPLAIN': b'1',
        b'HGRCPATH': hgrc.encode(errors='surrogateescape'),
        b'HGFLEET_COMMAND': outer.get(b'SSH_ORIGINAL_COMMAND', b''),
    }


def main(argv: list[str]) -> str:
    """Become the session; on failure return what to tell the client."""
    if len(argv) != 5 or argv[0] != '--hg' or argv[2] != '--hgrc':
        return 'pash.py: usage: --hg FILE --hgrc FILE USER'
    hg, hgrc, user = argv[1], argv[3], argv[4]
    if not posix.access(hgrc, posix.R_OK):
        # Mercurial would go on without it, and so without any rule.
        return f'cannot read {hgrc}; tell the administrator of this server'
    try:
        posix.chdir('/')  # where no repository's settings can be found
        posix.execve(
            hg,
            [hg, 'pash::session', '--', user],
            environment(hgrc, posix.environ),
        )
    except OSError as problem:
        return f'cannot run {hg}: {problem.strerror}'


if __name__ == '__main__':
    sys.exit(f'hgfleet: {main(sys.argv[1:])}')
