"""Who asks: a user of the directory, the rules of access, and the audit."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from hgext3rd.fleet import auditing, edge
from hgext3rd.fleet.core import access
from hgext3rd.fleet.core.access import Decision, Rules, Verb
from hgext3rd.fleet.core.errors import Denied, SettingError
from hgext3rd.fleet.ports import User
from hgext3rd.replicate.node import Hosted, Node


@dataclass(frozen=True)
class Asker:
    """One person in one session."""

    ui: Any
    user: User
    rules: Rules

    def may(self, verb: Verb, repo: str) -> Decision:
        """Decide by the rules of access."""
        groups = self.user.groups
        return access.decide(self.rules, self.user.name, groups, repo, verb)

    def may_act(self, repo: str) -> Decision:
        """Decide whether they may push in the name of another."""
        groups = self.user.groups
        return access.decide_acting(self.rules, self.user.name, groups, repo)

    def path(self, repo: str) -> str:
        """Return the folder of a repository that they may read.

        One that is missing and one that they may not read are answered in
        the same words.  Raises Denied.
        """
        reading = self.may(Verb.READ, repo)
        found = place(setting(self.ui, b'root'), repo)
        if found is None or not reading.allowed:
            self.denied('read', repo, reading)
            raise Denied(
                f'repository {repo} does not exist or you may not read it'
            )
        return found

    def administered(self, repo: str) -> Hosted:
        """Return a repository that they may read and change.

        Raises Denied.
        """
        self.path(repo)
        decision = self.may(Verb.ADMIN, repo)
        if not decision.allowed:
            self.denied('admin', repo, decision)
            raise Denied(
                f'{self.user.name} may not change {repo}',
                'ask somebody who has the right "admin"; see "repo-group"',
            )
        return self.hosted(repo)

    def hosted(self, repo: str) -> Hosted:
        """Return a repository of the fleet, whether it exists or not."""
        return Node.of(self.ui).hosted(repo)

    def denied(self, event: str, repo: str, decision: Decision) -> None:
        """Write down what the rules do not allow."""
        self.ui.log(b'pash', b'%s\n', edge.local(decision.reason))
        # A repository that is not there is denied by no rule.
        reason = 'no such repository' if decision.allowed else decision.reason
        auditing.told(self.ui, event, auditing.DENIED, reason=reason, repo=repo)


def place(root: str, repo: str) -> str | None:
    """Return the path of a repository, or None when it is not there.

    ``repo`` is a repository name.  A symbolic link anywhere below ``root``
    could lead to another repository than the rules were asked about.
    """
    path = os.path.join(os.path.realpath(root), repo)
    inside = os.path.join(path, '.hg')
    if os.path.realpath(inside) == inside and os.path.isdir(inside):
        return path
    return None


def setting(ui: Any, item: bytes) -> str:
    """Return an item of ``[fleet]``; raises SettingError without one."""
    value = ui.config(b'fleet', item)
    if value:
        return edge.text(value)
    raise SettingError(f'fleet.{edge.text(item)} is not set on this server')
