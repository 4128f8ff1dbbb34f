"""What checks have found, put into words; and what may be bypassed.

A push carries what its author wants of the checks in push variables:

``CHECK_ONLY=1``
    run all checks and say what they found; change nothing
``BYPASS=POLICY[,POLICY...]:REASON``
    let these policies pass, for that reason

:func:`wish` reads them, :func:`weigh` says which findings stand in the way,
and :func:`report` is what the author is told.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from . import access, names
from .checks import Finding, Mode
from .errors import Denied, FleetError, SettingError

_LONGEST_REASON = 500


@dataclass(frozen=True)
class Wish:
    """What the author of a push wants of the checks."""

    only: bool = False
    bypass: frozenset[str] = frozenset()
    reason: str = ''


@dataclass(frozen=True)
class Verdict:
    """The findings, by what becomes of them."""

    refused: tuple[Finding, ...]
    bypassed: tuple[Finding, ...]
    warned: tuple[Finding, ...]


def wish(
    variables: Mapping[str, str],
    policies: Collection[str],
    others: Collection[str] = (),
) -> Wish:
    """Read push variables; Denied where one is not understood.

    ``others`` are the names of variables that are meant for somebody else.
    """
    for name in sorted(variables.keys() - {'CHECK_ONLY', 'BYPASS', *others}):
        raise Denied(
            f'the push variable {shown(name)} is not known here',
            'use CHECK_ONLY=1 or BYPASS=POLICY:REASON',
        )
    only = variables.get('CHECK_ONLY')
    if only not in (None, '1'):
        raise Denied('CHECK_ONLY is not 1', 'use --pushvars CHECK_ONLY=1')
    if 'BYPASS' not in variables:
        return Wish(only is not None)
    wanted, colon, reason = variables['BYPASS'].partition(':')
    chosen = frozenset(part.strip() for part in wanted.split(','))
    reason = reason.strip()
    if not colon or not reason or len(reason) > _LONGEST_REASON:
        raise Denied(
            'a bypass needs a reason',
            'use --pushvars "BYPASS=POLICY:REASON", with a reason of at most '
            f'{_LONGEST_REASON} characters',
        )
    for name in sorted(chosen - set(policies)):
        raise Denied(
            f'there is no check {shown(name)} that could be bypassed here',
            'use names of checks that have refused this push',
        )
    return Wish(only is not None, chosen, reason)


def grant(policy: str, text: str) -> tuple[str, ...]:
    """Read who may bypass a policy: groups, and users after ``@``."""
    subjects = tuple(part.strip() for part in text.split(',') if part.strip())
    for one in subjects:
        try:
            if one.startswith('@'):
                names.person(one[1:])
            elif one != '*':
                access.group(one)
        except FleetError:
            raise SettingError(
                f'[checks] bypass.{policy} is {text!r}',
                'use groups, and users as @NAME, with commas between them',
            ) from None
    return subjects


def holds(subjects: Sequence[str], user: str, groups: Collection[str]) -> bool:
    """Tell whether a user is among those who are granted a bypass."""
    return any(
        one[1:] == user if one.startswith('@') else one == '*' or one in groups
        for one in subjects
    )


def weigh(findings: Sequence[Finding], bypass: Collection[str]) -> Verdict:
    """Say what becomes of each finding.

    A policy that has not finished refuses, even where it would only warn.
    """
    bypassed = [one for one in findings if one.policy in bypass]
    rest = [one for one in findings if one.policy not in bypass]
    warned = [one for one in rest if one.mode is Mode.WARN and not one.broken]
    refused = [one for one in rest if one not in warned]
    return Verdict(tuple(refused), tuple(bypassed), tuple(warned))


def report(
    verdict: Verdict,
    grants: Mapping[str, Sequence[str]],
    most: int,
) -> list[str]:
    """Return the lines that tell the author what was found.

    ``most`` is how many failures of each policy are told.
    """
    lines: list[str] = []
    for head, findings in (
        ('check {} warns:', verdict.warned),
        ('check {} is bypassed:', verdict.bypassed),
        ('check {} refuses this push:', verdict.refused),
    ):
        for policy in dict.fromkeys(one.policy for one in findings):
            mine = [one for one in findings if one.policy == policy]
            lines.append(head.format(policy))
            lines += _failures(mine, most)
            if head.endswith('push:'):
                lines.append(f'  {_who_may(policy, grants.get(policy, ()))}')
    return lines


def _failures(findings: Sequence[Finding], most: int) -> list[str]:
    lines = []
    for one in findings[:most]:
        failure = one.failure
        where = ' '.join(
            filter(None, (failure.change[:12], shown(failure.file)))
        )
        lines.append(
            f'  {where}: {shown(failure.what)}'
            if where
            else (f'  {shown(failure.what)}')
        )
    if len(findings) > most:
        lines.append(f'  ... and {len(findings) - most} more')
    for remedy in dict.fromkeys(one.failure.remedy for one in findings[:most]):
        lines.append(f'  remedy: {shown(remedy)}')
    return lines


def _who_may(policy: str, subjects: Sequence[str]) -> str:
    if not subjects:
        return 'bypass: nobody may'
    who = ', '.join('everybody' if one == '*' else one for one in subjects)
    return f'bypass: {who}, with --pushvars "BYPASS={policy}:REASON"'


def shown(text: str) -> str:
    """Return text of strangers so that a terminal shows it, and no more."""
    if text.isprintable():
        return text
    return ''.join(one if one.isprintable() else _escape(one) for one in text)


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8
        code -= 0xDC00
    return f'\\x{code:02x}' if code < 256 else f'\\u{code:04x}'
