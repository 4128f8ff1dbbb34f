"""All checks, in one pass, before a transaction becomes an entry.

The class below is mixed into each repository.  It adds a validator to every
outermost transaction, after the hooks and before the entry is made.  What the
ledger hands over, what is pulled, and what is taken away is not judged here.
"""

from __future__ import annotations

import contextlib
import os
import time
import traceback
from collections.abc import Sequence
from typing import Any

from mercurial import encoding, error

from ..fleet import auditing, edge
from ..fleet.core import verdict
from ..fleet.core.checks import Finding, run
from ..fleet.core.errors import Denied, FleetError
from ..fleet.core.verdict import Verdict, Wish
from ..fleet.edge import local, text
from . import facts, loading, reactions
from .world import NodeWorld

# After the hooks, and before the names of what makes the entry.
_NAME = b'~checks'
_NOT_JUDGED = (b'pull', b'strip', b'recover')
_VARIABLE = 'USERVAR_'


class Refused(FleetError):
    """Checks stand in the way of a push."""


def judged(repo: Any) -> None:
    """Make ``repo`` judge what comes into it."""

    class judgedrepo(repo.__class__):  # type: ignore[misc]
        def transaction(self, desc: bytes, report: Any = None) -> Any:
            unfi = self.unfiltered()
            inner = self.currenttransaction() is not None
            tr = super().transaction(desc, report)
            applying = getattr(unfi, '_fleet_applying', False)
            word = desc.split(b'\n')[0].split(b' ')[0]
            if not (inner or applying or word in _NOT_JUDGED):
                tr.addvalidator(_NAME, lambda tr: _judge(unfi, tr))
            return tr

    repo.__class__ = judgedrepo
    # What an author wants of the checks must not be passed over.
    repo.ui.setconfig(b'push', b'pushvars.server', True, b'checks')


def _judge(repo: Any, tr: Any) -> None:
    """Run the checks; raise Abort when the transaction must not be closed."""
    with edge.refusing(repo.ui):
        try:
            _decide(repo, tr)
        except (FleetError, error.Error):
            raise
        except Exception as problem:  # noqa: BLE001 whatever it is, not a yes
            _keep(repo.ui, 'checks', problem)
            raise Refused(
                'the checks of this push failed',
                'nothing was changed; tell an administrator of this server',
            ) from None


def _decide(repo: Any, tr: Any) -> None:
    ui = repo.ui
    bench = loading.bench(ui)
    others = bench.general.words('pushvars')
    wish = verdict.wish(_variables(tr), bench.modules, others)
    most = bench.general.number('show')
    world = NodeWorld(repo)
    user, actor = auditing.user(ui), auditing.actor(ui)
    push = facts.PushFacts(
        repo, tr, _name(repo), user, world, time.time(), actor
    )
    moved = tr.changes[b'phases'] or tr.changes[b'obsmarkers']
    if not (push.count or push.bookmarks or moved):
        if wish.only:
            raise Refused('only checked, as asked for: nothing would change')
        return
    _guard_bypass(ui, push, wish, bench, world)
    findings = run(
        bench.appoint(push), push, lambda name, e: _keep(ui, name, e)
    )
    said = verdict.weigh(findings, wish.bypass)
    for line in verdict.report(said, bench.grants, most):
        ui.warn(b'%s\n' % encoding.tolocal(local(line)))
    if wish.only:
        raise _answer_only(said)
    if said.refused:
        refusal = _refusal(said.refused)
        auditing.told(
            ui, 'push', auditing.DENIED, reason=f'{refusal}', repo=push.repo
        )
        raise refusal
    used = sorted({one.policy for one in said.bypassed})
    if used:
        names = ', '.join(used)
        _audit_bypass(ui, push, names, auditing.ALLOWED, wish.reason)
    reactions.after(repo, tr, push, bench.general)


def _guard_bypass(
    ui: Any, push: Any, wish: Wish, bench: Any, world: NodeWorld
) -> None:
    """Raise Denied unless the actor may bypass all that the wish names."""
    who = auditing.actor(ui)
    for name in sorted(wish.bypass):
        subjects = bench.grants[name]
        named = [one for one in subjects if not one.startswith('@')]
        groups = world.groups(who) if named and '*' not in named else ()
        if verdict.holds(subjects, who, groups):
            continue
        _audit_bypass(ui, push, name, auditing.DENIED, wish.reason)
        raise Denied(
            f'{who} may not bypass the check {name}',
            f'those who may: {", ".join(subjects) or "nobody"}',
        )


def _audit_bypass(
    ui: Any, push: Any, what: str, decision: str, reason: str
) -> None:
    """Write down a bypass; without that there is none."""
    if not auditing.note(
        ui, 'bypass', decision, reason, repo=push.repo, what=what
    ):
        raise Refused(
            'a bypass must be written down, and there is no audit here',
            'set [fleet] audit on this server',
        )


def _answer_only(said: Verdict) -> FleetError:
    if said.refused:
        names = _names(said.refused)
        return Refused(
            f'only checked, as asked for: refused by {names}',
            'nothing was changed',
        )
    return Refused(
        'only checked, as asked for: no check refuses this push',
        'nothing was changed; push without CHECK_ONLY',
    )


def _refusal(refused: Sequence[Finding]) -> FleetError:
    return Refused(
        f'push refused by {_names(refused)}', 'nothing was changed; see above'
    )


def _names(findings: Sequence[Finding]) -> str:
    names = list(dict.fromkeys(one.policy for one in findings))
    kind = 'the check' if len(names) == 1 else 'the checks'
    return f'{kind} {", ".join(names)}'


def _variables(tr: Any) -> dict[str, str]:
    """Return what the client gave as ``--pushvars``."""
    found = {}
    for name, value in tr.hookargs.items():
        name = name if isinstance(name, str) else text(name)
        if name.startswith(_VARIABLE):
            found[name.removeprefix(_VARIABLE)] = text(value)
    return found


def _name(repo: Any) -> str:
    hosted = getattr(repo, '_fleet', None)
    return hosted.name if hosted else text(os.path.basename(repo.root))


def _keep(ui: Any, name: str, problem: Exception) -> None:
    """Keep a traceback where administrators look; the client gets none."""
    shown = ''.join(traceback.format_exception(problem))
    ui.log(b'checks', b'%s: %s\n', name.encode(), local(shown))
    state = text(ui.config(b'fleet', b'state') or b'')
    if state:
        when = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())
        # Where it cannot be kept, the push is refused all the same.
        with (
            contextlib.suppress(OSError),
            open(os.path.join(state, 'errors.log'), 'a') as file,
        ):
            file.write(f'{when} pid {os.getpid()} check {name}\n{shown}\n')
