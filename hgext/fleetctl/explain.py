"""Why somebody may, or may not, do something: ``hgfleet access explain``."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from mercurial import registrar

from ..fleet import adapters, edge, settings
from ..fleet.core import access, names
from ..fleet.core.access import Decision, Verb
from ..fleet.core.errors import SettingError
from . import commands, nodeui
from .commands import DATA, JSON
from .layout import Layout

cmdtable: dict[bytes, Any] = {}
command = registrar.command(cmdtable)


@dataclass(frozen=True)
class Explanation:
    """What somebody may do to a repository, and the line that decides."""

    user: str
    known: bool
    enabled: bool
    groups: tuple[str, ...]
    repo: str
    verbs: tuple[str, ...]
    line: str


@command(
    b'fleet::access-explain',
    [DATA, JSON],
    b'hgfleet access explain USER REPO --data DIR [--json]',
    helpcategory=command.CATEGORY_MAINTENANCE,
    norepo=True,
)
def access_explain(ui: Any, user: bytes, repo: bytes, **opts: Any) -> int:
    """tell what somebody may do to a repository, and which line decides

    REPO need not exist. What is told is what the next session of USER finds:
    the directory and the rules are read anew.

    With --json: an object with ``user``, ``known``, ``enabled``, ``groups``,
    ``repo``, ``verbs``, the list of what is allowed, and ``line``, the line
    of ``[access]`` that decides.

    Returns 0 when USER may at least read REPO, else 1.
    """
    with edge.refusing():
        layout = commands.existing(opts)
        one = explain(layout, edge.text(user), edge.text(repo))
    if opts['json']:
        ui.write(json.dumps(asdict(one), indent=2).encode() + b'\n')
    else:
        ui.write(edge.local(f'{sentence(one)}\n'))
    return 0 if one.verbs else 1


def explain(layout: Layout, user: str, repo: str) -> Explanation:
    """Return what the rules of the first primary say.

    Raises NameRefused, SettingError or DirectoryUnavailable.
    """
    names.person(user)
    names.repository(repo)
    ui = nodeui.of_first_primary(layout)
    where = edge.text(ui.config(b'fleet', b'directory') or b'')
    if not where:
        raise SettingError('fleet.directory is not set')
    rules = settings.rules(ui.configitems(b'access'))
    directory = adapters.open_directory(where)
    try:
        found = directory.user(user)
    finally:
        directory.close()
    groups = found.groups if found else frozenset()
    said = {
        verb: access.decide(rules, user, groups, repo, verb) for verb in Verb
    }
    return Explanation(
        user=user,
        known=found is not None,
        enabled=found is not None and found.enabled,
        groups=tuple(sorted(groups)),
        repo=repo,
        # Who cannot log in may do nothing.
        verbs=tuple(
            str(verb)
            for verb in Verb
            if found is not None and found.enabled and said[verb].allowed
        ),
        line=_line(said[Verb.READ]),
    )


def _line(decision: Decision) -> str:
    """Return the line of the rules alone."""
    reason = decision.reason
    return reason if decision.allowed else reason.split(': ')[0]


def sentence(one: Explanation) -> str:
    """Return the explanation for people."""
    if not one.known:
        return f'{one.user} is not known to the directory, and cannot log in'
    if not one.enabled:
        return f'{one.user} is locked out, and cannot log in'
    may = ', '.join(one.verbs)
    said = f'may {may}' if may else 'may do nothing with'
    groups = ', '.join(one.groups) or 'no group'
    return f'{one.user}, in {groups}, {said} {one.repo}: {one.line}'
