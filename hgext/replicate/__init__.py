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

``replicate.partitions`` (default 8)
  the number of streams in the ledger; it must be the same on all nodes and
  must never be changed.

``replicate.partition-map.NAME``
  ``N,N: start``: repositories whose names match the regular expression
  ``start`` live in one of these partitions; tried in the order of NAME.

``replicate.inline-limit`` (default 64 KB)
  payloads larger than this go to the blob store.

``replicate.lease`` (default 5 seconds)
  how long a mirror may serve, and is waited for, after its last sign of
  life.

``replicate.wait`` (``none`` or ``visible``, default ``none``)
  with ``visible``, a push returns only when every live mirror shows it.
"""

from __future__ import annotations

import os
from typing import Any

from mercurial import exchange, extensions, repair, repoview

from ..fleet import edge, failpoint, meta, settings
from . import commands, produce, snapcommands
from .node import Node

testedwith = meta.TESTEDWITH
minimumhgversion = meta.MINIMUM_HG
buglink = meta.BUGLINK

cmdtable = {**commands.cmdtable, **snapcommands.cmdtable}


def uisetup(ui: Any) -> None:
    """Register the settings; wrap what else changes a hosted repository."""
    settings.declare(ui)
    failpoint.arm(ui)
    extensions.wrapfunction(repair, 'strip', produce.refuse_strip)
    extensions.wrapfunction(exchange, 'unbundle', produce.unbundle)
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
