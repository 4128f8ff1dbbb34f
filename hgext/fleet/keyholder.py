"""Whose a key or a certificate is, asked of the directory for sshd.

This is what the look-up of keys (``fleetpash.sshkeys``) does when its index
does not know.  A *question* is a key, ``type base64``, or ``@`` and the name
of a user.  The *answer* is that user's name; or ``!`` and the name for
somebody who is not to get in by that, because the key is outside of the
limits or the user is locked out; or nothing.

What sshd's commands write on standard error is lost unless sshd runs with
``-e``, so whatever an administrator should know goes to syslog as well, with
the facility authpriv.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from .core import sshcert
from .core.errors import SettingError
from .core.sshkey import KeyRefused, Limits

if TYPE_CHECKING:  # a login waits for every import
    from .ports import Directory, User

# seconds; a file may change again within one tick of its clock
QUIET = 2.0

_FILE = 'file://'
_REFUSED = '!'
_PERSON = '@'


class Index:
    """The answers of a directory that is the file ``source``.

    They are kept in the file ``path``.  ``recall`` returns one, or None where
    the index does not count; ``state`` is what its first line has to be.
    """

    def __init__(
        self,
        source: str,
        path: str,
        recall: Callable[[str], str | None],
        state: Callable[[os.stat_result], str],
    ) -> None:
        self.recall = recall
        self._source = source
        self._path = path
        self._state = state

    def quiet(self) -> str | None:
        """Return the state of a file that has not changed for a while."""
        import time

        try:
            about = os.stat(self._source)
        except OSError:
            return None
        changed = max(about.st_mtime, about.st_ctime)
        return self._state(about) if time.time() - changed > QUIET else None

    def keep(self, before: str, answers: Iterator[tuple[str, str]]) -> None:
        """Write the index, unless the file has changed since ``before``."""
        temporary = f'{self._path}.{os.getpid()}'
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        # Without an index all goes on, only slower.
        with suppress(OSError), ExitStack() as undo:
            opened = os.open(temporary, flags, 0o600)
            undo.callback(os.unlink, temporary)
            with os.fdopen(opened, 'w') as file:
                file.write(f'{before}\n')
                file.writelines(f'{one} {answer}\n' for one, answer in answers)
            if self._state(os.stat(self._source)) == before:
                os.replace(temporary, self._path)
                undo.pop_all()


class _Asked:
    """The directory, asked by way of its index where that counts."""

    def __init__(self, url: str, limits: Limits, index: Index) -> None:
        self._url = url
        self._limits = limits
        self._index = index
        self._ages: dict[str, float] = {}

    def __call__(self, *questions: str) -> list[str]:
        """Return an answer to each question; raises FleetError."""
        known = [self._index.recall(one) for one in questions]
        found = [one for one in known if one is not None]
        if len(found) == len(questions):
            return found
        from .adapters import open_directory

        directory = open_directory(self._url, self._ages.__setitem__)
        is_file = self._url.startswith(_FILE)
        before = self._index.quiet() if is_file else None
        found = [self._answer(directory, one) for one in questions]
        if before:
            everything = (
                one for user in directory.users() for one in self._known(user)
            )
            self._index.keep(before, everything)
        return found

    def _answer(self, directory: Directory, question: str) -> str:
        if question.startswith(_PERSON):
            user = directory.user(question.removeprefix(_PERSON))
        else:
            user = directory.owner(question)
        return dict(self._known(user)).get(question, '') if user else ''

    def _known(self, user: User) -> Iterator[tuple[str, str]]:
        """Yield all questions about a user, with their answers."""
        mark = '' if user.enabled else _REFUSED
        yield f'{_PERSON}{user.name}', f'{mark}{user.name}'
        for key in user.keys if user.enabled else ():
            mark = _REFUSED if why_not(key, self._limits) else ''
            yield key, f'{mark}{user.name}'

    def account_for(self, name: str, by: str, audit: str, node: str) -> None:
        """Write down who is let in by an answer from memory, if it was one.

        ``by`` is what they have; ``audit`` is the place of the audit of
        ``node``; where there is none, syslog is told.  Raises AuditFailed.
        """
        age = self._ages.get(name)
        if age is None:
            return
        why = f'the directory is away; proven {age:.0f} s ago'
        if not audit:
            say(f'{name}: {why}')
            return
        from .audit import Event, write

        write(audit, node, Event('cached', name, 'allowed', why, what=by))


def find(
    given: Mapping[str, str], text: str, certified: bool, index: Index
) -> str:
    """Return who gets in by a key, or a certificate, or nothing.

    ``given`` are the options of the look-up.  Raises FleetError.
    """
    limits = Limits.of(
        given.get('--key-types', ''), given.get('--rsa-bits', '')
    )
    asked = _Asked(given['--directory'], limits, index)
    name = (_subject if certified else _holder)(text, limits, asked)
    asked.account_for(
        name,
        'certificate' if certified else 'key',
        given.get('--audit', ''),
        given.get('--node', ''),
    )
    return name


def _holder(key: str, limits: Limits, asked: _Asked) -> str:
    """Return who gets in by a key; say why somebody does not."""
    (answer,) = asked(key)
    name = answer.removeprefix(_REFUSED)
    if name == answer:
        return name
    say(f'{name} does not get in by a key: {why_not(key, limits)}')
    return ''


def _subject(text: str, limits: Limits, asked: _Asked) -> str:
    """Return who gets in by a certificate; say why somebody does not.

    sshd has verified that somebody whom it trusts has signed it.
    """
    about = 'a certificate'
    try:
        found = sshcert.parse(text)
        about = f'certificate {found.key_id!r}, serial {found.serial}'
        limits.check(found.key)
        people = sshcert.candidates(found)
        answers = asked(*(f'{_PERSON}{name}' for name in people))
        return sshcert.holder(
            {
                name: answer == name
                for name, answer in zip(people, answers, strict=True)
                if answer
            }
        )
    except KeyRefused as problem:
        say(f'nobody gets in by {about}: {problem}')
        return ''


def why_not(key: str, limits: Limits) -> str:
    """Return why a key is outside of the limits, or nothing."""
    try:
        limits.check(key)
    except KeyRefused as problem:
        return str(problem)
    return ''


def misused() -> SettingError:
    """Return what is wrong when the look-up has other options than its."""
    return SettingError(
        'sshkeys.py was called with other arguments than --hg FILE '
        '--hgrc FILE --directory URL [--warm SOCKET] [--key-types LIST] '
        '[--rsa-bits N] [--audit URL --node NAME] [--certificate] TYPE BASE64',
        'correct AuthorizedKeysCommand and AuthorizedPrincipalsCommand in the '
        'sshd configuration',
    )


def say(text: str) -> None:
    """Tell the administrator, in one line."""
    plain = text.encode('ascii', 'backslashreplace').decode()
    plain = ''.join(one if one.isprintable() else '?' for one in plain)
    sys.stderr.write(f'hgfleet: {plain}\n')
    with suppress(ImportError):
        import syslog

        syslog.openlog('hgfleet', 0, syslog.LOG_AUTHPRIV)
        syslog.syslog(syslog.LOG_WARNING, plain)
