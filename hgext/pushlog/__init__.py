"""who pushed what, and when

The pushlog of a repository lists its pushes: for each its id (counted from
1), the user, the time, and the changesets that it brought. It is written by
the extension ``replicate`` as part of each push, from the fleet's ledger, so
it is the same on every node. This extension lets people and programs read
it::

    [extensions]
    pushlog =
    replicate =
    replicate:required = yes

It serves ``json-pushes``, ``pushlog`` (an Atom feed) and ``pushloghtml`` (a
page) in hgweb, and adds revsets and template keywords::

    hg log -r 'pushuser(alice) and pushdate(">2024-05-01")'
    hg log -r 'pushid(17)' -T '{pushid} {pushuser} {pushdate|isodate} {node}\\n'

The pages take these parameters, all of which may be left out:

:startdate, fromchange, startID: only pushes after this date, after the push
    of this changeset, or after the push with this id
:enddate, tochange, endID: only pushes before this date, or up to and
    including the push of this changeset or with this id
:user: only pushes of this user; if repeated, of any of these
:changeset: only the push of this changeset; if repeated, of any of these
:branch: only changesets on this named branch, and pushes that have some
:tipsonly=1: only the last changeset of each push
:full: all about each changeset, and not just its id
:version: 1 (default) or 2, which wraps the pushes and adds ``lastpushid``

Without a start, a user and a changeset, the answer is the last ten pushes;
``json-pushes/2`` has the ten before them, and so on. Dates are seconds since
1970, ``YYYY-MM-DD HH:MM:SS``, ``3 days ago``, or whatever
:hg:`help dates` knows as one date; they are compared in whole seconds.

The wire protocol has the command ``pushlog`` for programs that copy it all.

Errors are ``{"error": TEXT}`` with status 400 where a parameter makes no
sense, 404 where a changeset or branch does not exist, and 500 where the
pushlog is damaged.

If :hg:`pushlog::verify` finds that it is, :hg:`pushlog::rebuild` makes it
anew from the ledger.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

from ..fleet import meta

testedwith = meta.TESTEDWITH
minimumhgversion = meta.MINIMUM_HG
buglink = meta.BUGLINK

# The tables that Mercurial looks for, and the modules that have them: who
# only records pushes must not pay for them.
_TABLES = {
    'cmdtable': 'commands',
    'revsetpredicate': 'revsets',
    'templatekeyword': 'keywords',
}


def __getattr__(name: str) -> Any:
    if name not in _TABLES:
        raise AttributeError(name)
    module = importlib.import_module(f'{__name__}.{_TABLES[name]}')
    return getattr(module, name)


def uisetup(ui: Any) -> None:
    """Register the settings, the web pages, and the wire command."""
    from mercurial import extensions, wireprotov1server
    from mercurial.hgweb import webcommands

    from ..fleet import settings

    settings.declare(ui)
    for name, command in _PAGES.items():
        webcommands.webcommand(name.encode())(command)
        setattr(webcommands, name, command)
    server = wireprotov1server
    server.wireprotocommand(b'pushlog', b'firstpush', permission=b'pull')(
        _answer
    )
    extensions.wrapfunction(server, '_capabilities', _capabilities)


def _capabilities(orig: Any, repo: Any, proto: Any) -> Any:
    return [*orig(repo, proto), b'pushlog']


def _answer(repo: Any, _proto: Any, firstpush: bytes) -> bytes:
    from .wire import answer

    return answer(repo, firstpush)


def _pushes(web: Any) -> Iterator[bytes]:
    """
    /json-pushes[/{page}]
    ---------------------

    Show who pushed what, as JSON; :hg:`help -e pushlog` has the parameters.
    """
    from .web import pushes

    return pushes(web)


def _pushlog(web: Any) -> Iterator[bytes]:
    """
    /pushlog[/{page}]
    -----------------

    Show who pushed what, as an Atom feed. The parameters are those of
    ``/json-pushes``.
    """
    from .feed import pushlog

    return pushlog(web)


def _pushloghtml(web: Any) -> Iterator[bytes]:
    """
    /pushloghtml[/{page}]
    ---------------------

    Show who pushed what, as a page. The parameters are those of
    ``/json-pushes``.
    """
    from .feed import pushloghtml

    return pushloghtml(web)


_PAGES = {
    'pushes': _pushes,
    'json-pushes': _pushes,
    'pushlog': _pushlog,
    'pushloghtml': _pushloghtml,
}
