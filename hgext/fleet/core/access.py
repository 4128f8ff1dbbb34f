"""Who may do what to which repository.

The rules are the lines of ``[access]`` in hgrc, in their order:

    [access]
    users/{user}/** = *:admin
    releases/* = release-team:write, landing:act, *:read
    secret/** = @alice:admin, auditors:read
    ** = staff:write, *:read

On the left stands a glob over repository names.  ``*`` is any run of
characters within one part of a name; ``**``, standing alone as a part, is
any number of parts (at the end: at least one).  ``{user}``, standing alone
as a part, is the home of whoever asks, as :func:`names.home` has it.

On the right stand grants, separated by commas.  A grant is a *subject*, a
colon and a *verb*.  The subject is a group, ``@`` and a user's name, or
``*`` for every enabled user.  A verb includes those before it: ``read``,
``write``, ``create`` (make a repository of that name), ``admin`` (change its
settings, and delete it).

Besides these there is ``act``, which includes none and is included in none:
to push in the name of another user.  What such a push may do is what the one
who acts may do; the other's name is what is recorded.

The first line whose glob matches decides alone: when none of its grants
covers the request, the request is denied, whatever later lines say.  A line
with nothing on the right shuts everybody out.  Where no line matches,
everything is denied.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from . import names
from .errors import NameRefused, SettingError

_GROUP = re.compile(r'[A-Za-z0-9][A-Za-z0-9._+-]{0,99}\Z')
_PART = re.compile(r'[A-Za-z0-9._+*-]+\Z')
_HOME = '{user}'
_ACT = 'act'


class Verb(enum.IntEnum):
    """What one may do; each verb includes the smaller ones."""

    READ = 1
    WRITE = 2
    CREATE = 3
    ADMIN = 4

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Decision:
    """The answer, and the line of the rules that gave it."""

    allowed: bool
    reason: str


@dataclass(frozen=True)
class Rule:
    """One line: a glob, what it grants to whom, and who may act."""

    glob: str
    grants: tuple[tuple[str, Verb], ...]
    actors: tuple[str, ...] = ()

    @staticmethod
    def parse(glob: str, value: str) -> Rule:
        """Read one line; SettingError when it is outside the grammar."""
        _pattern(glob)
        parts = [part.strip() for part in value.split(',')]
        both = [] if parts == [''] else [_grant(glob, one) for one in parts]
        return Rule(
            glob,
            tuple((subject, verb) for subject, verb in both if verb),
            tuple(subject for subject, verb in both if not verb),
        )

    def __str__(self) -> str:
        grants = [f'{subject}:{verb}' for subject, verb in self.grants]
        grants += [f'{subject}:{_ACT}' for subject in self.actors]
        return f'{self.glob} = {", ".join(grants)}'.rstrip()

    def matches(self, repo: str, user: str = '') -> bool:
        """Tell whether the glob covers a repository's name, for a user."""
        pattern = _pattern(self.glob, names.home(user) if user else '')
        return re.fullmatch(pattern, repo) is not None

    def highest(self, user: str, groups: Collection[str]) -> Verb | None:
        """Return the largest verb that an enabled user is granted."""
        verbs = [
            verb
            for subject, verb in self.grants
            if _is_meant(subject, user, groups)
        ]
        return max(verbs, default=None)

    def acts(self, user: str, groups: Collection[str]) -> bool:
        """Tell whether an enabled user may act for others."""
        return any(_is_meant(one, user, groups) for one in self.actors)


@dataclass(frozen=True)
class Rules:
    """All lines, in the order in which they are tried."""

    rules: tuple[Rule, ...]

    @staticmethod
    def parse(items: Iterable[tuple[str, str]]) -> Rules:
        """Read (glob, grants) pairs; SettingError when one is wrong."""
        return Rules(tuple(Rule.parse(glob, value) for glob, value in items))


def decide(
    rules: Rules, user: str, groups: Collection[str], repo: str, verb: Verb
) -> Decision:
    """Decide whether an enabled user may do ``verb`` to ``repo``."""
    rule = first(rules, user, repo)
    if rule is None:
        return Decision(False, f'no line of [access] covers {repo}')
    held = rule.highest(user, groups)
    if held is not None and held >= verb:
        return Decision(True, f'[access] {rule}')
    given = f'gives {user} only {held}' if held else f'gives {user} nothing'
    return Decision(False, f'[access] {rule}: {given}, not {verb}')


def decide_acting(
    rules: Rules, user: str, groups: Collection[str], repo: str
) -> Decision:
    """Decide whether an enabled user may push to ``repo`` for another."""
    rule = first(rules, user, repo)
    if rule is None:
        return Decision(False, f'no line of [access] covers {repo}')
    if rule.acts(user, groups):
        return Decision(True, f'[access] {rule}')
    return Decision(False, f'[access] {rule}: does not let {user} act')


def held(
    rules: Rules, user: str, groups: Collection[str]
) -> list[tuple[str, Verb]]:
    """Return what an enabled user is granted, by glob, in their order."""
    found = []
    for rule in rules.rules:
        verb = rule.highest(user, groups)
        home = names.home(user)
        if verb is not None and (home or _HOME not in rule.glob):
            found.append((rule.glob.replace(_HOME, home), verb))
    return found


def first(rules: Rules, user: str, repo: str) -> Rule | None:
    """Return the line that decides what a user may do to a repository."""
    return next((one for one in rules.rules if one.matches(repo, user)), None)


def group(name: str) -> str:
    """Return ``name`` when it is the name of a group; else NameRefused."""
    if _GROUP.match(name):
        return name
    raise NameRefused(
        f'{name[:100]!r} is not a group name',
        'use letters, digits, ".", "_", "-" and "+"',
    )


def _is_meant(subject: str, user: str, groups: Collection[str]) -> bool:
    # Whatever a directory calls a group, only "@" means a person.
    if subject.startswith('@'):
        return subject == f'@{user}'
    return subject == '*' or subject in groups


def _grant(glob: str, text: str) -> tuple[str, Verb | None]:
    subject, _colon, verb = (part.strip() for part in text.partition(':'))
    try:
        if subject.startswith('@'):
            names.person(subject[1:])
        elif subject != '*':
            group(subject)
        return subject, None if verb == _ACT else Verb[verb.upper()]
    except (NameRefused, KeyError):
        raise SettingError(
            f'[access] {glob} grants {text!r}',
            'write group:verb, @user:verb or *:verb, where the verb is '
            'read, write, create, admin or act',
        ) from None


def _pattern(glob: str, home: str = '') -> str:
    """Return a regular expression that matches what ``glob`` does."""
    parts = glob.split('/')
    if not all(
        part in ('**', _HOME) or (_PART.match(part) and '**' not in part)
        for part in parts
    ):
        raise SettingError(
            f'[access] {glob!r} is not a glob over repository names',
            'join parts by "/"; a part is "**", "{user}", or made of "*" and '
            'the characters of repository names',
        )
    pieces = []
    for number, part in enumerate(parts, 1):
        last = number == len(parts)
        if part == '**':
            pieces.append('.+' if last else '(?:[^/]+/)*')
        else:
            body = _part(part, home)
            pieces.append(body if last else f'{body}/')
    return ''.join(pieces)


def _part(part: str, home: str) -> str:
    if part == _HOME:
        # Nothing matches, for who has no home.
        return re.escape(home) if home else '(?!)'
    return '[^/]*'.join(re.escape(one) for one in part.split('*'))
