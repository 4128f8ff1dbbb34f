"""run a whole hosting fleet on one machine

``hgfleet up`` starts everything that a fleet consists of: an sshd that takes
pushes, web servers that answer readers, and the daemons that keep all copies
of the repositories equal. It supervises them in the foreground until Ctrl-C::

  hgfleet up --data DIR             start a fleet; make DIR if it is missing
  hgfleet down --data DIR           stop it
  hgfleet status --data DIR         show nodes, parts and repositories
  hgfleet repo create NAME --data DIR
                                    make a repository on every node
  hgfleet repo list --data DIR      list the repositories
  hgfleet repo delete NAME --data DIR
                                    remove a repository from every node
  hgfleet doctor --data DIR         find what is wrong, and what helps
  hgfleet fence NODE --data DIR     let nothing count that a primary does
  hgfleet unfence NODE --data DIR   let it take pushes again
  hgfleet user add NAME --key FILE [--group GROUP]... --data DIR
                                    let somebody log in
  hgfleet access explain USER REPO --data DIR
                                    tell which line of the rules decides
  hgfleet snapshot [REPO]... --data DIR
                                    make what empty nodes start from
  hgfleet restore --from DIR [--to REPO@SEQ|TIME] --data NEWDIR
                                    make a fleet that is as another was
  hgfleet help COMMAND              tell all options of a command

Everything is below DIR, which the first start makes, together with a user
``admin``, a repository ``demo``, and a configuration for ``ssh -F``. There
is nothing to prepare but OpenSSH.

``DIR/local.rc``
  settings of your own, read last by every node; see :hg:`help replicate`

``DIR/access.rc``
  who may do what; the groups ``admins`` and ``developers`` may push

``DIR/users.toml``
  who may log in, with which keys and in which groups

``DIR/client/ssh_config``
  for ``ssh -F``: the host ``fleet`` is the first primary, ``fleet2`` the
  second

``DIR/log``
  what every part says; ``hgfleet up --detach`` itself writes ``up.log``

The commands are those of Mercurial's extension ``fleetctl``; ``hgfleet``
runs them with this installation's own ``hg``, and without your
configuration. To run another command as one of the nodes, give ``hg`` the
configuration of that node::

  HGRCPATH=DIR/nodes/hg1/hgrc hg -R DIR/nodes/hg1/repos/demo pushlog::verify
"""

from __future__ import annotations

from typing import Any

from ..fleet import meta

testedwith = meta.TESTEDWITH
minimumhgversion = meta.MINIMUM_HG
buglink = meta.BUGLINK


def __getattr__(name: str) -> Any:
    # The console script imports this package too, and needs no Mercurial.
    if name == 'cmdtable':
        from . import commands, explain, snapshots

        found = {**commands.cmdtable, **snapshots.cmdtable}
        return {**found, **explain.cmdtable}
    raise AttributeError(name)


def extsetup(_ui: Any) -> None:
    """Let ``hg help hgfleet`` be this page without a list of commands."""
    from mercurial import help as pages

    def text(_ui: Any) -> bytes:
        return (__doc__ or '').partition('\n\n')[2].encode()

    title = b'Running a Fleet on One Machine'
    pages.helptable.append(([b'hgfleet'], title, text, b'config'))
