"""refuse pushes for a while, and say why

A server that has this extension can be told that one repository, or all of
them, must not be changed by anybody. They can be cloned and pulled from as
always; every push, whether of changesets, bookmarks, phases or obsolescence
markers, is refused before any of its data is sent, and whoever pushes is told
the reason. So are those who would make, change or delete a repository over
SSH::

  [extensions]
  readonly =
  readonly:required = yes

  [readonly]
  all-file = /etc/hgfleet/readonly

``readonly.all``
  the reason why all repositories are read-only. Empty, or ``no``: they are
  not. ``yes``: they are, without a reason.

``readonly.all-file``
  a file. As long as it exists all repositories are read-only, and what it says
  is the reason. That is looked at for every push, so nothing has to be
  started anew.

``readonly.reason``
  in the hgrc of a repository: the reason why this one is read-only. It is the
  same on all nodes once it was set with :hg:`replicate::config`.

A reason should be one short sentence, such as ``the release is being cut``.
Of a longer one the beginning is shown. A file that is there but cannot be read
is a reason, too.

What other nodes have accepted is still applied here: a fleet is read-only when
all its primaries are.

Commands that are run on the server itself are refused as well, as far as they
open a transaction. With ``fleet.root``, only repositories below it are
concerned.
"""

from __future__ import annotations

import os
from typing import Any

from mercurial import registrar
from mercurial.utils import stringutil

from ..fleet import auditing, edge, meta, settings
from .refusing import Refusal, guard

testedwith = meta.TESTEDWITH
minimumhgversion = meta.MINIMUM_HG
buglink = meta.BUGLINK

configtable: dict[bytes, Any] = {}
configitem = registrar.configitem(configtable)

configitem(b'readonly', b'all', default=b'')
configitem(b'readonly', b'all-file', default=b'')
configitem(b'readonly', b'reason', default=b'')

# Together short enough for Mercurial to pass on.
_LONGEST = 150
_NAME = 60
_HINT = 'it can be pulled from; push again when this is over'
_UNSAID = 'no reason is given'


def uisetup(ui: Any) -> None:
    """Register the settings that the fleet's extensions share."""
    settings.declare(ui)


def reposetup(ui: Any, repo: Any) -> None:
    """Guard a local repository, if it is one of the server's."""
    if not repo.local():
        return
    root = ui.config(b'fleet', b'root')
    name = os.path.basename(repo.root)
    if root:
        name = os.path.relpath(repo.root, os.path.realpath(root))
        if name.startswith(b'..'):
            return

    def why() -> Refusal | None:
        reason = _reason(repo)
        if reason is None:
            return None
        auditing.told(
            ui, 'push', auditing.DENIED, reason=reason, repo=edge.text(name)
        )
        its = edge.text(name)[:_NAME]
        return Refusal(f'{its} is read-only: {reason}', _HINT)

    guard(repo, b'readonly', why)


def _reason(repo: Any) -> str | None:
    """Return why a repository is read-only, on one line, or None."""
    # Whoever owns that hgrc, this can do no harm.
    own = repo.ui.config(b'readonly', b'reason', untrusted=True)
    # What a repository says of itself must not lift what holds for all.
    return reason(repo.baseui, own)


def reason(ui: Any, own: bytes) -> str | None:
    """Return why a repository is read-only that says ``own`` of itself.

    ``ui`` has what holds for all.
    """
    return (
        _said(ui.config(b'readonly', b'all'))
        or _written(ui.configpath(b'readonly', b'all-file'))
        or _said(own)
    )


def _said(value: bytes | None) -> str | None:
    switch = stringutil.parsebool(value or b'no')
    if switch is None:
        return _line(value or b'')
    return _UNSAID if switch else None


def _written(path: bytes | None) -> str | None:
    if not path:
        return None
    try:
        with open(path, 'rb') as file:
            return _line(file.read(4096))
    except FileNotFoundError:
        if not os.path.islink(path):
            return None
        return 'the file with the reason leads nowhere'
    except OSError as problem:
        return f'the reason cannot be read ({problem.strerror})'


def _line(content: bytes) -> str:
    """Return the content of a file, or a value, as one printable line."""
    said = content.decode('utf-8', 'replace')
    shown = ''.join(one if one.isprintable() else ' ' for one in said)
    return ' '.join(shown.split())[:_LONGEST] or _UNSAID
