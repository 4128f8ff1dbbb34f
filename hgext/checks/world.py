"""What policies may ask beyond the push: the directory, and an URL.

The directory is opened when it is first asked.  What an URL has answered is
kept in ``checks/`` below ``fleet.state``, so that one answer does for all
sessions of a node for a while.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from mercurial import encoding
from mercurial.node import bin

from ..fleet import adapters, files
from ..fleet.core import names
from ..fleet.core.errors import FleetError, NameRefused, SettingError
from ..fleet.edge import text
from .manifests import Manifests

if TYPE_CHECKING:
    from ..fleet.ports import Directory, User

_LONGEST = 1 << 20
_PATIENCE = 10.0


class Unreachable(FleetError):
    """What is at an URL could not be read."""

    retry = True


class NodeWorld:
    """The world as it is seen from one node, for one repository."""

    def __init__(self, repo: Any) -> None:
        self._repo = repo
        self._directory: Directory | None = None

    def is_user(self, name: str) -> bool:
        """Tell whether that is an enabled user of the directory."""
        user = self._user(name)
        return user is not None and user.enabled

    def groups(self, user: str) -> Collection[str]:
        """Return the groups of a user; none where nobody is called so."""
        found = self._user(user)
        return found.groups if found is not None else ()

    def paths(self, node: str) -> Iterator[str]:
        """Yield the name of every file of a changeset."""
        log = self._repo.changelog
        manifest = log.changelogrevision(log.rev(bin(node))).manifest
        return map(text, Manifests(self._repo).paths(manifest))

    def branch(self, node: str) -> str:
        """Return the named branch that a changeset is on."""
        log = self._repo.changelog
        return text(encoding.fromlocal(log.branchinfo(log.rev(bin(node)))[0]))

    def is_signed(self, said: bytes, signature: bytes, keyring: str) -> bool:
        """Tell whether a key of the keyring has signed the text.

        Raises SettingError where that cannot be found out.
        """
        with tempfile.TemporaryDirectory(prefix='hgfleet-') as folder:
            path = os.path.join(folder, 'signature')
            with open(path, 'wb') as file:
                file.write(signature)
            try:
                done = subprocess.run(
                    [
                        'gpgv',
                        '--homedir',
                        folder,
                        '--keyring',
                        keyring,
                        '--',
                        path,
                        '-',
                    ],
                    input=said,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    timeout=_PATIENCE,
                )
            except (OSError, subprocess.TimeoutExpired):
                raise SettingError(
                    'signatures cannot be looked at: gpgv does not run',
                    'tell an administrator of this server',
                ) from None
        return done.returncode == 0

    def fetch(self, url: str, timeout: float, keep: float) -> bytes:
        """Return what is at a URL, or was within the last ``keep`` seconds.

        Raises Unreachable or SettingError.
        """
        state = text(self._repo.ui.config(b'fleet', b'state') or b'')
        if not state or keep <= 0:
            return _get(url, timeout)
        digest = hashlib.sha256(url.encode()).hexdigest()[:32]
        path = os.path.join(state, 'checks', f'{digest}.json')
        kept = _kept(path, url, keep)
        if kept is not None:
            return kept
        data = _get(url, timeout)
        said = {'url': url, 'time': time.time(), 'data': data.hex()}
        os.makedirs(os.path.dirname(path), exist_ok=True)
        files.replace(path, json.dumps(said).encode())
        return data

    def _user(self, name: str) -> User | None:
        if self._directory is None:
            url = self._repo.ui.config(b'fleet', b'directory')
            if not url:
                raise SettingError(
                    'fleet.directory is not set on this server',
                    'tell an administrator of this server',
                )
            self._directory = adapters.open_directory(text(url))
        try:
            return self._directory.user(names.person(name))
        except NameRefused:
            return None


def _kept(path: str, url: str, keep: float) -> bytes | None:
    try:
        with open(path, 'rb') as file:
            said = json.loads(file.read())
        age = time.time() - said['time']
        fresh = said['url'] == url and 0 <= age < keep
        return bytes.fromhex(said['data']) if fresh else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _get(url: str, timeout: float) -> bytes:
    import http.client
    import urllib.request

    if not url.startswith(('http://', 'https://')):
        raise SettingError(f'{url[:200]} is not an URL', 'use https://...')
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            data: bytes = answer.read(_LONGEST)
            return data
    except (OSError, http.client.HTTPException, ValueError) as problem:
        raise Unreachable(
            f'{url} cannot be read ({type(problem).__name__})',
            'try again later',
        ) from None
