"""judge pushes by policies"""

from __future__ import annotations

from typing import Any

from mercurial import registrar

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


def reposetup(ui: Any, repo: Any) -> None:
    """Judge what comes into every local repository."""
    from . import judging

    if repo.local():
        judging.judged(repo)
