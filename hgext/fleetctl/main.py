"""The command ``hgfleet``: words in, this environment's own ``hg`` out.

``hgfleet up …`` becomes ``hg fleet::up …`` with the extension ``fleetctl``
and nothing of the user's configuration.  This process is replaced; it
imports nothing that it does not need.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from ..fleet import meta

COMMANDS = {
    ('up',): 'fleet::up',
    ('down',): 'fleet::down',
    ('status',): 'fleet::status',
    ('doctor',): 'fleet::doctor',
    ('fence',): 'fleet::fence',
    ('unfence',): 'fleet::unfence',
    ('snapshot',): 'fleet::snapshot',
    ('restore',): 'fleet::restore',
    ('repo', 'create'): 'fleet::repo-create',
    ('repo', 'delete'): 'fleet::repo-delete',
    ('repo', 'list'): 'fleet::repo-list',
    ('user', 'add'): 'fleet::user-add',
    ('access', 'explain'): 'fleet::access-explain',
}
REFUSED = 255


def command(words: list[str]) -> list[str] | None:
    """Return hg's arguments for those of hgfleet; None: no such command."""
    if not words or words in (['help'], ['--help'], ['-h']):
        return ['help', 'hgfleet']
    if words[0] == 'help':
        options = [word for word in words[1:] if word.startswith('-')]
        about = [word for word in words[1:] if not word.startswith('-')]
        name = COMMANDS.get(tuple(about)) if about else 'hgfleet'
        return ['help', name, *options] if name else None
    for length in (1, 2):
        name = COMMANDS.get(tuple(words[:length]))
        if name:
            return [name, *words[length:]]
    return None


def environment(outer: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of hg: nothing else configures it."""
    env = {
        name: value
        for name, value in outer.items()
        if name.startswith('HGFLEET_') or not name.startswith('HG')
    }
    return {
        **env,
        'HGRCPATH': '',
        'HGRCSKIPREPO': '1',
        'HGPLAIN': '1',
        'HGENCODING': 'utf-8',
    }


def find_hg(script: str) -> str:
    """Return the hg beside this ``script``, or that of this Python."""
    beside = os.path.join(os.path.dirname(os.path.realpath(script)), 'hg')
    if os.path.exists(beside):
        return beside
    return os.path.join(sys.prefix, 'bin', 'hg')


def main() -> int:
    """Run the command line; returns only when it is refused."""
    words = sys.argv[1:]
    if words == ['--version']:
        print(f'hgfleet {meta.VERSION}')
        return 0
    arguments = command(words)
    if arguments is None:
        known = ', '.join(' '.join(each) for each in COMMANDS)
        said = ' '.join(words[:2])
        sys.stderr.write(
            f'hgfleet: there is no command {said!r}; use {known}, or help\n'
        )
        return REFUSED
    hg = find_hg(sys.argv[0])
    argv = [hg, '--config', 'extensions.fleetctl=', *arguments]
    try:
        os.execve(hg, argv, environment(os.environ))
    except OSError as problem:
        sys.stderr.write(f'hgfleet: cannot run {hg}: {problem.strerror}\n')
    return REFUSED


if __name__ == '__main__':
    sys.exit(main())
