"""The pushlog as an Atom feed and as a page.

``pushlog`` has an entry for each changeset, by the user who pushed it, and
``pushloghtml`` a table; both have the newest on top.  They take the same
parameters as ``json-pushes``, see ``query``.  Hidden changesets are left
out.  Everything that comes from a repository or a request is escaped.
"""

from __future__ import annotations

import html
import re
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from mercurial import encoding

from ..fleet.core.errors import FleetError
from ..fleet.edge import text
from .query import PAGE, Query, Selected
from .reader import Reader
from .web import answer, refuse, send

_FORBIDDEN = re.compile(
    '[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]'
)


def pushlog(web: Any) -> Iterator[bytes]:
    """Answer ``pushlog``: the Atom feed."""
    reader = Reader(web.repo)
    try:
        _query, found, _last = answer(web.req, reader)
    except FleetError as problem:
        return refuse(web, problem)
    body = (each.encode() for each in _feed(_Place(web), reader, found[::-1]))
    return send(web, b'application/atom+xml; charset=utf-8', body)


def pushloghtml(web: Any) -> Iterator[bytes]:
    """Answer ``pushloghtml``: the page."""
    reader = Reader(web.repo)
    try:
        query, found, last = answer(web.req, reader)
    except FleetError as problem:
        return refuse(web, problem)
    rows = _page(_Place(web), reader, query, found[::-1], last)
    body = (each.encode() for each in rows)
    return send(web, b'text/html; charset=utf-8', body)


class _Place:
    """Where the pages are: parts of URLs and a title, all escaped."""

    def __init__(self, web: Any) -> None:
        path = web.req.apppath.rstrip(b'/')
        name = web.reponame or path.lstrip(b'/') or b'repository'
        self.path = _escaped(quote(path))
        self.base = _escaped(text(web.req.advertisedbaseurl) + quote(path))
        self.query = _escaped(text(web.req.querystring))
        self.title = _escaped(text(encoding.fromlocal(name)))


def _feed(
    place: _Place, reader: Reader, found: list[Selected]
) -> Iterator[str]:
    updated = found[0].push.date if found else 0
    yield (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<feed xmlns="http://www.w3.org/2005/Atom">\n'
        f' <id>{place.base}/pushlog</id>\n'
        f' <link rel="self" href="{place.base}/pushlog"/>\n'
        f' <link rel="alternate" href="{place.base}/pushloghtml"/>\n'
        f' <title>{place.title} Pushlog</title>\n'
        f' <updated>{_moment(updated)}</updated>\n'
    )
    for selected in found:
        for ctx in _newest_first(reader, selected):
            yield _entry(place, selected, ctx)
    yield '</feed>\n'


def _entry(place: _Place, selected: Selected, ctx: Any) -> str:
    node = text(ctx.hex())
    files = ''.join(
        f'<li class="file">{_escaped(text(path))}</li>' for path in ctx.files()
    )
    return (
        ' <entry>\n'
        f'  <title>Changeset {node}</title>\n'
        f'  <id>{place.base}/#changeset-{node}</id>\n'
        f'  <link href="{place.base}/rev/{node}"/>\n'
        f'  <updated>{_moment(selected.push.date)}</updated>\n'
        f'  <author><name>{_escaped(selected.push.user)}</name></author>\n'
        '  <content type="xhtml">\n'
        '   <div xmlns="http://www.w3.org/1999/xhtml">'
        f'<ul class="filelist">{files}</ul></div>\n'
        '  </content>\n'
        ' </entry>\n'
    )


def _page(
    place: _Place,
    reader: Reader,
    query: Query,
    found: list[Selected],
    last: int,
) -> Iterator[str]:
    yield (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<title>{place.title}: pushlog</title>\n'
        f'<link rel="stylesheet" href="{place.path}/static/style-paper.css">\n'
        '<link rel="alternate" type="application/atom+xml" title="Atom" '
        f'href="{place.path}/pushlog">\n'
        f'</head><body>\n<h1><a href="{place.path}/">{place.title}</a>: '
        'pushlog</h1>\n<table class="bigtable">\n'
        '<tr><th>push</th><th>time</th><th>user</th><th>changeset</th>'
        '<th>description</th></tr>\n'
    )
    for selected in found:
        for number, ctx in enumerate(_newest_first(reader, selected)):
            yield _row(place, selected, ctx, number == 0)
    yield '</table>\n'
    if query.paged:
        yield _pages(place, query.page, last)
    yield '</body></html>\n'


def _row(place: _Place, selected: Selected, ctx: Any, first: bool) -> str:
    push, node = selected.push, text(ctx.hex())
    said = text(encoding.fromlocal(ctx.description())).splitlines()
    cells = '<td></td><td></td><td></td>'
    if first:
        cells = (
            f'<td>{push.id}</td><td>{_moment(push.date)}</td>'
            f'<td>{_escaped(push.user)}</td>'
        )
    return (
        f'<tr>{cells}<td><a href="{place.path}/rev/{node}">{node[:12]}</a>'
        f'</td><td>{_escaped(said[0] if said else "")}</td></tr>\n'
    )


def _pages(place: _Place, page: int, last: int) -> str:
    near = (('newer', page - 1), ('older', page + 1))
    query = f'?{place.query}' if place.query else ''
    links = [
        f'<a href="{place.path}/pushloghtml/{number}{query}">{word}</a>'
        for word, number in near
        if 1 <= number <= -(-last // PAGE)
    ]
    return f'<p>{" ".join(links)}</p>\n'


def _newest_first(reader: Reader, selected: Selected) -> Iterator[Any]:
    for rev in reversed(list(reader.visible(selected))):
        yield reader.repo[rev]


def _moment(seconds: int) -> str:
    return time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(seconds))


def _escaped(string: str) -> str:
    """Return text for XML and HTML, within elements or quotation marks."""
    return html.escape(_FORBIDDEN.sub('\ufffd', string))
