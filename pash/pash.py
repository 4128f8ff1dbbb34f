"""The forced command: cleans the environment and becomes the session.

sshd runs this for every connection, as our key look-up told it to:

    python -I -S pash.py --hg /venv/bin/hg --hgrc FILE --warm SOCKET USER

Its arguments are trusted: they come from the look-up's answer.  What the
client asked for is in SSH_ORIGINAL_COMMAND and is not looked at here; it is
handed on, as it is, to the one place that parses it.  The session is
``hg pash::session USER`` in an environment that is built from nothing: a
client or an account's start-up files can add no variable to it.

Where a warm server answers at SOCKET, the session is a child of that, which
gets our descriptors, and we wait for its end.  As long as it has not said
that it is ready and we have not said "go", nothing has happened, and we
become the session ourselves; what is said is in the manual of
``hgext3rd.warmserver.request``.

It is a script and not a module of the package, since every import costs
each connection time: with -I and -S, and only built-in modules, it adds
about a millisecond to the start of an interpreter.
"""

from __future__ import annotations

import posix
import sys

# Seconds in which the warm server must have said that it is ready.
PATIENCE = 10.0
# What it takes at most; see hgext3rd.warmserver.request.
LARGEST = 60000
# The longest address of a socket.
LONGEST = 100
# What a session ends with when the process that serves it is killed.
BROKEN = 70

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


def warm(
    path: str, user: str, hgrc: str, outer: dict[bytes, bytes]
) -> int | None:
    """Have the warm server at ``path`` serve; return the exit code.

    None when it does not, for whatever reason: nothing has been touched.
    """
    try:
        import _socket
    except ImportError:
        return None
    umask = posix.umask(0o077)
    posix.umask(umask)
    packet = b'\0'.join(
        (
            b'hgfleet 1',
            b'%o' % umask,
            user.encode(errors='surrogateescape'),
            outer.get(b'SSH_ORIGINAL_COMMAND', b''),
            *(b'%s=%s' % (name, outer[name]) for name in KEPT if name in outer),
            b'HGRCPATH=' + hgrc.encode(errors='surrogateescape'),
        )
    )
    if len(packet) > LARGEST:
        return None
    link = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    try:
        link.settimeout(PATIENCE)
        if len(path) > LONGEST:
            # The kernel takes no longer ones; by way of the folder it does.
            folder, _slash, name = path.rpartition('/')
            opened = posix.open(folder, posix.O_RDONLY)
            path = f'/proc/self/fd/{opened}/{name}'
        link.connect(path)
        ours = b''.join(n.to_bytes(4, sys.byteorder) for n in (0, 1, 2))
        rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, ours)
        link.sendmsg([packet], [rights])
        if link.recv(LARGEST) != b'ready':
            link.close()
            return None
        link.send(b'go')
    except OSError:
        link.close()
        return None
    return ended(link)


def ended(link: object) -> int:
    """Wait for the end of the session; return its exit code."""
    try:
        link.settimeout(None)  # type: ignore[attr-defined]
        said = link.recv(LARGEST)  # type: ignore[attr-defined]
    except OSError:
        said = b''
    status = said[len(b'exit ') :]
    return int(status) if status.isdigit() else BROKEN


def main(argv: list[str]) -> str | int:
    """Become the session; on failure return what to tell the client."""
    socket = ''
    if len(argv) == 7 and argv[4] == '--warm':
        socket = argv[5]
        del argv[4:6]
    if len(argv) != 5 or argv[0] != '--hg' or argv[2] != '--hgrc':
        return 'usage: pash.py --hg FILE --hgrc FILE [--warm SOCKET] USER'
    hg, hgrc, user = argv[1], argv[3], argv[4]
    if not posix.access(hgrc, posix.R_OK):
        # Mercurial would go on without it, and so without any rule.
        return f'cannot read {hgrc}; tell the administrator of this server'
    if socket:
        status = warm(socket, user, hgrc, posix.environ)
        if status is not None:
            return status
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
    ending = main(sys.argv[1:])
    sys.exit(f'hgfleet: {ending}' if isinstance(ending, str) else ending)
