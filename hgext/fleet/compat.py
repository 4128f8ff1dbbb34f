"""What differs between the versions of Mercurial that are supported.

Each function says for which versions it is there; with those no longer
supported, it can go.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Iterator
from typing import Any
from urllib import parse

# A revlog of version 1 begins so that has general deltas, and its data in
# between its index.
_INLINE = b'\0\3\0\1'


def initialize() -> None:
    """Have Mercurial's own commands, revsets and the like registered.

    From 7.2 on that is the duty of who does not come in through ``hg``.
    """
    try:
        from mercurial import initialization
    except ImportError:
        return
    initialization.init()


def read_queries() -> None:
    """Have Mercurial understand URLs and arguments that are not ASCII.

    It gives urllib bytes, which before Python 3.13 refuses those.
    """
    from mercurial import util

    def parse_qsl(query: bytes, **how: Any) -> list[tuple[bytes, bytes]]:
        found = parse.parse_qsl(
            query.decode('latin-1'), encoding='latin-1', **how
        )
        return [
            (name.encode('latin-1'), value.encode('latin-1'))
            for name, value in found
        ]

    def parse_qs(query: bytes, **how: Any) -> dict[bytes, list[bytes]]:
        values: dict[bytes, list[bytes]] = {}
        for name, value in parse_qsl(query, **how):
            values.setdefault(name, []).append(value)
        return values

    urlreq: Any = util.urlreq
    urlreq.parseqsl, urlreq.parseqs = parse_qsl, parse_qs


def repository(ui: Any, path: bytes, create: bool = False) -> Any:
    """Open, or make, the local repository at ``path``.

    Until 7.1 that was ``hg.repository``.
    """
    opener: Any
    try:
        from mercurial.repo import factory as opener
    except ImportError:
        from mercurial import hg as opener
    return opener.repository(ui, path, create=create)


def stream_clone(repo: Any) -> tuple[int, int, Iterator[bytes]]:
    """Return how many files a stream clone has, their size, and its bytes.

    Until 7.0 two patterns chose the files, and not a matcher.
    """
    from mercurial import streamclone

    generate: Any = streamclone.generatev2
    chosen = len(inspect.signature(generate).parameters) - 2
    count, size, chunks = generate(repo, *[None] * chosen, True)
    return count, size, chunks


def request(words: list[bytes]) -> Any:
    """Return the request to dispatch a command line.

    Until 7.1 that was a class of ``dispatch``.
    """
    try:
        made: Any = importlib.import_module('mercurial.main_script').request
    except ImportError:
        made = importlib.import_module('mercurial.dispatch').request
    return made(words)


def command_services() -> dict[bytes, Any] | None:
    """Return Mercurial's table of command servers, to be changed.

    None for versions of which it is not known that the classes behind it are
    those that the server for chg builds on: all but 7.2.
    """
    from mercurial import server

    table: dict[bytes, Any] | None = getattr(server, '_cmdservicemap', None)
    if table is None or _series() != (7, 2):
        return None
    return table if b'chgunix' in table else None


def inline_index(data: bytes) -> Any:
    """Return the index of a revlog that is wholly in ``data``.

    It has an entry for each revision, as a tuple, and ``get_rev``.  None for
    what is not a revlog of version 1 with general deltas and data in between,
    and for versions of which the tuples are not known: all but 7.2.
    """
    from mercurial import revlog

    if not data.startswith(_INLINE) or _series() != (7, 2):
        return None
    parse: Any = revlog.parse_index_v1
    try:
        return parse(data, True, True, False)[0]
    except (ValueError, IndexError):
        return None


def unpacker(log: Any) -> Any:
    """Return what decompresses a chunk of a revlog, as its method does.

    None for versions where it is not known to be there: all but 7.2.
    """
    if _series() != (7, 2):
        return None
    return getattr(getattr(log, '_inner', None), 'decompress', None)


def read_ahead(log: Any, rev: int) -> None:
    """Have a revlog ready to return a revision, if it is stored as a whole.

    The general way, by chains of deltas, takes longer. Nothing is done for
    versions of which it is not known how: all but 7.2.
    """
    inner: Any = getattr(log, '_inner', None)
    if (
        _series() == (7, 2)
        and hasattr(inner, 'cache_revision_text')
        and hasattr(inner, '_chunk')
        and log.index[rev][3] == rev
    ):
        inner.cache_revision_text(rev, bytes(inner._chunk(rev)), False)


@functools.cache
def _series() -> tuple[int, int]:
    from mercurial import util

    found: tuple[int, int] = util.versiontuple(n=2)
    return found
