"""repositories are closed for a while

Whether a repository takes pushes is asked from a web server::

  [checks]
  closure = enforce
  closure.url = https://treestatus.example.org/trees/{repo}

It answers with JSON: ``{"result": {"status": "open", "reason": ""}}``, or
the inner object alone.  The status is ``open``, ``closed``, or ``approval
required``, by which each changeset has to say ``a=NAME`` in its description.
Pushes that only move bookmarks or phases are pushes too.

``closure.url``
  where to ask; ``{repo}`` is the name of the repository, ``{base}`` its last
  part.

``closure.approvers`` (default ``*``)
  who may approve: groups, users as ``@NAME``, or ``*`` for every user.

``closure.timeout`` (default 5 s)
  how long to wait for an answer.

``closure.cache`` (default 10 s)
  for how long an answer counts.

``closure.down`` (``closed`` or ``open``, default ``closed``)
  what a repository is when there is no answer.
"""

from __future__ import annotations

import json
import re
import urllib.parse

from hgext3rd.fleet.core import verdict
from hgext3rd.fleet.core.checks import (
    Change,
    Failure,
    Failures,
    Judge,
    Options,
    Push,
)
from hgext3rd.fleet.core.errors import FleetError, SettingError

ITEMS = {
    'url': '',
    'approvers': '*',
    'timeout': '5 s',
    'cache': '10 s',
    'down': 'closed',
}

_APPROVED = re.compile(r'\ba=([A-Za-z0-9._@+,-]+)')
_STATUSES = ('open', 'closed', 'approval required')


def begin(options: Options, push: Push) -> Judge:
    """Refuse pushes to what is closed, or changesets without approval."""
    url = _url(options, push.repo)
    approvers = verdict.grant('closure', options.text('approvers'))
    down = options.choice('down', 'closed', 'open')
    timeout, cache = options.seconds('timeout'), options.seconds('cache')
    try:
        status, reason = read(push.world.fetch(url, timeout, cache))
    except SettingError:
        raise
    except FleetError as problem:
        status, reason = down, f'its status is not known: {problem}'
    except ValueError:
        status, reason = down, 'the answer about its status is not understood'

    def change(change: Change) -> Failures:
        if status == 'approval required' and not _is_approved(
            push, approvers, change.description
        ):
            yield Failure(
                f'it needs approval{_because(reason)}',
                'have it approved, and say a=NAME in the description',
                change.node,
            )

    def end() -> Failures:
        if status == 'closed':
            yield Failure(
                f'{push.repo} is closed{_because(reason)}',
                'wait until it is open again',
            )

    return Judge(change=change, end=end)


def read(answer: bytes) -> tuple[str, str]:
    """Return status and reason; ValueError where there is no status."""
    said = json.loads(answer)
    if isinstance(said, dict) and isinstance(said.get('result'), dict):
        said = said['result']
    if not isinstance(said, dict) or said.get('status') not in _STATUSES:
        raise ValueError
    return said['status'], str(said.get('reason') or '')[:200]


def _is_approved(
    push: Push, approvers: tuple[str, ...], description: str
) -> bool:
    names = [
        name.rstrip('.')
        for match in _APPROVED.finditer(description)
        for name in match[1].split(',')
    ]
    return any(
        push.world.is_user(name)
        and verdict.holds(approvers, name, push.world.groups(name))
        for name in names
    )


def _url(options: Options, repo: str) -> str:
    url = options.text('url')
    if not url.startswith(('http://', 'https://')):
        raise options.wrong('url', 'https://HOST/PATH/{repo}')
    quoted = urllib.parse.quote(repo)
    base = quoted.rpartition('/')[2]
    return url.replace('{repo}', quoted).replace('{base}', base)


def _because(reason: str) -> str:
    return f': {reason}' if reason else ''
