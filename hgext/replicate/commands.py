"""The commands of a node."""

from __future__ import annotations

from typing import Any

from mercurial import cmdutil, registrar
from mercurial.i18n import _

from ..fleet import edge, idle
from ..fleet.core.errors import NameRefused
from . import changes, digest, repohgrc
from .checkcommands import IDLE
from .follow import catch_up_patiently
from .node import Node

cmdtable: dict[bytes, Any] = {}
command = registrar.command(cmdtable)


@command(
    b'replicate::serve',
    [],
    b'',
    helpcategory=command.CATEGORY_MAINTENANCE,
    norepo=True,
)
def serve_command(ui: Any, **opts: Any) -> None:
    """be this node's daemon, in the foreground, until SIGTERM

    The daemon applies what other nodes have put into the ledger, keeps this
    node's lease, and on a mirror writes up to where repositories may be
    shown.
    """
    # Imported here: a push has no use for it, and pays for its imports.
    from ..fleet import eager

    with eager.imports(), edge.refusing():
        from .serve import serve

        serve(Node.of(ui))


@command(
    b'replicate::relay',
    [],
    b'',
    helpcategory=command.CATEGORY_MAINTENANCE,
    norepo=True,
)
def relay_command(ui: Any, **opts: Any) -> None:
    """keep the ledger connected for others, in the foreground, until SIGTERM

    Pushes and commands on this node ask the relay while it runs, and the
    ledger itself while it does not; only the time that connecting takes is
    saved. With a ledger in SQLite there is nothing to save.
    """
    from ..fleet import eager

    with eager.imports(), edge.refusing():
        from .relay import serve

        serve(Node.of(ui))


@command(
    b'replicate::create',
    [(b'', b'hgrc', b'', _(b'what the hgrc of the repository is'), _(b'FILE'))],
    _(b'NAME'),
    helpcategory=command.CATEGORY_REPO_CREATION,
    norepo=True,
)
def create_command(ui: Any, name: bytes, **opts: Any) -> None:
    """make a repository on every node of the fleet"""
    with edge.refusing():
        hosted = Node.of(ui).hosted(edge.text(name))
        changes.create(ui, hosted, _hgrc(opts['hgrc']))


@command(
    b'replicate::config',
    [],
    _(b'NAME [FILE]'),
    helpcategory=command.CATEGORY_MAINTENANCE,
    norepo=True,
)
def config_command(
    ui: Any, name: bytes, path: bytes = b'', **opts: Any
) -> None:
    """replace the hgrc of a repository on every node of the fleet

    Without FILE the repository is left with no hgrc. Only the sections web,
    phases, experimental, server, checks, checks.paths and readonly may be
    set; in checks neither ``policy.NAME``, since that is code, nor
    ``bypass.NAME``; and in readonly only ``reason``.
    """
    with edge.refusing():
        hosted = Node.of(ui).hosted(edge.text(name))
        changes.configure(ui, hosted, _hgrc(path))


@command(
    b'replicate::delete',
    [],
    _(b'NAME'),
    helpcategory=command.CATEGORY_MAINTENANCE,
    norepo=True,
)
def delete_command(ui: Any, name: bytes, **opts: Any) -> None:
    """remove a repository from every node of the fleet"""
    with edge.refusing():
        changes.delete(ui, Node.of(ui).hosted(edge.text(name)))


@command(
    b'replicate::catchup',
    [],
    _(b'NAME...'),
    helpcategory=command.CATEGORY_MAINTENANCE,
    norepo=True,
)
def catchup_command(ui: Any, *names: bytes, **opts: Any) -> None:
    """apply what this node's repositories lack, once"""
    with edge.refusing():
        node = Node.of(ui)
        for name in names:
            hosted = node.hosted(edge.text(name))
            state = catch_up_patiently(hosted).state
            ui.status(edge.local(f'{hosted.name}: at entry {state.seq}\n'))


@command(
    b'replicate::rebuild',
    [IDLE],
    _(b'NAME'),
    helpcategory=command.CATEGORY_MAINTENANCE,
    norepo=True,
)
def rebuild_command(ui: Any, name: bytes, **opts: Any) -> None:
    """make this node's copy of a repository anew from the ledger

    For a copy that is damaged, or was changed behind the ledger's back; the
    daemon does this by itself for one that is quarantined. The new copy is
    made beside the old one, verified, and changes places with it. The old one
    is kept in ``broken`` in ``fleet.state``, with the last five that were
    replaced. What is not in the ledger is only there.

    Interrupted, or where an entry cannot be applied, nothing has changed.
    """
    from .rebuild import rebuild

    with edge.refusing():
        if opts.get('idle'):
            idle.become()
        hosted = Node.of(ui).hosted(edge.text(name))
        refused = hosted.refused()
        reason = refused.reason if refused else 'hg replicate::rebuild'
        done = rebuild(hosted, reason)
        if done.kept:
            ui.note(edge.local(f'the old copy is {done.kept}\n'))
        seq = done.applied.state.seq
        ui.status(edge.local(f'{hosted.name}: rebuilt, at entry {seq}\n'))


@command(
    b'replicate::examine',
    [(b'', b'anew', None, _(b'do not look at it: make it anew'))],
    _(b'NAME...'),
    helpcategory=command.CATEGORY_MAINTENANCE,
    norepo=True,
)
def examine_command(ui: Any, *names: bytes, **opts: Any) -> None:
    """compare this node's copy of repositories with the ledger, thoroughly

    Whatever is wrong, down to what :hg:`verify` finds, the repository is made
    anew from the ledger. The daemon does so after a power cut, with each
    repository that was being written to.
    """
    from .examine import settle

    with edge.refusing():
        node = Node.of(ui)
        for name in names:
            hosted = node.hosted(edge.text(name))
            words = settle(hosted, bool(opts['anew']))
            said = f'made anew, since {words}' if words else 'as it should be'
            ui.status(edge.local(f'{hosted.name}: {said}\n'))


def _fencing(ui: Any, name: bytes, action: str, force: bool) -> None:
    from . import fence

    with edge.refusing():
        fence.put(Node.of(ui), edge.text(name), action, force)


FORCE = (b'f', b'force', None, _(b'also when no such primary is known'))


@command(
    b'replicate::fence',
    [FORCE],
    _(b'NODE'),
    helpcategory=command.CATEGORY_MAINTENANCE,
    norepo=True,
)
def fence_command(ui: Any, name: bytes, **opts: Any) -> None:
    """let nothing count that a primary does from now on

    Its pushes are refused, also those that it has begun, and also when it
    was only paused or cut off and comes back later. What it did before
    stays. Takes effect when the command returns; run it again if it fails.
    """
    _fencing(ui, name, 'fence', opts['force'])
    ui.status(b'%s is fenced: nothing that it does counts\n' % name)


@command(
    b'replicate::unfence',
    [FORCE],
    _(b'NODE'),
    helpcategory=command.CATEGORY_MAINTENANCE,
    norepo=True,
)
def unfence_command(ui: Any, name: bytes, **opts: Any) -> None:
    """let a primary that was fenced take pushes again"""
    _fencing(ui, name, 'unfence', opts['force'])
    ui.status(b'%s is not fenced any more\n' % name)


@command(
    b'replicate::digest',
    cmdutil.formatteropts,
    b'',
    helpcategory=command.CATEGORY_MAINTENANCE,
)
def digest_command(ui: Any, repo: Any, **opts: Any) -> int:
    """compare a repository with what the ledger says of it

    Exits with 1 when the digest of what is on disk is not the one that the
    last applied entry states.
    """
    hosted = getattr(repo.unfiltered(), '_fleet', None)
    with edge.refusing():
        if hosted is None:
            raise NameRefused('this repository is not part of a fleet')
        state = hosted.applied().state
    actual = digest.of(repo)
    with ui.formatter(b'replicate-digest', _bytes(opts)) as fm:
        fm.startitem()
        fm.write(b'name', b'%s\n', edge.local(hosted.name))
        fm.write(b'seq', b'entry:  %d\n', state.seq)
        fm.write(b'ledger', b'ledger: %s\n', state.digest.encode())
        fm.write(b'actual', b'actual: %s\n', actual.encode())
    return 0 if state.digest in ('', actual) else 1


def _bytes(opts: dict[str, Any]) -> dict[bytes, Any]:
    return {key.encode(): value for key, value in opts.items()}


def _hgrc(path: bytes) -> str | None:
    """Return the content of a file that is to be an hgrc."""
    if not path:
        return None
    try:
        with open(path, encoding='utf-8') as file:
            content = file.read()
    except (OSError, ValueError) as problem:
        raise repohgrc.unusable(edge.text(path), problem) from None
    repohgrc.check(edge.text(path), content)
    return content
