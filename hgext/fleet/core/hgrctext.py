"""One item of an hgrc, changed in its text; all else stays as it is.

The text is what Mercurial's own parser has accepted: sections in brackets,
``item = value`` at the start of a line, lines that go on with white space,
and comments that start with ``#`` or ``;``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_LINE = re.compile(r'[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+')
_SECTION = re.compile(r'\[([^\[]+)\]')
_ITEM = re.compile(r'([^=\s][^=]*?)\s*=')
_UNSET = re.compile(r'%unset\s+(\S+)')
_GOES_ON = re.compile(r'\s+\S')
_COMMENT = (';', '#')


def put(text: str, section: str, item: str, value: str) -> str:
    """Return ``text`` in which the item has this value, and no other.

    ``value`` is one line without white space at its ends.
    """
    if text and not text.endswith('\n'):
        text += '\n'
    lines = list(_without(text, section, item))
    new = f'{item} = {value}\n'
    for number in range(len(lines), 0, -1):
        if _section(lines[number - 1]) == section:
            lines.insert(number, new)
            return ''.join(lines)
    return ''.join([*lines, f'[{section}]\n', new])


def _without(text: str, section: str, item: str) -> Iterator[str]:
    """Yield the lines that say nothing of the item."""
    inside = in_item = dropped = False
    for line in _LINE.findall(text):
        if in_item and line.startswith(_COMMENT):
            yield line
            continue
        if in_item and _GOES_ON.match(line):
            if not dropped:
                yield line
            continue
        found = _section(line)
        if found is not None:
            inside = found == section
        in_item = _named(_ITEM, line) is not None
        name = _named(_ITEM, line) or _named(_UNSET, line)
        dropped = inside and name == item
        if not dropped:
            yield line


def _section(line: str) -> str | None:
    return _named(_SECTION, line)


def _named(pattern: re.Pattern[str], line: str) -> str | None:
    match = None if line.startswith(_COMMENT) else pattern.match(line)
    return match[1] if match else None
