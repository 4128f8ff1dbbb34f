"""One SSH session: who asks for what, may they, and then the doing.

The session holds for one person and one request.  It decides in this order,
and the first No ends it: the person is known to the directory and enabled;
the request is inside the grammar; the login is written into the audit; the
person may read the repository; the repository is there; and the person may
do to it what was asked for.
"""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

from mercurial import encoding, error

from hgext3rd.fleet import adapters, auditing, edge, settings
from hgext3rd.fleet.core import names
from hgext3rd.fleet.core.errors import Denied, FleetError, NameRefused
from hgext3rd.fleet.ports import Directory, User

from . import grammar
from .asker import Asker, setting
from .serving import LATER, broken, serve

REFUSED = 1


def run(ui: Any, person: str) -> int:
    """Serve the person whom sshd has recognised; return the exit code."""
    if not person:
        # sshd names somebody.  Who rehearses has no name, and leaves no line.
        ui.error(b'hgfleet: nobody is served without a name\n')
        return REFUSED
    try:
        try:
            return _served(ui, person)
        except (FleetError, error.Error, OSError):
            raise  # the others are said by Mercurial in one line
        except Exception:  # noqa: BLE001 kept for the administrator
            return broken(ui)
    except FleetError as problem:
        ui.log(
            b'pash', b'%s: %s\n', edge.local(person), edge.local(f'{problem}')
        )
        ui.error(edge.local(f'hgfleet: {problem}\n'))
        if problem.hint:
            ui.error(edge.local(f'({problem.hint})\n'))
        return LATER if problem.retry else REFUSED


def _served(ui: Any, person: str) -> int:
    command = edge.text(encoding.environ.get(b'HGFLEET_COMMAND', b''))
    with closing(_directory(ui, command)) as directory:
        request = _let_in(ui, directory, person, command)
        user = request[0]
        # Nobody waits for what is noted after the session.
        try:
            return _answer(ui, directory, *request)
        finally:
            directory.seen(user.name)


def _directory(ui: Any, command: str) -> Directory:
    def told(name: str, age: float) -> None:
        reason = f'the directory is away; proven {age:.0f} s ago'
        ui.log(b'pash', b'%s: %s\n', edge.local(name), edge.local(reason))
        _note(ui, 'cached', auditing.ALLOWED, name, command, reason)

    return adapters.open_directory(setting(ui, b'directory'), told)


def _let_in(
    ui: Any, directory: Directory, person: str, command: str
) -> tuple[User, grammar.Request]:
    """Return who it is, and what they want; raises FleetError."""
    try:
        user = _known(directory, names.person(person))
        request = grammar.parse(command)
        if isinstance(request, grammar.Refused):
            raise Denied(request.reason, request.hint)
    except FleetError as problem:
        # It is refused, whether that can be written down or not.
        no = isinstance(problem, Denied | NameRefused)
        decision = auditing.DENIED if no else auditing.FAILED
        auditing.told(
            ui,
            *('login', decision),
            reason=f'{problem}',
            what=command,
            who=person,
        )
        raise
    _note(ui, 'login', auditing.ALLOWED, user.name, command)
    ui.setconfig(b'fleet', b'user', edge.local(user.name), b'pash')
    return user, request


def _note(
    ui: Any, event: str, decision: str, who: str, what: str, reason: str = ''
) -> None:
    auditing.note(ui, event, decision, reason, what=what, who=who)


def _known(directory: Directory, person: str) -> User:
    user = directory.user(person)
    if user is None:
        raise Denied(f'{person} is not known here', 'ask an administrator')
    if not user.enabled:
        raise Denied(f'{person} is locked out', 'ask an administrator')
    return user


def _answer(
    ui: Any, directory: Directory, user: User, request: grammar.Request
) -> int:
    asker = Asker(ui, user, settings.rules(ui.configitems(b'access')))
    if isinstance(request, grammar.Serve):
        return serve(asker, directory, request)
    # Whoever only pulls and pushes does not pay for importing these.
    from . import acts, words

    url = edge.text(_url(ui))
    match request:
        case grammar.Banner():
            answer = words.banner(asker, url)
        case grammar.Help():
            answer = words.commands(url, names.home(user.name))
        case grammar.Clone():
            answer = acts.clone(asker, url, request)
        case grammar.Edit():
            answer = acts.edit(asker, request)
        case grammar.Group(repo):
            answer = acts.grants(asker, repo)
        case grammar.Config(repo):
            answer = acts.settings(asker, repo)
    said = answer.text
    if request.json:
        said = json.dumps(answer.data, indent=2) + '\n'
    ui.write(edge.local(said))
    return 0


def _url(ui: Any) -> bytes:
    url: bytes = ui.config(b'fleet', b'ssh') or b'ssh://HOST/'
    return url if url.endswith(b'/') else url + b'/'
