"""Names of repositories, users and nodes, and where a repository lives.

A repository name is one or more parts joined by ``/``.  A part starts with
a letter or digit, goes on with letters, digits, ``.``, ``_``, ``-`` or
``+``, has at most 100 characters and does not end in ``.hg``, ``.git`` or
``.``: none can be a path trick, an option, or a hidden file.  The whole has
at most 240 characters, of which each ``/`` counts as three: a node also
writes it as one part of a path, with ``%2F``.  The first part is none of
``RESERVED``, which the web tier answers itself.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from .errors import NameRefused, SettingError

LONGEST = 240
LONGEST_PART = 100
RESERVED = ('healthz', 'readyz', 'metrics', 'index.json', 'static')

_PART = re.compile(r'[A-Za-z0-9][A-Za-z0-9._+-]*\Z')
_FORBIDDEN_ENDS = ('.hg', '.git', '.')
_PERSON = re.compile(r'[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}\Z')
_NODE = re.compile(r'[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z')


def repository(name: str) -> str:
    """Return ``name`` when it is a repository name; else NameRefused."""
    parts = name.split('/')
    if parts[0] in RESERVED:
        raise NameRefused(
            f'{name[:LONGEST]!r} is not a repository name: mirrors answer '
            f'/{parts[0]} themselves',
            'start it with another word',
        )
    short = len(name) + 2 * (len(parts) - 1) <= LONGEST
    if short and all(_is_part(part) for part in parts):
        return name
    if not short or max(map(len, parts)) > LONGEST_PART:
        raise NameRefused(
            f'{name[:LONGEST]!r} is too long for a repository name',
            f'use at most {LONGEST} characters, of which each "/" counts as '
            f'three, and {LONGEST_PART} between two of them',
        )
    raise NameRefused(
        f'{name[:LONGEST]!r} is not a repository name',
        'use letters, digits, ".", "_", "-" and "+", starting each part '
        'with a letter or digit',
    )


def _is_part(part: str) -> bool:
    return (
        len(part) <= LONGEST_PART
        and _PART.match(part) is not None
        and not part.lower().endswith(_FORBIDDEN_ENDS)
    )


def person(name: str) -> str:
    """Return ``name`` when it is a user name; else NameRefused."""
    if _PERSON.match(name):
        return name
    raise NameRefused(
        f'{name[:100]!r} is not a user name',
        'use letters, digits, ".", "_", "-", "+" and "@"',
    )


def home(user: str) -> str:
    """Return the part of repository names that belongs to a user, or ''.

    It is the user's name, in which ``_`` stands for ``@``.  No two users
    share one: one whose name could be taken for another's has none, such as
    ``ann_example.org`` beside ``ann@example.org``.
    """
    first, at, domain = user.partition('@')
    if at:
        plain = '.' in domain and not {'_', '@'} & set(domain)
    else:
        plain = '.' not in user.partition('_')[2]
    short = f'{first}_{domain}' if at else first
    return short if plain and _is_part(short) else ''


def node(name: str) -> str:
    """Return ``name`` when it is a node name; else NameRefused."""
    if _NODE.match(name):
        return name
    raise NameRefused(
        f'{name[:100]!r} is not a node name',
        'use letters, digits, ".", "_" and "-"',
    )


def partition(
    repo: str, count: int, rules: Sequence[tuple[str, Sequence[int]]] = ()
) -> int:
    """Return the partition (0 … count-1) in which ``repo`` lives.

    ``rules`` are (regular expression, partitions) pairs, tried in order
    against the start of the name; a stable hash of the name picks one of
    the partitions of the first rule that matches, or of all.
    """
    choices: Sequence[int] = range(count)
    for pattern, some in rules:
        if re.match(pattern, repo):
            choices = some
            break
    if not choices or not all(0 <= one < count for one in choices):
        raise SettingError(
            f'the partition map sends {repo} to {list(choices)}, '
            f'but the partitions are 0 to {count - 1}',
            'correct partition-map in the [replicate] section',
        )
    digest = hashlib.sha256(repo.encode()).digest()
    return choices[int.from_bytes(digest[:8], 'big') % len(choices)]
