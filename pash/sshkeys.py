"""sshd's question "who holds this key?", answered from the directory.

sshd runs this as its ``AuthorizedKeysCommand``, with the type and the base64
text of the key that a client offers:

    python -I -S sshkeys.py --hg /venv/bin/hg --hgrc FILE \\
        --directory file:///etc/hgfleet/users.toml [--warm SOCKET] TYPE BASE64

When an enabled user holds the key it prints one line in the format of
``authorized_keys``, which lets that key do nothing but run our forced
command with the user's name as its argument.  Otherwise it prints nothing.
It exits 0 in both cases, and 1 with a line on stderr when it cannot tell;
sshd then refuses the key.

sshd asks twice for every login, and reading the directory takes longer than
all the rest.  So the answers for a file of users are kept beside it, in an
index: its first line is the state of the file that it was made from, and
each other line is a key and its user.  An index counts only while the file
is in that very state, and only when nobody but this account and root can
have written it.  Where it cannot be written, the file is read every time.

sshd hands the forced command to the account's login shell, so every word of
it is restricted to characters that mean nothing to a shell or to sshd.
"""

from __future__ import annotations

import posix
import sys

LETTERS = frozenset(
    'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_@+=:,./-'
)
INDEX = '.index'
# seconds; a file may change again within one tick of its clock
QUIET = 2.0

_FILE = 'file://'
_FOLDER = __file__.rpartition('/')[0]


def word(text: str) -> str:
    """Return ``text`` when it is harmless to sshd and shells.

    Raises SettingError otherwise.
    """
    if text and LETTERS.issuperset(text) and text[0] != '-':
        return text
    from hgext3rd.fleet.core.errors import SettingError

    raise SettingError(
        f'{text!r} cannot be a word of a command that sshd runs',
        'use a path of letters, digits and "_@+=:,./-"',
    )


def line(hg: str, hgrc: str, user: str, key: str, warm: str = '') -> str:
    """Return the authorized_keys line for a user's key (``type base64``).

    ``warm`` is the socket of a warm server.  Raises SettingError when a word
    is outside the safe alphabet.
    """
    command = (
        f'{word(sys.executable)} -I -S {word(_FOLDER)}/pash.py'
        f' --hg {word(hg)} --hgrc {word(hgrc)}'
        f'{f" --warm {word(warm)}" if warm else ""} {word(user)}'
    )
    return f'restrict,command="{command}" {key}\n'


def answer(argv: list[str]) -> str:
    """Return what sshd is told, for the arguments shown above.

    Raises FleetError when the directory cannot be asked.
    """
    names = ['--hg', '--hgrc', '--directory', '--warm'][: len(argv) // 2 - 1]
    if argv[:-2:2] != names or len(argv) not in (8, 10):
        from hgext3rd.fleet.core.errors import SettingError

        raise SettingError(
            'sshkeys.py was called with other arguments than '
            '--hg FILE --hgrc FILE --directory URL [--warm SOCKET] '
            'TYPE BASE64',
            'correct AuthorizedKeysCommand in the sshd configuration',
        )
    hg, hgrc, url, *more = argv[1:-2:2]
    kind, encoded = argv[-2:]
    key = f'{word(kind)} {word(encoded)}'
    name = recall(url.removeprefix(_FILE), key)
    if name is None:
        name = ask(url, key)
    return line(hg, hgrc, name, key, *more) if name else ''


def recall(path: str, key: str) -> str | None:
    """Return who holds a key, as the index of the file ``path`` knows.

    The empty string means nobody; None, that the index does not count.
    """
    try:
        opened = posix.open(path + INDEX, posix.O_RDONLY | posix.O_NOFOLLOW)
        try:
            about = posix.fstat(opened)
            content = posix.read(opened, about.st_size).decode()
        finally:
            posix.close(opened)
        now = state(posix.stat(path))
    except (OSError, ValueError):
        return None
    if about.st_uid not in (0, posix.geteuid()) or about.st_mode & 0o022:
        return None
    if not content.startswith(f'{now}\n'):
        return None
    _before, _found, rest = content.partition(f'\n{key} ')
    return rest.partition('\n')[0]


def state(about: posix.stat_result) -> str:
    """Return what changes whenever a file does."""
    times = f'{about.st_mtime_ns} {about.st_ctime_ns}'
    return f'hgfleet-index-1 {about.st_dev} {about.st_ino} {times}'


def ask(url: str, key: str) -> str:
    """Return the enabled user who holds a key, or the empty string.

    Asks the directory itself, and makes the index anew.
    """
    from hgext3rd.fleet.adapters import open_directory

    directory = open_directory(url)
    before = None
    if url.startswith(_FILE):
        before = _quiet(url.removeprefix(_FILE))
    user = directory.owner(key)
    if before:
        lines = [
            f'{key} {user.name}\n'
            for user in directory.users()
            if user.enabled
            for key in user.keys
        ]
        _keep(url.removeprefix(_FILE), before, lines)
    return user.name if user is not None and user.enabled else ''


def _quiet(path: str) -> str | None:
    """Return the state of a file that has not changed for a while."""
    import time

    try:
        about = posix.stat(path)
    except OSError:
        return None
    changed = max(about.st_mtime, about.st_ctime)
    return state(about) if time.time() - changed > QUIET else None


def _keep(path: str, before: str, lines: list[str]) -> None:
    """Write the index, unless the file has changed while it was read."""
    import contextlib
    import os

    temporary = f'{path}{INDEX}.{os.getpid()}'
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    # Without an index all goes on, only slower.
    with contextlib.suppress(OSError), contextlib.ExitStack() as undo:
        opened = os.open(temporary, flags, 0o600)
        undo.callback(os.unlink, temporary)
        with os.fdopen(opened, 'w') as file:
            file.writelines([f'{before}\n', *lines])
        if state(posix.stat(path)) == before:
            os.replace(temporary, path + INDEX)
            undo.pop_all()


def main() -> int:
    """Answer sshd; return the exit code."""
    try:
        sys.stdout.write(answer(sys.argv[1:]))
    except Exception as problem:
        from hgext3rd.fleet.core.errors import FleetError

        if not isinstance(problem, FleetError):
            raise
        sys.stderr.write(f'hgfleet: {problem}\n')
        return 1
    return 0


def _find_packages() -> None:
    """Let a Python that was started with -I and -S import the fleet."""
    sys.path.append(_FOLDER.rpartition('/')[0])
    plain = any(one.startswith(_FILE) for one in sys.argv)
    if not plain or sys.version_info < (3, 11):
        # A driver, or tomli, which stands in for tomllib.
        prefix = sys.executable.rpartition('/bin/')[0]
        version = 'python%d.%d' % sys.version_info[:2]
        sys.path.append(f'{prefix}/lib/{version}/site-packages')


if __name__ == '__main__':
    _find_packages()
    code = main()
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # sshd has ended, and nobody wants to know
        code = 1
    # Without taking the interpreter down: a tenth of the time of it all.
    posix._exit(code)
