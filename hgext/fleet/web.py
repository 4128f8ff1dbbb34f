"""The web tier of a mirror: a WSGI application over all its repositories.

Run it with gunicorn and the node's own configuration, as ``hgfleet up`` does
for each mirror:

    HGRCPATH=/srv/hg/web1/hgrc HGPLAIN=1 HGENCODING=utf-8 \\
        python -m gunicorn --worker-class gthread --workers 2 --threads 4 \\
            --keep-alive 15 --timeout 600 --graceful-timeout 10 \\
            --limit-request-fields 1000 --limit-request-line 8190 \\
            --no-control-socket \\
            --bind 127.0.0.1:8080 hgext3rd.fleet.web:application

A configuration that is wrong ends the worker at its start, with the reason.
Beside the ``[fleet]`` settings of every node (``settings.py``) it reads:

    [fleet]
    push-url = ssh://hg.example.org/  # said to those who push here
    web-repositories = 200            # most repositories kept open, idle

and the rules of ``[access]``: what ``*`` may read is shown, and all else is
as if it were not there (``webaccess.py``).

What it answers
    ``/`` and ``/index.json`` (or ``/?style=json``): the repositories.
    ``/<repository>/…``: Mercurial's wire protocol and hgweb's pages, of
    what every mirror has and no more.  Whatever would change something is
    refused.  ``/healthz``: 200 as long as this process lives, with what it
    shows.  ``/readyz``: 200 while this mirror may serve.  503, with the
    reason and ``Retry-After``, whenever it may not: without a lease for
    all, or for one repository that is quarantined.

Each request reads afresh what may be shown (``webgate.py``), and is answered
from a repository that is pinned to exactly that (``webview.py``) and kept
for the next request (``website.py``).  A request that names a changeset
which is here but not shown yet waits up to a second for the barrier, since
another mirror may have shown it already.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote_plus

from . import (
    adapters,
    compat,
    edge,
    settings,
    webaccess,
    webindex,
    website,
)
from .core.errors import FleetError, Stale
from .core.shown import Shown
from .webgate import Gate, Sight
from .webreply import UNSTORED, Reply, StartResponse, Stream
from .webview import Unsettled

Environ = Mapping[str, Any]
Wsgi = Callable[[Environ, StartResponse], Iterable[bytes]]

HG_ERROR = 'application/hg-error'
WAIT = 1.0
_METHODS = ('GET', 'HEAD', 'POST')
_POLL = 0.005
_HASH = re.compile(r'(?<![0-9a-f])[0-9a-f]{12,40}(?![0-9a-f])')
_SHORT = 12
_DRAIN = 64 << 20
_GREETINGS = 16

_log = logging.getLogger('hgfleet.web')


class Gone(FleetError):
    """There is no such repository to be seen here."""


class Application:
    """The web tier of one node."""

    def __init__(
        self,
        ui: Any,
        gate: Gate,
        pool: website.Pool,
        public: Callable[[str], bool],
        push_url: str = '',
    ) -> None:
        self._ui = ui
        self._gate = gate
        self._public = public
        self._pool = pool
        self._index = webindex.Index(gate)
        self._push_url = push_url

    def __call__(
        self, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Answer one request, as WSGI has it."""
        reply = Reply(start_response)
        try:
            body = self._answer(environ, reply)
        except Gone as problem:
            body = reply.text('404 Not Found', str(problem))
        except FleetError as problem:
            body = reply.unavailable(str(problem))
        except Exception:
            _log.exception('%s', _said(environ))
            if reply.sent:
                raise
            body = reply.text(
                '500 Internal Server Error',
                'this request failed; the log of this mirror says why',
            )
        if environ['REQUEST_METHOD'] != 'HEAD':
            return body
        if isinstance(body, Stream):
            body.close()
        return []

    def _answer(self, environ: Environ, reply: Reply) -> Iterable[bytes]:
        path = environ.get('PATH_INFO', '')
        if environ['REQUEST_METHOD'] not in _METHODS:
            allowed = ('Allow', ', '.join(_METHODS))
            return reply.text('405 Method Not Allowed', 'no', allowed)
        shown = self._gate.shown()
        reason = self._gate.refusal(shown)
        if path == '/healthz':
            return self._health(reply, shown, reason)
        if reason or shown is None:
            return reply.unavailable(reason)
        if path == '/readyz':
            return reply.text('200 OK', 'ready', UNSTORED)
        if path in ('', '/', '/index.json'):
            return self._list(environ, reply, shown)
        if path.startswith('/static/'):
            return self._static(reply, path.removeprefix('/static/'))
        name = self.named(path)
        if name is None:
            raise Gone('there is no such repository here')
        rest = path[len(name) + 2 :]
        if rest.startswith('static/'):
            return self._static(reply, rest.removeprefix('static/'))
        return self._repository(environ, reply, name, shown)

    def named(self, path: str) -> str | None:
        """Return the repository that a path is in, if everybody may read it.

        Raises SettingError.
        """
        name = self._gate.route(path)
        return name if name is not None and self._public(name) else None

    def _health(
        self, reply: Reply, shown: Shown | None, reason: str
    ) -> Iterable[bytes]:
        remaining = self._gate.remaining(shown)
        body = {
            'node': shown.node if shown else self._gate.node,
            'serving': not reason,
            'reason': reason,
            'lease': round(remaining, 3),
            'positions': dict(shown.positions) if shown else {},
        }
        data = json.dumps(body).encode() + b'\n'
        return reply.whole('200 OK', 'application/json', data, UNSTORED)

    def _list(
        self, environ: Environ, reply: Reply, shown: Shown
    ) -> Iterable[bytes]:
        names = [
            name for name in self._index.names(shown) if self._public(name)
        ]
        base = environ.get('SCRIPT_NAME', '')
        query = parse_qs(environ.get('QUERY_STRING', ''))
        if environ.get('PATH_INFO') == '/index.json' or query.get('style') == [
            'json'
        ]:
            data = webindex.listing(names, base)
            return reply.whole('200 OK', 'application/json', data)
        page = webindex.page(names, base)
        return reply.whole('200 OK', 'text/html; charset=utf-8', page)

    def _static(self, reply: Reply, name: str) -> Iterable[bytes]:
        found = website.static(self._ui, name)
        if found is None:
            raise Gone('there is no such file here')
        kind, data = found
        return reply.whole(
            '200 OK', kind, data, ('Cache-Control', 'max-age=3600')
        )

    def _repository(
        self, environ: Environ, reply: Reply, name: str, shown: Shown
    ) -> Iterable[bytes]:
        reason = self._gate.quarantine(name)
        if reason:
            return reply.unavailable(reason)
        command = asked(environ)
        if website.writes(command):
            return self._refuse(environ, reply, name)
        for _attempt in range(3):
            site = self._site(environ, name, shown)
            try:
                return self._serve(site, environ, reply)
            except Exception as problem:
                if website.speaks(command) and not reply.sent:
                    said = website.message(problem)
                    if said:
                        return reply.whole('200 OK', HG_ERROR, said + b'\n')
                    if isinstance(problem, ValueError | KeyError):
                        _log.warning('%s: %r', _said(environ), problem)
                        return reply.text('400 Bad Request', 'malformed')
                # The repository may have been removed or built anew.
                moved = self._gate.stamp(name) != site.sight.stamp
                again = moved and environ['REQUEST_METHOD'] != 'POST'
                if reply.sent or not again:
                    raise
        raise Unsettled(f'{name} changes too fast', 'try again in a moment')

    def _refuse(
        self, environ: Environ, reply: Reply, name: str
    ) -> Iterable[bytes]:
        """Tell a client that pushes where to push."""
        # It sends all before it listens.
        left = _DRAIN
        while left > 0:
            chunk = environ['wsgi.input'].read(min(left, 1 << 16))
            if not chunk:
                break
            left -= len(chunk)
        where = (
            f'to {self._push_url.rstrip("/")}/{name}'
            if self._push_url
            else 'to the primary'
        )
        said = f'{website.READ_ONLY}; push over SSH {where}\n'
        return reply.whole('200 OK', HG_ERROR, said.encode())

    def _site(self, environ: Environ, name: str, shown: Shown) -> website.Site:
        """Return a site of what is to be seen of a repository now.

        Waits when the request names a changeset that is not yet.
        """
        deadline = time.monotonic() + WAIT
        named: set[str] | None = None
        while True:
            sight = self._gate.sight(name, shown)
            if sight is None:
                raise Gone(f'there is no repository {name} here')
            site = self._pool.take(name, sight)
            if site is not None:
                if site.unshown and named is None:
                    named = _named(environ)
                if not named or site.unshown.isdisjoint(named):
                    return site
                if time.monotonic() >= deadline:
                    return site
                self._pool.give(site)
            shown = self._next(shown, sight, name, deadline)

    def _next(
        self, shown: Shown, sight: Sight, name: str, deadline: float
    ) -> Shown:
        """Wait until another sight is due; return what may be shown then."""
        partition = self._gate.partition(name)
        position = shown.positions.get(partition, 0)
        while True:
            now = self._gate.shown()
            reason = self._gate.refusal(now)
            if reason or now is None:
                raise Stale(reason)
            moved = now.positions.get(partition, 0) != position
            changed = self._gate.stamp(name) != sight.stamp
            if moved or changed or time.monotonic() >= deadline:
                return now
            time.sleep(_POLL)

    def _serve(
        self, site: website.Site, environ: Environ, reply: Reply
    ) -> Iterable[bytes]:
        greeting = _greeting(environ)
        if greeting in site.greeted:
            self._pool.give(site)
            return reply.same(site.greeted[greeting])
        chunks = site(dict(environ, REPO_NAME=site.name), reply.start)
        try:
            first = next(chunks, b'')
            reply.send()
        except BaseException:
            chunks.close()
            raise
        if greeting and len(site.greeted) < _GREETINGS:
            body = first + b''.join(chunks)
            site.greeted[greeting] = (*reply.head, body)
            self._pool.give(site)
            return [body]
        return Stream(first, chunks, lambda: self._pool.give(site))


def asked(environ: Environ) -> str:
    """Return the wire protocol command, or '' when there is none."""
    query = environ.get('QUERY_STRING', '')
    if 'cmd=' not in query:
        return ''
    # Of several, Mercurial takes the last one.
    commands: list[str] = parse_qs(query).get('cmd', [''])
    return commands[-1]


def _greeting(environ: Environ) -> tuple[object, ...]:
    """Return all that the answer depends on when a client says hello.

    Empty for any other request.  Every exchange starts with this one, and
    its answer takes long to put together.
    """
    if environ.get('QUERY_STRING') != 'cmd=capabilities':
        return ()
    said = [each for each in environ.items() if each[0].startswith('HTTP_X_HG')]
    return (environ['REQUEST_METHOD'], environ['PATH_INFO'], *sorted(said))


def _named(environ: Environ) -> set[str]:
    """Return the starts of all that looks like a changeset's hash."""
    headers = []
    for number in range(1, 1000):
        value = environ.get(f'HTTP_X_HGARG_{number}')
        if value is None:
            break
        headers.append(value)
    said = (
        environ.get('PATH_INFO', ''),
        unquote_plus(environ.get('QUERY_STRING', '')),
        unquote_plus(''.join(headers)),
    )
    return {found[:_SHORT] for one in said for found in _HASH.findall(one)}


def _said(environ: Environ) -> str:
    """Return the request in one line, for the log."""
    path = environ.get('PATH_INFO', '')
    query = environ.get('QUERY_STRING', '')
    return ascii(f'{environ.get("REQUEST_METHOD")} {path}?{query}'[:500])


def build() -> Wsgi:
    """Return the web tier of the node whose hgrc is in HGRCPATH.

    An extension that has a function ``websetup(ui, serve, named)`` may put
    something around it.  Raises SettingError, and Mercurial's Abort.
    """
    from mercurial import encoding, extensions
    from mercurial import ui as uimod

    compat.initialize()
    ui = uimod.ui.load()
    extensions.loadall(ui)
    extensions.populateui(ui)
    settings.declare(ui)
    _declare(ui)
    its = settings.read(ui)
    # A stream clone would send store files as they are, shown or not.
    ui.setconfig(b'server', b'uncompressed', b'no', b'fleet.web')
    ui.setconfig(b'ui', b'interactive', b'no', b'fleet.web')
    gate = Gate(its, adapters.system_clock())
    pool = website.Pool(
        website.opener(ui, gate), ui.configint(b'fleet', b'web-repositories')
    )
    push_url = edge.text(ui.config(b'fleet', b'push-url'))
    paths = encoding.environ.get(b'HGRCPATH', b'').split(os.pathsep.encode())
    public = webaccess.Public(filter(os.path.isfile, paths))
    application = Application(ui, gate, pool, public, push_url)
    serve: Wsgi = application
    for _name, module in extensions.extensions(ui):
        websetup = getattr(module, 'websetup', None)
        if websetup is not None:
            serve = websetup(ui, serve, application.named)
    return serve


def _declare(ui: Any) -> None:
    from mercurial import configitems

    known = ui._knownconfig[b'fleet']
    for item, default in ((b'push-url', b''), (b'web-repositories', 200)):
        if item not in known:
            known[item] = configitems.configitem(b'fleet', item, default)


def __getattr__(name: str) -> Any:
    # Made when a server asks for it, so that importing this starts nothing.
    if name != 'application':
        raise AttributeError(name)
    from mercurial import error

    try:
        return build()
    except (FleetError, error.Abort) as problem:
        said = problem.message
        if isinstance(said, bytes):
            said = edge.text(said)
        print(f'hgfleet: the web tier cannot start: {said}', file=sys.stderr)
        # gunicorn's code for an application that need not be tried again
        raise SystemExit(4) from None
