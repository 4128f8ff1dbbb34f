"""What is said to people and programs that ask what this server is."""

from __future__ import annotations

from typing import Any

from hgext3rd.fleet.core import access

from .acts import Answer
from .asker import Asker

_BANNER = """\
Hello {name}. This is a Mercurial server; there is no shell here.

  your groups:  {groups}
  to clone:     hg clone {url}REPOSITORY
  to push:      hg push (in your clone)
  for more:     ask for "help"

What you may do, by the first of these that a repository's name matches:

{rights}"""

_COMMANDS = (
    ('clone [--json] NAME [SOURCE]', 'make a repository, empty or a copy'),
    ('edit [--json] REPO', 'tell what a repository is like'),
    ('edit [--json] REPO description TEXT', 'describe it in one line'),
    ('edit [--json] REPO publishing yes|no', 'whether pushes become public'),
    ('edit [--json] REPO obsolescence yes|no', 'whether history may change'),
    ('edit [--json] REPO delete YES', 'remove it, at once and for all'),
    ('repo-group [--json] REPO', 'tell who may do what to it'),
    ('repo-config [--json] REPO', 'show its settings'),
    ('help [--json]', 'show this'),
)
_HELP = """\
This server understands "hg clone", "hg pull" and "hg push", and, after
"ssh {host}":

{commands}
A NAME without a slash is a repository of your own, in users/{home}; put a
slash before it for one that is nobody's. Without a command, you are told
what you may do; "--json" alone tells it to programs.
"""
_WIDTH = 42


def banner(asker: Asker, url: str) -> Answer:
    """Return the greeting for somebody who asked for nothing."""
    user = asker.user
    groups = sorted(user.groups)
    rights = access.held(asker.rules, user.name, user.groups)
    lines = [f'  {glob:<30} {verb}\n' for glob, verb in rights]
    data: dict[str, Any] = {
        'user': user.name,
        'groups': groups,
        'url': url,
        'rights': [{'glob': glob, 'verb': str(verb)} for glob, verb in rights],
    }
    text = _BANNER.format(
        name=user.name,
        groups=', '.join(groups) or 'none',
        url=url,
        rights=''.join(lines) or '  nothing\n',
    )
    return Answer(text, data)


def commands(url: str, home: str) -> Answer:
    """Return what may be asked for."""
    lines = [f'  {usage:<{_WIDTH}}{what}\n' for usage, what in _COMMANDS]
    host = url.partition('://')[2].partition('/')[0]
    return Answer(
        _HELP.format(host=host, commands=''.join(lines), home=home or 'NAME'),
        {
            'commands': [
                {'usage': usage, 'summary': what} for usage, what in _COMMANDS
            ]
        },
    )
