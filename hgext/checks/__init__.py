"""judge pushes by policies

All policies that are in force look at a push in one pass, before anything of
it is kept, and whoever pushes is told at once what all of them have found: in
which changeset, in which file, what helps, and who may bypass it. Pushes that
only move bookmarks or phases are judged as well. What a repository gets from
the ledger is not, since it was judged when it was pushed; nor is what is
pulled on the server itself.

A server is configured in its hgrc, and each repository may be in its own::

  [extensions]
  checks =
  checks:required = yes

  [checks]
  heads = enforce
  sizes = enforce
  sizes.most = 5 MB
  secrets = warn
  bypass.sizes = release-team, @ann

Each policy is ``off``, as all are by default; or in ``warn``, by which it only
tells; or in ``enforce``. A policy that cannot be loaded, fails, or has
settings that make no sense refuses the push, in either of the latter. So does
a setting that is not known. :hg:`help checks-policies` describes them all.

Who pushes may want something of the checks, with ``--pushvars``:

``CHECK_ONLY=1``
  the push is judged, and never done; Mercurial calls that a failure,
  whatever the answer was

``BYPASS=NAME,...:REASON``
  these policies do not stand in the way, if ``bypass.NAME`` says that this
  user may do that. It is written into the audit, or not done

``checks.bypass.NAME`` (default: nobody)
  who may bypass the policy NAME: groups, and users as ``@USER``. For
  ``bypass.*`` NAME is every policy that has no such line of its own.

``checks.policy.NAME``
  a policy of your own: the Python module it is in. Those that come along, in
  the package ``fleethooks``, are the examples.

``checks.pushvars``
  names of push variables that are meant for hooks of your own; others are
  refused.

``checks.show`` (default 10)
  how many failures of each policy are told.

``checks.urls``
  what is told about each of the changesets of an accepted push, the last ten:
  URLs with ``{repo}`` and ``{node}`` in them.

``checks.warm`` (default yes)
  whether a push that was accepted leaves the cache of tags warm.
"""

from __future__ import annotations

from typing import Any

from mercurial import commands, extensions, registrar

from ..fleet import meta, settings

testedwith = meta.TESTEDWITH
minimumhgversion = meta.MINIMUM_HG
buglink = meta.BUGLINK

configtable: dict[bytes, Any] = {}
configitem = registrar.configitem(configtable)

configitem(b'checks', b'.*', default=None, generic=True)
configitem(b'checks.paths', b'.*', default=None, generic=True)


def uisetup(ui: Any) -> None:
    """Register the settings that the fleet's extensions share."""
    settings.declare(ui)


def extsetup(ui: Any) -> None:
    """Add the policies' own manuals to the help, when somebody wants help.

    What makes the help is not loaded by those who only push.
    """
    extensions.wrapcommand(commands.table, b'help', _with_policies)


def _with_policies(orig: Any, ui: Any, *args: Any, **opts: Any) -> Any:
    from mercurial import help

    from . import manual

    topics: list[Any] = help.helptable
    topic = ([b'checks-policies'], b'Policies for Pushes', manual.policies)
    if topic not in topics:
        topics.append(topic)
    return orig(ui, *args, **opts)


def reposetup(ui: Any, repo: Any) -> None:
    """Judge what comes into every local repository."""
    from . import judging

    if repo.local():
        judging.judged(repo)
