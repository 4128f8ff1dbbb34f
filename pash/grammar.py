"""What a person may ask for over SSH, as types.

``parse`` is total: whatever bytes arrive, it returns one of three types and
raises nothing.  Nothing outside the grammar is ever executed; a request that
is inside it is carried out from its type, never from its text.

    request  = ""                                   -> Banner
             | "help"                               -> Banner
             | "hg -R " name " serve --stdio"       -> Serve
    name     = path | "'" path "'"
    path     = [ "/" ] repository [ "/" ]

Words are separated by exactly one space.  ``repository`` is a repository
name as ``hgext3rd.fleet.core.names`` defines it, and stands plain or in one
pair of single quotes, since Mercurial's client quotes names with a ``+`` in
some versions and not in others.  One slash before it and one after are
dropped: ``ssh://host/demo``, ``ssh://host//demo`` and ``ssh://host/demo/``
are the same repository.  Everything else is Refused, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass

from hgext3rd.fleet.core import names
from hgext3rd.fleet.core.errors import NameRefused

LONGEST = 512
"""The most characters that a request may have."""

_BEFORE = 'hg -R '
_AFTER = ' serve --stdio'


@dataclass(frozen=True)
class Serve:
    """Speak Mercurial's wire protocol about one repository."""

    repo: str


@dataclass(frozen=True)
class Banner:
    """Say who is asking, and how the fleet is used."""


@dataclass(frozen=True)
class Refused:
    """Do nothing but say why, and what to do instead."""

    reason: str
    hint: str


Request = Serve | Banner | Refused


def parse(command: str | None) -> Request:
    """Return what ``command``, from SSH_ORIGINAL_COMMAND, asks for."""
    if not command or command == 'help':
        return Banner()
    if len(command) > LONGEST:
        return _refused(f'the command has more than {LONGEST} characters')
    if not (command.isascii() and command.isprintable()):
        return _refused('the command has characters that cannot be printed')
    if command.startswith(_BEFORE) and command.endswith(_AFTER):
        return _serve(command[len(_BEFORE) : -len(_AFTER)])
    if command.startswith('hg init '):
        return Refused(
            'a repository cannot be created with "hg init"',
            'ask an administrator of this fleet to create it',
        )
    return _refused('this command is not allowed here')


def render(request: Serve) -> str:
    """Return the command that ``parse`` reads as ``request``."""
    return f'{_BEFORE}{request.repo}{_AFTER}'


def _serve(name: str) -> Request:
    if len(name) > 1 and name[0] == name[-1] == "'":
        name = name[1:-1]
    try:
        return Serve(names.repository(name.removeprefix('/').removesuffix('/')))
    except NameRefused as problem:
        return Refused(str(problem), problem.hint)


def _refused(reason: str) -> Refused:
    return Refused(
        reason, 'use "hg clone", "hg pull" and "hg push", or ask for "help"'
    )
