"""Who may do what to which repository.

The rules are the lines of ``[access]`` in hgrc, in their order:

    [access]
    users/** = *:create
    releases/* = release-team:write, *:read
    secret/** = @alice:admin, auditors:read
    ** = staff:write, *:read

On the left stands a glob over repository names.  ``*`` is any run of
characters within one part of a name; ``**``, standing alone as a part, is
any number of parts (at the end: at least one).

On the right stand grants, separated by commas.  A grant is a *subject*, a
colon and a *verb*.  The subject is a group, ``@`` and a user's name, or
``*`` for every enabled user.  A verb includes those before it: ``read``,
``write``, ``create`` (make a repository of that name), ``admin``.

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
    """One line: a glob, and what it grants to whom."""

    glob: str
    grants: tuple[tuple[str, Verb], ...]

    @staticmethod
    def parse(glob: str, value: str) -> Rule:
        """Read one line; SettingError when it is outside the grammar."""
        _pattern(glob)
        parts = [part.strip() for part in value.split(',')]
        grants = [] if parts == [''] else [_grant(glob, one) for one in parts]
        return Rule(glob, tuple(grants))

    def __str__(self) -> str:
        grants = ', '.join(f'{subject}:{verb}' for subject, verb in self.grants)
        return f'{self.glob} = {grants}'.rstrip()

    def matches(self, repo: str) -> bool:
        """Tell whether the glob covers a repository's name."""
        return re.fullmatch(_pattern(self.glob), repo) is not None

    def highest(self, user: str, groups: Collection[str]) -> Verb | None:
        """Return the largest verb that an enabled user is granted."""
        verbs = [
            verb
            for subject, verb in self.grants
            if _is_meant(subject, user, groups)
        ]
        return max(verbs, default=None)


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
    rule = next((one for one in rules.rules if one.matches(repo)), None)
    if rule is None:
        return Decision(False, f'no line of [access] covers {repo}')
    held = rule.highest(user, groups)
    if held is not None and held >= verb:
        return Decision(True, f'[access] {rule}')
    given = f'gives {user} only {held}' if held else f'gives {user} nothing'
    return Decision(False, f'[access] {rule}: {given}, not {verb}')


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


def _grant(glob: str, text: str) -> tuple[str, Verb]:
    subject, _colon, verb = (part.strip() for part in text.partition(':'))
    try:
        if subject.startswith('@'):
            names.person(subject[1:])
        elif subject != '*':
            group(subject)
        return subject, Verb[verb.upper()]
    except (NameRefused, KeyError):
        raise SettingError(
            f'[access] {glob} grants {text!r}',
            'write group:verb, @user:verb or *:verb, where the verb is '
            'read, write, create or admin',
        ) from None


def _pattern(glob: str) -> str:
    """Return a regular expression that matches what ``glob`` does."""
    parts = glob.split('/')
    if not all(
        part == '**' or (_PART.match(part) and '**' not in part)
        for part in parts
    ):
        raise SettingError(
            f'[access] {glob!r} is not a glob over repository names',
            'join parts by "/"; a part is "**", or made of "*" and the '
            'characters of repository names',
        )
    pieces = []
    for number, part in enumerate(parts, 1):
        last = number == len(parts)
        if part == '**':
            pieces.append('.+' if last else '(?:[^/]+/)*')
        else:
            body = '[^/]*'.join(re.escape(one) for one in part.split('*'))
            pieces.append(body if last else f'{body}/')
    return ''.join(pieces)
