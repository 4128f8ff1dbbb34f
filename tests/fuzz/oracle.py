"""The grammar of requests over SSH, said a second time, as one expression.

It is kept apart from ``fleetpash.grammar`` on purpose: whatever one accepts
and the other does not is a finding.
"""

from __future__ import annotations

import os
import re

_END = r"(?=[/ ']|\Z)"
_PART = (
    rf'(?![A-Za-z0-9._+-]*(?:\.|\.(?i:hg|git)){_END})'
    rf'[A-Za-z0-9][A-Za-z0-9._+-]{{0,99}}{_END}'
)
_RESERVED = rf'(?!(?:healthz|readyz|metrics|index\.json|static){_END})'
_REPO = rf'{_RESERVED}{_PART}(?:/{_PART})*'
_PERSON = r'[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}'


def _name(group: str) -> str:
    plain, quoted = (f'/?(?P<{group}{kind}>{_REPO})/?' for kind in 'pq')
    return f"(?:{plain}|'{quoted}')"


_REQUEST = re.compile(
    '|'.join(
        [
            '',
            '--json',
            'help(?: --json)?',
            rf"(?:hg|hg:for={_PERSON}|'hg:for={_PERSON}')"
            rf' -R {_name("serve")} serve --stdio',
            rf'clone(?: --json)? {_name("new")}(?: {_name("old")})?',
            rf'edit(?: --json)? {_name("edit")}'
            r'(?: (?:description (?P<text>\S|\S.*\S)'
            r'|publishing (?:yes|no)|obsolescence (?:yes|no)|delete YES))?',
            rf'repo-group(?: --json)? {_name("group")}',
            rf'repo-config(?: --json)? {_name("config")}',
        ]
    ),
    re.DOTALL,
)
_LONGEST = 512
# For the test that a difference is found.
_GAP = bool(os.environ.get('HGFLEET_FUZZ_GAP'))
_LONGEST_NAME = 240


def accepts(command: str) -> bool:
    """Tell whether a request is inside the grammar."""
    if _GAP and command.startswith('hg -R ..'):
        return True
    match = _REQUEST.fullmatch(command)
    if match is None or len(command) > _LONGEST:
        return False
    text = match['text'] or ''
    before = command.removesuffix(text)
    if not (before.isascii() and command.isprintable()):
        return False
    found = match.groupdict()
    del found['text']
    return all(_is_short(name) for name in found.values() if name)


def _is_short(name: str) -> bool:
    return len(name) + 2 * name.count('/') <= _LONGEST_NAME
