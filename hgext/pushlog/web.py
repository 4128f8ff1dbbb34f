"""The pushlog's pages in hgweb.

``json-pushes`` (also ``pushes``)
    the pushes that a query selects, see ``query`` for its parameters.
    Version 1 is ``{ID: push}``, version 2 is ``{"lastpushid": ID, "pushes":
    {ID: push}}``.  A push has ``user``, ``date`` (whole seconds since 1970)
    and ``changesets``, in the order of their revisions; and, if some of
    them are obsolete and hidden, those in ``obsoletechangesets``.  A
    changeset is its id, or with ``full`` an object with ``node``,
    ``author``, ``desc``, ``branch``, ``parents``, ``tags``, ``files`` and,
    if it replaces others, ``precursors``.

What cannot be answered is ``{"error": TEXT}`` with the status 400 (a
parameter makes no sense), 404 (no such changeset or branch) or 500 (the
pushlog is damaged).  No answer is to be used again without asking, since
any push may change it.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator
from typing import Any

from mercurial import error
from mercurial.utils import dateutil

from ..fleet.core.errors import FleetError
from ..fleet.edge import local, text
from . import query as queries
from . import store
from .query import Query, QueryRefused, Selected, Unknown
from .reader import Reader

_AGO = re.compile(r'([0-9]{1,6}) (second|minute|hour|day|week)s? ago\Z')
_SECONDS = {
    'second': 1,
    'minute': 60,
    'hour': 3600,
    'day': 86400,
    'week': 604800,
}


def pushes(web: Any) -> Iterator[bytes]:
    """Answer ``json-pushes``."""
    reader = Reader(web.repo)
    try:
        query, found, last = answer(web.req, reader)
    except FleetError as problem:
        return refuse(web, problem)
    rows = (
        f'"{each.push.id}": {json.dumps(reader.push(each, query.full))}'
        for each in found
    )
    before, after = '{', '}'
    if query.version == 2:
        before, after = f'{{"lastpushid": {last}, "pushes": {{', '}}'
    return send(web, b'application/json', _lines(before, rows, after))


def answer(req: Any, reader: Reader) -> tuple[Query, list[Selected], int]:
    """Return the query of a request, its pushes, and the last push's id.

    Raises QueryRefused, Unknown, and PushlogDamaged.
    """
    query = queries.parse(_params(req), _date)
    if query.branch is not None:
        reader.check_branch(query.branch)
    with store.read(reader.repo) as log:
        found = queries.select(query, log, reader.revision, reader.branch)
        return query, found, len(log)


def refuse(web: Any, problem: FleetError) -> Iterator[bytes]:
    """Answer that the request has no answer."""
    if isinstance(problem, QueryRefused):
        web.res.status = b'400 Bad Request'
    elif isinstance(problem, Unknown):
        web.res.status = b'404 Not Found'
    else:
        web.res.status = b'500 Internal Server Error'
        ui, where = web.repo.ui, web.repo.root
        ui.log(b'pushlog', b'%s: %s\n', where, local(str(problem)))
    body = json.dumps({'error': str(problem)}).encode() + b'\n'
    return send(web, b'application/json', [body])


def send(web: Any, kind: bytes, body: Iterable[bytes]) -> Iterator[bytes]:
    """Answer with this body, which is of this media type."""
    headers = web.res.headers
    headers[b'Content-Type'] = kind
    headers[b'Cache-Control'] = b'no-cache'
    # hgweb's tag is the time of the repository's files, which tells nothing
    # of what a mirror may show by now.
    del headers[b'ETag']
    if web.req.method != b'HEAD':
        web.res.setbodygen(body)
    sent: Iterator[bytes] = web.res.sendresponse()
    return sent


def _lines(before: str, rows: Iterable[str], after: str) -> Iterator[bytes]:
    """Yield JSON with one push a line, holding one at a time."""
    yield before.encode()
    separator = '\n'
    for row in rows:
        yield f'{separator}{row}'.encode()
        separator = ',\n'
    yield f'{after}\n'.encode()


def _params(req: Any) -> dict[str, list[str]]:
    params = {
        text(name): [text(value) for value in values]
        for name, values in req.qsparams.asdictoflists().items()
    }
    if 'node' in params:  # what follows the command in the path
        params['page'] = params['node']
    return params


def _date(words: str) -> int:
    """Return seconds since 1970; ValueError when it is no date."""
    ago = _AGO.match(words)
    if ago:
        return int(time.time()) - int(ago[1]) * _SECONDS[ago[2]]
    try:
        return int(dateutil.parsedate(local(words))[0])
    except error.Error as problem:
        raise ValueError(words) from problem
