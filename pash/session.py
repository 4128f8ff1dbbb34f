"""One SSH session: who asks for what, may they, and then the serving.

The session holds for one person and one request.  It decides in this order,
and the first No ends it: the person is known to the directory and enabled;
the request is inside the grammar; the person may read the repository; the
repository is there.  A repository that is missing and one that the person
may not read are answered in the same words.
"""

from __future__ import annotations

import os
import select
import time
import traceback
from contextlib import closing
from typing import Any

from mercurial import encoding, error, wireprotoserver

from hgext3rd.fleet import adapters, compat, edge, settings
from hgext3rd.fleet.core import access, names
from hgext3rd.fleet.core.access import Decision, Verb
from hgext3rd.fleet.core.errors import Denied, FleetError, SettingError
from hgext3rd.fleet.ports import Directory, User
from hgext3rd.replicate import boot, follow
from hgext3rd.replicate.node import Node

from . import grammar, readonly

REFUSED = 1
BROKEN = 70  # EX_SOFTWARE of sysexits.h
LATER = 75  # EX_TEMPFAIL of sysexits.h

_STDIN = 0

_BANNER = """\
Hello {name}. This is a Mercurial server; there is no shell here.

  your groups:  {groups}
  to clone:     hg clone {url}REPOSITORY
  to push:      hg push (in your clone)
"""


def run(ui: Any, person: str) -> int:
    """Serve the person whom sshd has recognised; return the exit code."""
    command = edge.text(encoding.environ.get(b'HGFLEET_COMMAND', b''))
    try:
        with closing(_directory(ui)) as directory:
            user = _known(directory, names.person(person))
            # Nobody waits for what is noted after the session.
            try:
                return _answer(ui, user, grammar.parse(command))
            finally:
                directory.seen(user.name)
    except FleetError as problem:
        ui.log(
            b'pash', b'%s: %s\n', edge.local(person), edge.local(f'{problem}')
        )
        ui.error(edge.local(f'hgfleet: {problem}\n'))
        if problem.hint:
            ui.error(edge.local(f'({problem.hint})\n'))
        return LATER if problem.retry else REFUSED


def _directory(ui: Any) -> Directory:
    def told(name: str, age: float) -> None:
        ui.log(
            b'pash',
            b'%s: the directory is away, and this was proven %d s ago\n',
            edge.local(name),
            int(age),
        )

    return adapters.open_directory(_setting(ui, b'directory'), told)


def _known(directory: Directory, person: str) -> User:
    user = directory.user(person)
    if user is None:
        raise Denied(f'{person} is not known here', 'ask an administrator')
    if not user.enabled:
        raise Denied(f'{person} is locked out', 'ask an administrator')
    return user


def _answer(ui: Any, user: User, request: grammar.Request) -> int:
    match request:
        case grammar.Serve(repo):
            return _serve(ui, user, repo)
        case grammar.Banner():
            ui.write(edge.local(banner(user, edge.text(_url(ui)))))
            return 0
        case grammar.Refused(reason, hint):
            raise Denied(reason, hint)


def banner(user: User, url: str) -> str:
    """Return the greeting for somebody who asked for nothing."""
    groups = ', '.join(sorted(user.groups)) or 'none'
    return _BANNER.format(name=user.name, groups=groups, url=url)


def _serve(ui: Any, user: User, repo: str) -> int:
    """Do what ``hg -R REPO serve --stdio`` does, as far as it is allowed."""
    rules = settings.rules(ui.configitems(b'access'))

    def ask(verb: Verb) -> Decision:
        return access.decide(rules, user.name, user.groups, repo, verb)

    reading, writing = ask(Verb.READ), ask(Verb.WRITE)
    path = place(_setting(ui, b'root'), repo)
    if path is None or not reading.allowed:
        ui.log(b'pash', b'%s\n', edge.local(reading.reason))
        raise Denied(f'repository {repo} does not exist or you may not read it')
    ui.setconfig(b'fleet', b'user', edge.local(user.name), b'pash')
    for variable in (b'LOGNAME', b'USER', b'REMOTE_USER'):
        # what Mercurial and hooks take for the person who pushes
        encoding.environ[variable] = edge.local(user.name)
    if ui.config(b'fleet', b'ledger'):
        # A repository that a power cut has hit may not even open.
        boot.guard(Node.of(ui).hosted(repo))
    opened = compat.repository(ui, edge.local(path))
    if not writing.allowed:
        ui.log(b'pash', b'%s\n', edge.local(writing.reason))
        readonly.enforce(opened, f'{user.name} may not write to {repo}')
    hosted = getattr(opened.unfiltered(), '_fleet', None)
    if hosted is not None:
        follow.refresh(hosted, opened)
    try:
        wireprotoserver.sshserver(opened.ui, opened).serve_forever()
    except error.Error:
        raise  # Mercurial says these in one line
    except Exception as problem:  # noqa: BLE001 kept for the administrator
        return _hung_up(ui) if _has_gone(problem) else _broken(ui)
    finally:
        opened.close()
    return 0


def _has_gone(problem: Exception) -> bool:
    """Tell whether this is what a client that hangs up makes of a session.

    In the middle of a request Mercurial finds nothing where it expects a
    number.
    """
    if isinstance(problem, ValueError):
        return _at_end(_STDIN)
    return isinstance(problem, BrokenPipeError | ConnectionResetError)


def _at_end(descriptor: int) -> bool:
    """Tell whether there is nothing to read, and never will be."""
    try:
        ready, _, _ = select.select([descriptor], [], [], 0)
        return bool(ready) and not os.read(descriptor, 1)
    except OSError:
        return True


def _hung_up(ui: Any) -> int:
    ui.log(b'pash', b'the client hung up in the middle of a request\n')
    ui.error(b'hgfleet: the connection ended in the middle of a request\n')
    return LATER


def _broken(ui: Any) -> int:
    """Keep the traceback of a defect; tell the client only where it is."""
    when = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())
    with open(os.path.join(_setting(ui, b'state'), 'errors.log'), 'a') as file:
        file.write(f'{when} pid {os.getpid()}\n{traceback.format_exc()}\n')
    ui.error(
        b'hgfleet: this server failed to answer\n'
        b'(tell its administrator to look into errors.log at %s)\n'
        % when.encode()
    )
    return BROKEN


def place(root: str, repo: str) -> str | None:
    """Return the path of a repository, or None when it is not there.

    ``repo`` is a repository name.  A symbolic link anywhere below ``root``
    could lead to another repository than the rules were asked about.
    """
    path = os.path.join(os.path.realpath(root), repo)
    inside = os.path.join(path, '.hg')
    if os.path.realpath(inside) == inside and os.path.isdir(inside):
        return path
    return None


def _setting(ui: Any, item: bytes) -> str:
    value = ui.config(b'fleet', item)
    if value:
        return edge.text(value)
    raise SettingError(f'fleet.{edge.text(item)} is not set on this server')


def _url(ui: Any) -> bytes:
    url: bytes = ui.config(b'fleet', b'ssh') or b'ssh://HOST/'
    return url if url.endswith(b'/') else url + b'/'
