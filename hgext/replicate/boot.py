"""What of this node may be trusted since its machine was started.

Whoever comes first after a start of the machine, a session or the daemon,
writes ``<state>/boot.json`` (``core/boot.py``): the repositories that have a
mark (``unsynced.py``) are doubted.  The daemon has them compared with the
ledger, one by one (``recovery.py``), and mended where they need it.  Until
then nobody is served from them: :func:`guard` refuses, and the web tier finds
the reason where it looks for that of a quarantine.

Where there is no such file at all, everything that is there is doubted.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

from ..fleet import files
from ..fleet.core import boot as boots
from ..fleet.core import names
from ..fleet.core.boot import Boot
from ..fleet.core.errors import Doubted, NameRefused
from ..fleet.core.mending import Cause
from ..fleet.webgate import Gate
from . import caches, unsynced
from .node import Hosted, Node

_LOCK = 'boot.lock'
_STALE_LOCKS = ('store/lock', 'wlock')


def guard(hosted: Hosted) -> None:
    """Raise Doubted unless the repository may be trusted."""
    if hosted.name in current(hosted.node).doubted and not (
        hosted.node.examines == hosted.name
    ):
        raise doubted(hosted)


def doubted(hosted: Hosted) -> Doubted:
    """Return the error for a repository that is still to be compared."""
    return Doubted(
        f'{hosted.name} on {hosted.node.settings.node} is being compared with '
        'the ledger, since this machine went down while it was written to',
        'try again in a minute',
    )


def current(node: Node) -> Boot:
    """Return what is known of this boot; find it out when nobody has."""
    known = boots.decode(files.read(node.state(boots.FILE)))
    if known is not None and boots.holds(known, node.clock.boot_id()):
        return known
    return assess(node)


def assess(node: Node, anew: bool = False) -> Boot:
    """Find out what is to be doubted, unless that is known for this boot.

    With ``anew`` also where one boot cannot be told from another.
    """
    with _alone(node):
        now = node.clock.boot_id()
        before = boots.decode(files.read(node.state(boots.FILE)))
        same = before is not None and boots.holds(before, now)
        if before is not None and same and (now or not anew):
            return before
        suspects = frozenset(filter(_is_name, unsynced.marked(node)))
        here = set(Gate(node.settings, node.clock).scan())
        if before is None:
            suspects |= here
        boot = Boot(now, suspects)
        for name in sorted(suspects):
            _refuse(node.hosted(name))
        since = unsynced.last_checkpoint(node)
        for name in sorted(here - suspects):
            # Readers write caches, too, and leave no mark.
            caches.remove(node.hosted(name), since)
        _write(node, boot)
    if suspects:
        count = len(suspects)
        node.ui.log(b'replicate', b'%d repositories are doubted\n', count)
    return boot


def lift(hosted: Hosted) -> None:
    """Let a repository be trusted from now on."""
    with _alone(hosted.node):
        known = boots.decode(files.read(hosted.node.state(boots.FILE)))
        if known is not None and hosted.name in known.doubted:
            _write(hosted.node, known.without([hosted.name]))


def _refuse(hosted: Hosted) -> None:
    hosted.refuse(str(doubted(hosted)), Cause.WAITING)
    for name in _STALE_LOCKS:
        # Of processes of another boot, whose ids others may have by now.
        files.remove(os.path.join(hosted.path, '.hg', name))


def _is_name(name: str) -> bool:
    try:
        names.repository(name)
    except NameRefused:
        return False
    return True


def _write(node: Node, boot: Boot) -> None:
    # Synced, so that the next boot does not have to doubt everything.
    files.replace(node.state(boots.FILE), boots.encode(boot), sync=True)


@contextlib.contextmanager
def _alone(node: Node) -> Iterator[None]:
    path = node.state(_LOCK)
    files.make_folder(os.path.dirname(path))
    with open(path, 'ab') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
