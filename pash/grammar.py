"""What a person may ask for over SSH, as types.

``parse`` is total: whatever bytes arrive, it returns one of the types below
and raises nothing.  Nothing outside the grammar is ever executed; a request
that is inside it is carried out from its type, never from its text.

    request = ""                                                -> Banner
            | "--json"                                          -> Banner
            | "help" [ json ]                                   -> Help
            | hg " -R " name " serve --stdio"                   -> Serve
            | "clone" [ json ] " " new [ " " name ]             -> Clone
            | "edit" [ json ] " " name [ " " change ]           -> Edit
            | "repo-group" [ json ] " " name                    -> Group
            | "repo-config" [ json ] " " name                   -> Config
    json    = " --json"
    hg      = "hg" | "hg:for=" user | "'hg:for=" user "'"
    name    = path | "'" path "'"
    path    = [ "/" ] repository [ "/" ]
    new     = name | short
    change  = "description " text | "publishing " yesno
            | "obsolescence " yesno | "delete YES"
    yesno   = "yes" | "no"

Words are separated by exactly one space.  ``repository`` is a repository
name and ``user`` a user's name as ``hgext3rd.fleet.core.names`` defines them.
A name stands plain or in one pair of single quotes, since Mercurial's client
quotes names with a ``+`` in some versions and not in others.  One slash
before it and one after are dropped: ``ssh://host/demo``, ``ssh://host//demo``
and ``ssh://host/demo/`` are the same repository.  ``short`` is a name without
any slash: that repository is made in the home of whoever asks.  ``text`` is
all that is left of the line; it alone may have characters beyond ASCII.
Everything else is Refused, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass

from hgext3rd.fleet.core import names
from hgext3rd.fleet.core.errors import NameRefused

LONGEST = 512
"""The most characters that a request may have."""

_AFTER = ' serve --stdio'
_FOR = 'hg:for='
_JSON = '--json'


@dataclass(frozen=True)
class Serve:
    """Speak Mercurial's wire protocol about one repository.

    ``on_behalf_of`` is the user in whose name it is pushed, or ''.
    """

    repo: str
    on_behalf_of: str = ''


@dataclass(frozen=True)
class Banner:
    """Say who is asking, and how the fleet is used."""

    json: bool = False


@dataclass(frozen=True)
class Help:
    """Say what may be asked for."""

    json: bool = False


@dataclass(frozen=True)
class Clone:
    """Make a repository; empty, or with all that ``source`` has.

    A ``name`` without a slash is one in the home of whoever asks, unless it
    is ``at_top``.
    """

    name: str
    source: str = ''
    at_top: bool = False
    json: bool = False


@dataclass(frozen=True)
class Set:
    """Give a setting of a repository a value."""

    setting: str
    value: str


@dataclass(frozen=True)
class Delete:
    """Remove the repository."""


@dataclass(frozen=True)
class Edit:
    """Change a repository, or without a change, say what it is like."""

    repo: str
    change: Set | Delete | None = None
    json: bool = False


@dataclass(frozen=True)
class Group:
    """Say who may do what to a repository."""

    repo: str
    json: bool = False


@dataclass(frozen=True)
class Config:
    """Show the settings of a repository."""

    repo: str
    json: bool = False


@dataclass(frozen=True)
class Refused:
    """Do nothing but say why, and what to do instead."""

    reason: str
    hint: str


Request = Serve | Banner | Help | Clone | Edit | Group | Config
Parsed = Request | Refused

DESCRIPTION = 'description'
SWITCHES = ('publishing', 'obsolescence')
"""The settings that are on or off."""


_WHOLE: dict[str, Request] = {
    _JSON: Banner(json=True),
    'help': Help(),
    f'help {_JSON}': Help(json=True),
}


class _NotInGrammar(Exception):
    """The reason is its text."""


def parse(command: str | None) -> Parsed:
    """Return what ``command``, from SSH_ORIGINAL_COMMAND, asks for."""
    if not command:
        return Banner()
    if len(command) > LONGEST:
        return _refused(f'the command has more than {LONGEST} characters')
    before = command.partition(f' {DESCRIPTION} ')[0]
    if not (before.isascii() and command.isprintable()):
        return _refused('the command has characters that cannot be printed')
    if command.startswith('hg init '):
        return Refused(
            'a repository cannot be created with "hg init"',
            'use "clone NAME" over SSH; see "help"',
        )
    try:
        return _request(command)
    except _NotInGrammar as problem:
        return _refused(str(problem))
    except NameRefused as problem:
        return Refused(str(problem), problem.hint)


def render(request: Request) -> str:
    """Return the command that ``parse`` reads as ``request``."""
    match request:
        case Serve(repo, other):
            program = f'{_FOR}{other}' if other else 'hg'
            return f'{program} -R {repo}{_AFTER}'
        case Banner(json):
            return _JSON if json else ''
        case Help(json):
            return _words('help', json)
        case Clone(name, source, at_top, json):
            return _words('clone', json, '/' * at_top + name, source)
        case Edit(repo, change, json):
            return _words('edit', json, repo, *_change_words(change))
        case Group(repo, json):
            return _words('repo-group', json, repo)
        case Config(repo, json):
            return _words('repo-config', json, repo)


def _request(command: str) -> Request:
    if command in _WHOLE:
        return _WHOLE[command]
    word, _space, rest = command.partition(' ')
    if word.startswith(('hg', "'hg")):
        return _serve(word, rest)
    json, rest = _wants_json(rest)
    if word == 'clone':
        return _clone(rest, json)
    if word == 'edit':
        name, given, change = rest.partition(' ')
        return Edit(_name(name), _change(change) if given else None, json)
    if word == 'repo-group':
        return Group(_name(rest), json)
    if word == 'repo-config':
        return Config(_name(rest), json)
    raise _NotInGrammar('this command is not allowed here')


def _wants_json(rest: str) -> tuple[bool, str]:
    first, space, after = rest.partition(' ')
    if first != _JSON:
        return False, rest
    if space and not after:
        raise _NotInGrammar('there is a space at the end of the command')
    return True, after


def _serve(word: str, rest: str) -> Serve:
    other = ''
    if word != 'hg':
        word = _unquoted(word)
        other = word.removeprefix(_FOR)
        if other == word:
            raise _NotInGrammar('this command is not allowed here')
        names.person(other)
    name = rest.removeprefix('-R ').removesuffix(_AFTER)
    if rest != f'-R {name}{_AFTER}':
        raise _NotInGrammar('this command is not allowed here')
    return Serve(_name(name), other)


def _clone(rest: str, json: bool) -> Clone:
    name, given, source = rest.partition(' ')
    if given and not source:
        raise _NotInGrammar('there is a space at the end of the command')
    new = _name(name)
    at_top = '/' not in new and _unquoted(name).startswith('/')
    return Clone(new, _name(source) if given else '', at_top, json)


def _change(words: str) -> Set | Delete:
    what, _space, value = words.partition(' ')
    if what == DESCRIPTION and value.strip() == value != '':
        return Set(what, value)
    if not words.isascii():
        raise _NotInGrammar('only a description may have such characters')
    if what in SWITCHES and value in ('yes', 'no'):
        return Set(what, value)
    if words == 'delete YES':
        return Delete()
    raise _NotInGrammar(
        'a change is "description TEXT", "publishing yes|no", '
        '"obsolescence yes|no" or "delete YES"'
    )


def _change_words(change: Set | Delete | None) -> tuple[str, ...]:
    match change:
        case Set(setting, value):
            return (setting, value)
        case Delete():
            return ('delete', 'YES')
        case None:
            return ()


def _name(text: str) -> str:
    name = _unquoted(text)
    return names.repository(name.removeprefix('/').removesuffix('/'))


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1]
    return text


def _words(word: str, json: bool, *more: str) -> str:
    return ' '.join([word, *[_JSON] * json, *[one for one in more if one]])


def _refused(reason: str) -> Refused:
    return Refused(
        reason,
        'use "hg clone", "hg pull" and "hg push"; "help" tells what else '
        'there is',
    )
