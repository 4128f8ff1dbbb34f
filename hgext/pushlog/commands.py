"""The commands of the pushlog, for operators."""

from __future__ import annotations

from typing import Any

from mercurial import cmdutil, registrar
from mercurial.i18n import _

from ..fleet import edge

cmdtable: dict[bytes, Any] = {}
command = registrar.command(cmdtable)


@command(
    b'pushlog::verify',
    cmdutil.formatteropts,
    helpcategory=command.CATEGORY_MAINTENANCE,
    intents={registrar.INTENT_READONLY},
)
def verify(ui: Any, repo: Any, **opts: Any) -> int:
    """check that the pushlog is whole

    Each changeset must belong to exactly one push, ids must follow each
    other, times must not go back, and every push must have a user. With
    -T json, the result is a list of the problems, each with a ``problem``.

    Returns 0 if nothing is wrong, 1 otherwise. See also
    :hg:`pushlog::rebuild`.
    """
    from . import store
    from .verify import problems

    found = problems(repo)
    with store.Pushlog(repo.svfs) as log:
        pushes = len(log)
    with ui.formatter(b'pushlog-verify', _opts(opts)) as fm:
        for problem in found:
            fm.startitem()
            fm.write(b'problem', b'%s\n', edge.local(problem))
        if not found and not ui.quiet:
            counts = (len(repo.unfiltered().changelog), pushes)
            fm.plain(_(b'%d changesets in %d pushes\n') % counts)
    if found:
        ui.warn(_(b'the pushlog is damaged; see "hg help pushlog"\n'))
    return 1 if found else 0


@command(
    b'pushlog::rebuild',
    [
        (b'', b'check', None, _(b'only compare, and change nothing')),
        *cmdutil.formatteropts,
    ],
    helpcategory=command.CATEGORY_MAINTENANCE,
)
def rebuild(ui: Any, repo: Any, **opts: Any) -> int:
    """make the pushlog anew from the ledger

    The pushlog is compared with what the ledger says, and replaced if it is
    different. With --check it is only compared. With -T json, the result has
    the number of ``pushes``, and ``same`` and ``replaced``.

    Returns 0 if the pushlog is now as it should be, 1 if --check found that
    it is not.
    """
    from . import rebuild as making
    from . import store

    with edge.refusing(), repo.lock():
        found, log, users = making.from_ledger(repo)
        same = (log, users) == (
            repo.svfs.tryread(store.FILE),
            repo.svfs.tryread(store.USERS),
        )
        replaced = not same and not opts['check']
        if replaced:
            making.replace(repo, log, users)
    with ui.formatter(b'pushlog-rebuild', _opts(opts)) as fm:
        fm.startitem()
        fm.write(b'pushes', _(b'%d pushes in the ledger\n'), len(found))
        fm.data(same=same, replaced=replaced)
        fm.plain(
            _(b'the pushlog was the same already\n')
            if same
            else _(b'the pushlog is different; it was replaced\n')
            if replaced
            else _(b'the pushlog is different\n')
        )
    return 0 if same or replaced else 1


def _opts(opts: dict[str, Any]) -> dict[bytes, Any]:
    return {name.encode(): value for name, value in opts.items()}
