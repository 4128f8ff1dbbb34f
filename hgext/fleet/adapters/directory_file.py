"""The directory as one TOML file, and the changes that commands make to it.

    [users.alice]
    keys = [
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI… alice@laptop",
    ]
    groups = ["staff", "release-team"]
    enabled = true

``keys`` and ``groups`` may be left out, and so may ``enabled``: a user is
enabled unless it is false.  A name with other characters than letters,
digits, ``_`` and ``-`` is quoted: ``[users."bob@example.org"]``.

The whole file counts or none of it.  Anything unknown, an unfit name, a key
that is not accepted (see ``core.sshkey``) or one key of two users is a
SettingError that names the user; the file is then refused altogether rather
than read by halves.  A file that cannot be read is DirectoryUnavailable.

:func:`add_user`, :func:`disable` and :func:`enable` replace the file
atomically, keep its mode and owner, and leave comments and layout alone.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from ..core import access, names, sshkey
from ..core.errors import DirectoryUnavailable, FleetError, SettingError
from ..ports import User
from . import tomlfile

Users = dict[str, User]


@dataclass(frozen=True)
class _Content:
    """What is in a file that has this state."""

    state: tuple[int, ...]
    users: Users
    owners: Users


# What was read last of each file; whoever is forked need not read it again.
_known: dict[str, _Content] = {}


class FileDirectory:
    """The directory in a file, which is read again when it has changed."""

    def __init__(self, path: str) -> None:
        self._path = path

    def user(self, name: str) -> User | None:
        """Return the user of that name, or None."""
        return self._content().users.get(name)

    def owner(self, key: str) -> User | None:
        """Return the user who holds a public key (``type base64``)."""
        return self._content().owners.get(' '.join(key.split()[:2]))

    def users(self) -> Iterator[User]:
        """Yield every user, by name."""
        users = self._content().users
        return iter([users[name] for name in sorted(users)])

    def seen(self, name: str) -> None:
        """Nothing is noted in the file."""

    def close(self) -> None:
        """Nothing is kept open."""

    def _content(self) -> _Content:
        known = _known.get(self._path)
        with _failing(self._path, 'read'), open(self._path, 'rb') as file:
            found = os.fstat(file.fileno())
            state = (
                *(found.st_dev, found.st_ino, found.st_size),
                *(found.st_mtime_ns, found.st_ctime_ns),
            )
            if known is not None and known.state == state:
                return known
            data = file.read()
        users = parse(data, self._path)
        known = _Content(state, users, _owners(users))
        _known[self._path] = known
        return known


def parse(data: bytes, path: str) -> Users:
    """Return the users in the bytes of the file ``path``; SettingError."""
    try:
        content = tomlfile.loads(data)
        unknown = content.keys() - {'users'}
        if unknown:
            raise SettingError(f'{min(unknown)!r} is unknown; use [users.NAME]')
        tables = content.get('users', {})
        if not isinstance(tables, dict):
            raise SettingError('"users" is not made of [users.NAME] tables')
        users = {name: _user(name, table) for name, table in tables.items()}
        _owners(users)
    except FleetError as problem:
        raise SettingError(f'{path}: {problem}', problem.hint) from None
    return users


def add_user(
    path: str, name: str, keys: Iterable[str], groups: Iterable[str]
) -> User:
    """Add an enabled user; the file is made when there is none.

    ``keys`` are lines of ``.pub`` files.  Raises SettingError when the user
    exists already or something is not as the file wants it, and
    DirectoryUnavailable when the file cannot be read or written.
    """
    table = {'keys': [key.strip() for key in keys], 'groups': sorted(groups)}
    user = _user(name, table)

    def edit(data: bytes) -> bytes:
        users = parse(data, path)
        if name in users:
            raise SettingError(
                f'{path}: there is already a user {name}',
                'edit that file to change keys and groups',
            )
        _check_keys(users, user)
        gap = b'\n' if data.endswith(b'\n') else b'\n\n'
        new = data + (gap if data else b'') + _render(name, table).encode()
        return _as_meant(new, path, {**users, name: user})

    _change(path, edit)
    return user


def _check_keys(users: Users, new: User) -> None:
    owners = _owners(users)
    for key in new.keys:
        if key in owners:
            raise SettingError(
                f'{new.name} cannot have a key that {owners[key].name} has',
                'a key is how somebody is known: each needs one of their own',
            )


def disable(path: str, name: str) -> None:
    """Lock a user out, keys and groups kept; errors as for add_user."""
    _set_enabled(path, name, False)


def enable(path: str, name: str) -> None:
    """Let a disabled user in again; errors as for add_user."""
    _set_enabled(path, name, True)


def _set_enabled(path: str, name: str, enabled: bool) -> None:
    def edit(data: bytes) -> bytes:
        users = parse(data, path)
        if name not in users:
            raise SettingError(f'{path}: there is no user {name}')
        new = _with_enabled(data.decode(), name, enabled).encode()
        meant = {**users, name: replace(users[name], enabled=enabled)}
        return _as_meant(new, path, meant)

    _change(path, edit)


def _user(name: str, table: Any) -> User:
    names.person(name)
    if not isinstance(table, dict):
        raise SettingError(f'"users.{name}" is not a table')
    unknown = table.keys() - {'keys', 'groups', 'enabled'}
    if unknown:
        raise SettingError(
            f'user {name} has {min(unknown)!r}, which is unknown',
            'use keys, groups and enabled',
        )
    enabled = table.get('enabled', True)
    if not isinstance(enabled, bool):
        raise SettingError(f'user {name}: enabled is neither true nor false')
    try:
        groups = frozenset(map(access.group, _texts(table, 'groups')))
        keys = tuple(map(sshkey.parse, _texts(table, 'keys')))
    except FleetError as problem:
        raise SettingError(f'user {name}: {problem}', problem.hint) from None
    return User(name, groups, enabled, keys)


def _texts(table: dict[str, Any], item: str) -> list[str]:
    value = table.get(item, [])
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return value
    raise SettingError(f'{item} is not a list of texts in quotes')


def _owners(users: Users) -> Users:
    """Return who holds each key; SettingError when two users hold one."""
    owners: Users = {}
    for user in users.values():
        for key in user.keys:
            other = owners.setdefault(key, user)
            if other is not user:
                raise SettingError(
                    f'users {other.name} and {user.name} have the same key',
                    'take it from one of them: a key is how one is known',
                )
    return owners


def _render(name: str, table: dict[str, Any]) -> str:
    """Return a user's table as TOML; all of it has been checked before."""

    def quoted(text: str) -> str:
        escaped = text.replace('\\', '\\\\').replace('"', '\\"')
        return f'"{escaped}"'

    keys = ''.join(f'    {quoted(key)},\n' for key in table['keys'])
    groups = ', '.join(quoted(group) for group in table['groups'])
    return (
        f'[users.{quoted(name)}]\nkeys = [\n{keys}]\n'
        f'groups = [{groups}]\nenabled = true\n'
    )


def _with_enabled(text: str, name: str, enabled: bool) -> str:
    """Return the text with one user's ``enabled`` set, or added."""
    import re

    head = rf'(?m)^\s*\[\s*users\s*\.\s*(["\']?){re.escape(name)}\1\s*\].*\n'
    if not text.endswith('\n'):
        text += '\n'
    start = re.search(head, text)
    if start is None:
        return text
    line = f'enabled = {str(enabled).lower()}'
    rest = text[start.end() :]
    after = re.search(r'(?m)^\s*\[', rest)
    table = rest[: after.start()] if after else rest
    changed, count = re.subn(r'(?m)^\s*enabled\s*=\s*\w+', line, table, count=1)
    if not count:
        changed = f'{line}\n{table}'
    return text[: start.end()] + changed + rest[len(table) :]


def _as_meant(data: bytes, path: str, users: Users) -> bytes:
    """Return ``data`` when it says exactly ``users``; else SettingError."""
    with contextlib.suppress(SettingError):
        if parse(data, path) == users:
            return data
    raise SettingError(
        f'{path} is written in a way that only people can change',
        'write one [users.NAME] table for each user, or edit it by hand',
    )


def _change(path: str, edit: Callable[[bytes], bytes]) -> None:
    """Replace the file by what ``edit`` makes of it, one change at a time."""
    import fcntl

    path = os.path.realpath(path)
    with _failing(path, 'change'), contextlib.ExitStack() as stack:
        folder = os.open(os.path.dirname(path), os.O_RDONLY)
        stack.callback(os.close, folder)
        fcntl.flock(folder, fcntl.LOCK_EX)
        data, like = b'', None
        with contextlib.suppress(FileNotFoundError), open(path, 'rb') as file:
            data, like = file.read(), os.fstat(file.fileno())
        _write(f'{path}.new', edit(data), like)
        os.replace(f'{path}.new', path)
        os.fsync(folder)


def _write(path: str, data: bytes, like: os.stat_result | None) -> None:
    with open(path, 'wb') as file:
        if like is None:  # public keys are public
            os.fchmod(file.fileno(), 0o644)
        else:
            os.fchmod(file.fileno(), like.st_mode & 0o7777)
            if os.geteuid() == 0:
                os.fchown(file.fileno(), like.st_uid, like.st_gid)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def _failing(path: str, doing: str) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise DirectoryUnavailable(
            f'cannot {doing} the file of users {path}: {problem.strerror}',
            'check [fleet] directory, and the owner and mode of that file',
        ) from None
