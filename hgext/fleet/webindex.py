"""The list of a mirror's repositories, as a page and as JSON.

The folder of the repositories is walked at most once a second, or when what
may be shown has changed since the last walk; a repository is listed from
the moment at which it may be seen.
"""

from __future__ import annotations

import html
import json
import time
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from .core.errors import EntryUnreadable
from .core.shown import Shown
from .webgate import Gate

KEEP = 1.0

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="robots" content="index, nofollow">
<title>Mercurial repositories</title>
<style>
body {{ font-family: sans-serif; margin: 2em; }}
li {{ line-height: 1.6; }}
</style>
</head>
<body>
<h1>Mercurial repositories</h1>
<ul>
{items}
</ul>
</body>
</html>
"""

_NONE = '<li>There are none yet.</li>'


class Index:
    """What is listed; one for all threads of a process."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._walked = -KEEP
        self._positions: Mapping[int, int] = {}
        self._names: tuple[str, ...] = ()

    def names(self, shown: Shown) -> tuple[str, ...]:
        """Return the names of the repositories to be seen, sorted."""
        now = time.monotonic()
        fresh = now - self._walked < KEEP
        if not fresh or self._positions != shown.positions:
            self._names = tuple(
                name for name in self._gate.scan() if self._seen(name, shown)
            )
            self._positions = shown.positions
            self._walked = now
        return self._names

    def _seen(self, name: str, shown: Shown) -> bool:
        try:
            return self._gate.sight(name, shown) is not None
        except EntryUnreadable:
            # It exists; what is wrong is said where it is asked for.
            return True


def page(names: Sequence[str], base: str) -> bytes:
    """Return the list as HTML; ``base`` is the URL path of the root."""
    items = '\n'.join(
        f'<li><a href="{html.escape(_url(base, name))}">'
        f'{html.escape(name)}</a></li>'
        for name in names
    )
    return _PAGE.format(items=items or _NONE).encode()


def listing(names: Sequence[str], base: str) -> bytes:
    """Return the list as JSON: name and URL path of each."""
    body = {
        'repositories': [
            {'name': name, 'url': _url(base, name)} for name in names
        ]
    }
    return json.dumps(body).encode() + b'\n'


def _url(base: str, name: str) -> str:
    return quote(f'{base}/{name}')
