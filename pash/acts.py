"""What people do to repositories over SSH besides cloning and pushing.

Making a repository, changing it and looking at it; each returns what there
is to say, for people and for programs.  Whatever changes something goes
through the ledger, and is there on every node.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mercurial import config, exchange, extensions

from hgext3rd import readonly
from hgext3rd.fleet import auditing, compat, edge
from hgext3rd.fleet.core import access, hgrctext, names
from hgext3rd.fleet.core.access import Verb
from hgext3rd.fleet.core.errors import Denied, SettingError
from hgext3rd.replicate import boot, changes
from hgext3rd.replicate.follow import catch_up_patiently
from hgext3rd.replicate.node import Hosted

from .asker import Asker
from .grammar import DESCRIPTION, Clone, Delete, Edit, Set

HOMES = 'users'
_OWN = '[phases]\npublish = no\n'

# Where the settings stand in an hgrc, and what they are when they do not.
_ITEMS = {
    DESCRIPTION: ('web', 'description', ''),
    'publishing': ('phases', 'publish', 'yes'),
    'obsolescence': ('experimental', 'evolution', 'no'),
}
_SAID = {'admin': 'administer'}
_ON = {'publish': 'yes', 'evolution': 'all'}


@dataclass(frozen=True)
class Answer:
    """What is said to people, and to programs."""

    text: str
    data: dict[str, Any]


def clone(asker: Asker, url: str, request: Clone) -> Answer:
    """Make a repository; raises Denied, NameRefused or LedgerError."""
    name = _new_name(asker, request)
    own = name.startswith(f'{HOMES}/{names.home(asker.user.name)}/')
    source = asker.path(request.source) if request.source else ''
    decision = asker.may(Verb.CREATE, name)
    if not decision.allowed:
        asker.denied('create', name, decision)
        raise Denied(
            f'{asker.user.name} may not create {name}',
            'ask for the names that you may use: see "help"',
        )
    _refuse_locked(asker, 'create', name)
    hosted = asker.hosted(name)
    changes.create(asker.ui, hosted, _OWN if own else None)
    if source:
        try:
            _fill(asker, hosted, request.source, source)
        except BaseException:
            _take_back(asker, hosted)
            raise
    what = f', with all that {request.source} has' if source else ', empty'
    return Answer(
        f'{name} is made{what}; it is cloned with:\n\n  hg clone {url}{name}\n',
        {'repo': name, 'source': request.source, 'url': f'{url}{name}'},
    )


def _new_name(asker: Asker, request: Clone) -> str:
    if '/' in request.name or request.at_top:
        return request.name
    home = names.home(asker.user.name)
    if not home:
        raise Denied(
            f'{asker.user.name} has no home here for {request.name}',
            'give the whole name of the repository',
        )
    return names.repository(f'{HOMES}/{home}/{request.name}')


def _fill(asker: Asker, hosted: Hosted, name: str, source: str) -> None:
    """Put all that one repository shows into a new one."""
    ui = asker.ui.copy()
    ui.setconfig(b'ui', b'quiet', True, b'pash')
    boot.guard(asker.hosted(name))
    origin = compat.repository(ui, edge.local(source))
    new = compat.repository(ui, edge.local(hosted.path))
    try:
        exchange.pull(new, origin.peer())
    finally:
        origin.close()
        new.close()


def _take_back(asker: Asker, hosted: Hosted) -> None:
    """Remove what has become no copy, unless somebody has pushed there."""
    if not catch_up_patiently(hosted).state.digest:
        changes.delete(asker.ui, hosted)


def edit(asker: Asker, request: Edit) -> Answer:
    """Change a repository, or tell what it is like.

    Raises Denied, SettingError or LedgerError.
    """
    repo = request.repo
    match request.change:
        case None:
            asker.path(repo)
            return _like(asker, repo)
        case Delete():
            hosted = _changeable(asker, repo)
            changes.delete(asker.ui, hosted)
            return Answer(f'{repo} is deleted\n', {'repo': repo})
        case Set(setting, value):
            hosted = _changeable(asker, repo)
            section, item, _default = _ITEMS[setting]
            value = _ON.get(item, value) if value == 'yes' else value
            changes.edit(
                asker.ui,
                hosted,
                lambda hgrc: hgrctext.put(hgrc, section, item, value),
            )
            return _like(asker, repo)


def _changeable(asker: Asker, repo: str) -> Hosted:
    """Return a repository that they may change at this moment."""
    hosted = asker.administered(repo)
    said = _settings(asker, repo).get('readonly', {})
    _refuse_locked(asker, 'admin', repo, said.get('reason', ''))
    return hosted


def _refuse_locked(asker: Asker, event: str, repo: str, own: str = '') -> None:
    """Raise Denied while an administrator has made it read-only."""
    if not any(name == b'readonly' for name, _ in extensions.extensions()):
        return
    reason = readonly.reason(asker.ui, edge.local(own))
    if reason is None:
        return
    auditing.told(asker.ui, event, auditing.DENIED, reason=reason, repo=repo)
    raise Denied(
        f'{repo} is read-only: {reason}', 'ask again when this is over'
    )


def _like(asker: Asker, repo: str) -> Answer:
    found = _settings(asker, repo)
    said: dict[str, Any] = {'repo': repo}
    for setting, (section, item, default) in _ITEMS.items():
        value = found.get(section, {}).get(item, default)
        said[setting] = value
        if setting != DESCRIPTION:
            said[setting] = value in (_ON[item], 'true', 'on', '1', 'always')
    shown = {True: 'yes', False: 'no'}
    lines = [
        f'{name + ":":<15}{shown.get(value, value)}'.rstrip() + '\n'
        for name, value in said.items()
    ]
    return Answer(''.join(lines), said)


def grants(asker: Asker, repo: str) -> Answer:
    """Tell who may do what to a repository; raises Denied."""
    asker.path(repo)
    rule = access.first(asker.rules, asker.user.name, repo)
    if rule is None:
        raise SettingError(f'no line of [access] covers {repo}')
    both = [(who, str(verb)) for who, verb in rule.grants]
    both += [(who, 'act for others') for who in rule.actors]
    lines = [
        f'{"everybody" if who == "*" else who} may {_SAID.get(verb, verb)}\n'
        for who, verb in both
    ]
    return Answer(
        f'{repo}, by the line "{rule}":\n' + ''.join(lines),
        {
            'repo': repo,
            'line': str(rule),
            'grants': [
                {'subject': who, 'verb': verb.partition(' ')[0]}
                for who, verb in both
            ],
        },
    )


def settings(asker: Asker, repo: str) -> Answer:
    """Show the hgrc of a repository; raises Denied."""
    path = asker.path(repo)
    return Answer(
        changes.hgrc(path),
        {'repo': repo, 'settings': _settings(asker, repo)},
    )


def _settings(asker: Asker, repo: str) -> dict[str, dict[str, str]]:
    found = config.config()
    path = f'hgrc of {repo}'
    found.parse(edge.local(path), edge.local(changes.hgrc(asker.path(repo))))
    return {
        edge.text(section): {
            edge.text(item): edge.text(value)
            for item, value in found.items(section)
        }
        for section in found
    }
