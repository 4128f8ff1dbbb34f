"""sshd's question "who holds this key?", answered from the directory.

sshd runs this as its ``AuthorizedKeysCommand``, with the type and the base64
text of the key that a client offers, and as its
``AuthorizedPrincipalsCommand`` with a certificate:

    python -I -S sshkeys.py --hg /venv/bin/hg --hgrc FILE \\
        --directory file:///etc/hgfleet/users.toml [--warm SOCKET] \\
        [--key-types LIST] [--rsa-bits N] [--audit URL --node NAME] \\
        [--certificate] TYPE BASE64

When an enabled user holds the key, and it is within the limits of
``core.sshkey``, it prints one line in the format of ``authorized_keys``, which
lets that key do nothing but run our forced command with the user's name as
its argument.  For a certificate, the line has the one principal that is an
enabled user in place of the key.  Otherwise it prints nothing, and tells
syslog if a user has been turned away.  It exits 0 in both cases, and 1 with a
line on stderr and in syslog when it cannot tell; sshd then refuses the key.

sshd asks twice for every login, and reading the directory takes longer than
all the rest.  So the answers for a file of users are kept beside it, in an
index: its first line is the state of the file that it was made from and the
limits, and each other line is a question and its answer, as described in
``hgext3rd.fleet.keyholder``.  An index counts only while the file is in that
very state, and only when nobody but this account and root can have written
it.  Where it cannot be written, the file is read every time.

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

_FILE = 'file://'
_NEEDED = frozenset(('--hg', '--hgrc', '--directory'))
_KNOWN = _NEEDED | {'--warm', '--key-types', '--rsa-bits', '--audit', '--node'}
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
    certified = argv[-3:-2] == ['--certificate']
    options = argv[: -3 if certified else -2]
    given = dict(zip(options[::2], options[1::2]))  # noqa: B905 checked below
    if (
        len(options) != 2 * len(given)
        or not _NEEDED <= given.keys() <= _KNOWN
        or ('--audit' in given) != ('--node' in given)
    ):
        from hgext3rd.fleet import keyholder

        raise keyholder.misused()
    text = f'{word(argv[-2])} {word(argv[-1])}'
    name = None
    if not certified:
        path = given['--directory'].removeprefix(_FILE)
        name = recall(path, text, _limits(given))
    if name is None or name[:1] == '!':
        name = _ask(given, text, certified)
    if not name:
        return ''
    hg, hgrc, warm = given['--hg'], given['--hgrc'], given.get('--warm', '')
    return line(hg, hgrc, name, name if certified else text, warm)


def _limits(given: dict[str, str]) -> str:
    """Return the limits as the first line of an index has them."""
    return f'{given.get("--key-types", "-")} {given.get("--rsa-bits", "-")}'


def recall(path: str, question: str, limits: str = '- -') -> str | None:
    """Return the answer that the index of the file ``path`` knows.

    None means that the index does not count.
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
    if not content.startswith(f'{now} {limits}\n'):
        return None
    _before, _found, rest = content.partition(f'\n{question} ')
    return rest.partition('\n')[0]


def state(about: posix.stat_result) -> str:
    """Return what changes whenever a file does."""
    times = f'{about.st_mtime_ns} {about.st_ctime_ns}'
    return f'hgfleet-index-2 {about.st_dev} {about.st_ino} {times}'


def _ask(given: dict[str, str], text: str, certified: bool) -> str:
    """Return who gets in by a key or certificate, or nothing.

    Asks the directory itself where the index does not count.
    """
    from hgext3rd.fleet import keyholder

    path, limits = given['--directory'].removeprefix(_FILE), _limits(given)
    index = keyholder.Index(
        path,
        path + INDEX,
        lambda question: recall(path, question, limits),
        lambda about: f'{state(about)} {limits}',
    )
    return keyholder.find(given, text, certified, index)


def main() -> int:
    """Answer sshd; return the exit code."""
    try:
        sys.stdout.write(answer(sys.argv[1:]))
    except Exception as problem:
        from hgext3rd.fleet.core.errors import FleetError

        if not isinstance(problem, FleetError):
            raise
        from hgext3rd.fleet import keyholder

        keyholder.say(str(problem))
        return 1
    return 0


def _find_packages() -> None:
    """Let a Python that was started with -I and -S import the fleet."""
    sys.path.append(_FOLDER.rpartition('/')[0])
    plain = f'--directory {_FILE}' in ' '.join(sys.argv)
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
