"""who may change which files

The rules are the lines of a section of their own, in their order::

  [checks.paths]
  vendor/** = vendor-team, @release-bot
  **.webidl = reviewed by dom-peers
  .arcconfig = forbidden
  docs/** = *

On the left stands a glob over the names of files: ``*`` is any run of
characters within one part of a path, ``**`` any run at all.  On the right
stand those who may push a change of such a file: groups, users after ``@``,
or ``*`` for everybody.  ``reviewed by`` and the same list means that the
description has to name one of them, as ``r=NAME``, who is not the one who
pushes.  ``forbidden`` means nobody.  The first line that matches decides; a
file that no line matches may be changed by everybody.

Of a service that pushes in the name of a user it is the service that must be
among those who may; and neither of them can have reviewed it.

A merge that throws away what one of its sides has done to a file changes that
file.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass

from hgext3rd.fleet.core import access, names
from hgext3rd.fleet.core.checks import (
    Change,
    Failure,
    Failures,
    File,
    Judge,
    Options,
    Push,
    World,
    globs,
)
from hgext3rd.fleet.core.errors import FleetError, SettingError

ITEMS: dict[str, str] = {}

_REVIEWED = 'reviewed by '
_REVIEWERS = re.compile(r'\br=([A-Za-z0-9._@+,-]+)')


@dataclass(frozen=True)
class Rule:
    """One line: files, and who stands for them."""

    glob: str
    matches: Callable[[str], object]
    kind: str
    subjects: tuple[str, ...]


def begin(options: Options, push: Push) -> Judge:
    """Refuse files that the one who pushes may not change."""
    rules = [_rule(glob, value) for glob, value in options.rules]
    world = push.world

    @functools.cache
    def rule_of(path: str) -> Rule | None:
        return next((one for one in rules if one.matches(path)), None)

    @functools.cache
    def is_pusher(rule: Rule) -> bool:
        return _is_one(world, rule.subjects, push.actor)

    @functools.cache
    def is_reviewed(rule: Rule, reviewers: frozenset[str]) -> bool:
        return any(_is_one(world, rule.subjects, one) for one in reviewers)

    def file(change: Change, file: File) -> Failures:
        rule = rule_of(file.path)
        if rule is None:
            return
        subjects = ', '.join(rule.subjects)
        if rule.kind == 'forbidden':
            remedy = f'leave files alone that match {rule.glob}'
            what = 'nobody may change it'
        elif rule.kind == 'by':
            if is_pusher(rule):
                return
            remedy = f'let one of these push it: {subjects}'
            what = f'{push.actor} may not change it'
        else:
            named = reviewers(change.description) - {push.user, push.actor}
            if is_reviewed(rule, named):
                return
            remedy = f'let one of these review it, as r=NAME: {subjects}'
            what = 'nobody has reviewed it who may'
        yield Failure(what, remedy, change.node, file.path)

    return Judge(file=file)


def reviewers(description: str) -> frozenset[str]:
    """Return the names that a description has after ``r=``."""
    return frozenset(
        name.rstrip('.')
        for match in _REVIEWERS.finditer(description)
        for name in match[1].split(',')
        if name.rstrip('.')
    )


def _is_one(world: World, subjects: tuple[str, ...], user: str) -> bool:
    if '*' in subjects or f'@{user}' in subjects:
        return '*' in subjects or world.is_user(user)
    wanted = {one for one in subjects if not one.startswith('@')}
    return (
        bool(wanted)
        and not wanted.isdisjoint(world.groups(user))
        and world.is_user(user)
    )


def _rule(glob: str, value: str) -> Rule:
    value = value.strip()
    matches = globs([glob]).match
    if value == 'forbidden':
        return Rule(glob, matches, 'forbidden', ())
    kind = 'reviewed' if value.startswith(_REVIEWED) else 'by'
    listed = value.removeprefix(_REVIEWED)
    subjects = tuple(part.strip() for part in listed.split(','))
    try:
        for one in subjects:
            if one.startswith('@'):
                names.person(one[1:])
            elif one != '*':
                access.group(one)
    except FleetError:
        raise SettingError(
            f'[checks.paths] {glob} is {value!r}',
            'use groups, @users or *, after "reviewed by" or not; or forbidden',
        ) from None
    return Rule(glob, matches, kind, subjects)
