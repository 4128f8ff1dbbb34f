"""keep repositories of a fleet equal, through one ledger

Every repository under ``fleet.root`` is *hosted*: each transaction on it,
from a push over SSH or from a command on this machine, becomes one entry of
the ledger before anybody can see it, and every node applies the same entries
in the same order.

A node is configured in its hgrc::

  [extensions]
  replicate =
  pushlog =

  [fleet]
  node = hg1
  role = primary
  root = /srv/hg/repos
  state = /srv/hg/state
  ledger = sqlite:///var/lib/hgfleet/ledger.db
  blobs = file:///var/lib/hgfleet/blobs

and runs one daemon, :hg:`replicate::serve`, which applies what other nodes
have put into the ledger. On a mirror (``role = mirror``) it also decides,
together with the daemons of the other mirrors, up to where repositories may
be shown.

Where connecting to the ledger takes time, a node that takes pushes also runs
:hg:`replicate::relay`, as the same user. It keeps connections open, and every
push on that node uses them through the socket ``ledger.sock`` in
``fleet.state``. While it does not run, each push connects for itself.

Repositories are made, configured and removed with
:hg:`replicate::create`, :hg:`replicate::config` and
:hg:`replicate::delete`; never with :hg:`init` or ``rm``.

:hg:`replicate::snapshot` makes snapshots of repositories. A node that has
none of a repository starts from its newest snapshot by itself;
:hg:`replicate::bootstrap` does so for all of them, and shows how far it is.

The daemon also looks after this node's copies, in processes of their own that
let everything else go first. It compares each repository with the digest in
the ledger, and more seldom verifies all of its content, as
:hg:`replicate::check` does. One that is damaged, or cannot be followed, is
quarantined: it is not served by this node, while all others are. It is made
anew beside, as by :hg:`replicate::rebuild`, and served again; where that
fails, it is tried again after pauses that grow from 5 seconds to an hour. One
node of the fleet, a mirror rather than a primary, makes snapshots.

``replicate.partitions`` (default 8)
  the number of streams in the ledger; it must be the same on all nodes and
  must never be changed.

``replicate.partition-map.NAME``
  ``N,N: start``: repositories whose names match the regular expression
  ``start`` live in one of these partitions; tried in the order of NAME. It
  must be the same on all nodes, and must never be changed for a name that
  has been used: what was pushed before would not be found any more.

``replicate.inline-limit`` (default 64 KB)
  payloads larger than this go to the blob store.

``replicate.lease`` (seconds; default 5, and 20 on a mirror with Kafka)
  how long a mirror may serve, and is waited for, after its last sign of
  life.

``replicate.wait`` (``none`` or ``visible``, default ``none``)
  with ``visible``, a push returns only when every live mirror shows it; one
  that has died is waited for until its lease has run out, and a quarter of
  it longer. Should it take longer still, the client is told that the push is
  safe, but that not every mirror shows it yet. Set it on all nodes: mirrors
  tell the others at once what they show only where somebody waits for it.

``replicate.check-share`` (default 5%)
  of one core, what comparing, verifying and making snapshots may use over
  time, from 0.1% to 100%. After each piece of work the daemon rests as long as
  that takes. Making a damaged copy anew is not held back.

``replicate.check-interval`` (default 1 hour)
  after what time each copy is compared with the ledger again, such as
  ``30 min``, ``12 hours`` or ``7 days``; ``never`` for not at all.

``replicate.verify-interval`` (default 7 days)
  after what time all content of each copy is verified again; or ``never``.

``replicate.snapshot-interval`` (default 1 day)
  after what time a repository that has changed gets another snapshot; at
  once after 1,000 entries. Its first is made after 50 entries, or when it has
  not changed for that time. After seven times that time, one that has not
  changed is listed again. With ``never`` on every node, only when told to.

``fleet.ready`` (``HOST:PORT``, default: nowhere)
  where the daemon of a primary tells a load balancer whether pushes can be
  taken: ``GET /readyz`` is answered with 200 or 503.

``fleet.sshd`` (``HOST:PORT``)
  the sshd of this primary, which must answer for that.

``fleet.room`` (default 64 MB)
  how much must be left for that where ``fleet.root`` and ``fleet.state``
  are.
"""

from __future__ import annotations

import os
from typing import Any

from mercurial import exchange, extensions, repair, repoview, wireprotoserver

from ..fleet import edge, failpoint, meta, settings
from . import checkcommands, commands, produce, snapcommands
from .node import Node

testedwith = meta.TESTEDWITH
minimumhgversion = meta.MINIMUM_HG
buglink = meta.BUGLINK

cmdtable = {
    **checkcommands.cmdtable,
    **commands.cmdtable,
    **snapcommands.cmdtable,
}


def uisetup(ui: Any) -> None:
    """Register the settings; wrap what else changes a hosted repository."""
    settings.declare(ui)
    failpoint.arm(ui)
    extensions.wrapfunction(repair, 'strip', produce.refuse_strip)
    extensions.wrapfunction(exchange, 'unbundle', produce.unbundle)
    extensions.wrapfunction(
        wireprotoserver.sshserver, 'serveuntil', produce.trusted_only
    )
    extensions.wrapfunction(repoview, 'pinnedrevs', produce.pinned_revisions)


def reposetup(ui: Any, repo: Any) -> None:
    """Make a local repository under ``fleet.root`` a hosted one."""
    root = ui.config(b'fleet', b'root')
    if not repo.local() or not root:
        return
    inside = os.path.relpath(repo.root, os.path.realpath(root))
    if inside.startswith(b'..') or inside == b'.':
        return
    with edge.refusing():
        node = Node.of(ui)
        produce.hosting(repo, node.hosted(edge.text(inside)))
