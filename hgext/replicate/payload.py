"""The payload of an entry: a transaction's whole content as a bundle2.

Parts, in this order, each only where there is something to say:

``fleet:moves``
    a JSON object: ``phase`` (in which the new changesets arrive), and, to
    be done in this order after the other parts, ``retract`` and ``advance``
    (lists of [phase, [nodes in hex]]; advances with the highest phase
    first) and ``bookmarks`` (name → node in hex, or null when deleted)
``changegroup``
    the new changesets, hidden and secret ones too
``obsmarkers``
    the new obsolescence markers

The part's name is lower-case, so a stock ``hg unbundle`` of a payload takes
the changesets and markers and passes over the moves.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mercurial import (
    bundle2,
    changegroup,
    encoding,
    error,
    phases,
    util,
)
from mercurial.node import bin, hex

from ..fleet.core.errors import EntryUnreadable, Inexpressible
from ..fleet.edge import local, text

_MOVES = b'fleet:moves'
_BULK = 500


@dataclass(frozen=True)
class Outgoing:
    """The revisions from ``start`` on, as Mercurial's bundler wants them.

    Everything below ``start`` is common by definition: all nodes have it.
    """

    missing: list[bytes]
    common: range
    ancestorsof: list[bytes]


@dataclass(frozen=True)
class Moves:
    """Bookmarks and phases of one transaction; nodes in hex."""

    bookmarks: dict[str, str | None]
    phase: int
    retract: tuple[tuple[int, tuple[str, ...]], ...]
    advance: tuple[tuple[int, tuple[str, ...]], ...]

    def __bool__(self) -> bool:
        return bool(self.bookmarks or self.retract or self.advance)


def chunks(repo: Any, tr: Any) -> Iterator[bytes]:
    """Yield the payload of the transaction, made from its changes."""
    start = tr.changes[b'origrepolen']
    added = len(repo.changelog) - start
    bundler = bundle2.bundle20(repo.ui, {b'obsmarkers': (b'V1',)})
    bundler.setcompression(_compression())
    moves = _moves(repo, tr)
    if moves or added:
        bundler.newpart(_MOVES, data=_encode(moves), mandatory=False)
    if added:
        _add_changesets(bundler, repo, start)
    markers = sorted(tr.changes[b'obsmarkers'])
    bundle2.buildobsmarkerspart(bundler, markers)
    yield from bundler.getchunks()


def is_empty(repo: Any, tr: Any) -> bool:
    """Tell whether the transaction changes nothing that an entry carries."""
    changes = tr.changes
    return not (
        len(repo.changelog) > changes[b'origrepolen']
        or changes[b'bookmarks']
        or changes[b'phases']
        or changes[b'obsmarkers']
    )


def _compression() -> bytes:
    zstd = util.compengines.forbundletype(b'ZS')
    return b'ZS' if zstd.available() else b'GZ'


def _add_changesets(bundler: Any, repo: Any, start: int) -> None:
    changelog = repo.changelog
    nodes = [changelog.node(rev) for rev in range(start, len(changelog))]
    # For few changesets, looking at their manifests is cheaper than at all
    # linkrevs of the files; naming no head makes the bundler do that.
    heads = repo.heads() if len(nodes) > _BULK else []
    outgoing = Outgoing(nodes, range(start), heads)
    versions = changegroup.supportedoutgoingversions(repo)
    version = b'03' if b'03' in versions else changegroup.safeversion(repo)
    group = changegroup.makechangegroup(repo, outgoing, version, b'fleet')
    part = bundler.newpart(b'changegroup', data=group.getchunks())
    part.addparam(b'version', version)
    part.addparam(b'nbchanges', b'%d' % len(nodes), mandatory=False)


def _moves(repo: Any, tr: Any) -> Moves:
    changes = tr.changes
    start = changes[b'origrepolen']
    to_hex = repo.changelog.node
    fresh: dict[int, list[int]] = {}
    moved: dict[int, list[int]] = {}
    for revisions, (_old, new) in changes[b'phases']:
        # From which phase they came does not matter when they are told to go
        # up and down to the new one, and is not always known: committing what
        # is there already counts as new.
        for revision in revisions:
            group = fresh if revision >= start else moved
            group.setdefault(new, []).append(revision)
    up = {to: moved[to] for to in moved if to != phases.public}
    down = {to: list(moved[to]) for to in moved}
    phase = max(fresh, default=phases.draft)
    # A changeset cannot arrive in a lower phase than its parents are in, and
    # older ones are lowered only afterwards.
    lowered = bool(moved)
    for level in fresh:
        if level < phase or lowered:
            down.setdefault(level, []).extend(fresh[level])

    def nodes(query: bytes, revisions: list[int]) -> tuple[str, ...]:
        found = repo.revs(query, revisions)
        return tuple(hex(to_hex(rev)).decode() for rev in found)

    return Moves(
        bookmarks=_bookmarks(repo, changes[b'bookmarks']),
        phase=phase,
        retract=tuple((to, nodes(b'roots(%ld)', up[to])) for to in sorted(up)),
        advance=tuple(
            (to, nodes(b'heads(%ld)', down[to]))
            for to in sorted(down, reverse=True)
        ),
    )


def _bookmarks(repo: Any, changes: Any) -> dict[str, str | None]:
    """Return where bookmarks move; Inexpressible when one cannot be kept.

    Clients can send any name and any node, and Mercurial only notices when
    it writes the file, or when it reads that: too late, since by then the
    entry would be in the ledger, and no node could apply it.
    """
    moved: dict[str, str | None] = {}
    for name, (_old, new) in sorted(changes.items()):
        if new and not (_is_line(name) and repo.changelog.hasnode(new)):
            raise Inexpressible(
                f'the bookmark {text(name)!r} cannot be kept: its name is no '
                'UTF-8, or it points to no changeset',
                'use another name; see "hg help environment" for HGENCODING',
            )
        moved[mark(name)] = hex(new).decode() if new else None
    return moved


def mark(name: bytes) -> str:
    """Return the name of a bookmark, independent of this process's locale."""
    return text(encoding.fromlocal(name))


def _is_line(name: bytes) -> bool:
    """Tell whether a name is read back from the file as it was written."""
    try:
        data: bytes = encoding.fromlocal(name)
    except error.Abort:
        return False
    return bool(data) and data == data.strip() and b'\n' not in data


def _encode(moves: Moves) -> bytes:
    body = {
        'bookmarks': moves.bookmarks,
        'phase': moves.phase,
        'retract': moves.retract,
        'advance': moves.advance,
    }
    return json.dumps(body, sort_keys=True, separators=(',', ':')).encode()


def _decode(data: bytes) -> Moves:
    try:
        body = json.loads(data)
        return Moves(
            bookmarks=dict(body['bookmarks']),
            phase=int(body['phase']),
            retract=tuple((p, tuple(nodes)) for p, nodes in body['retract']),
            advance=tuple((p, tuple(nodes)) for p, nodes in body['advance']),
        )
    except (ValueError, KeyError, TypeError) as problem:
        raise EntryUnreadable(
            f'the moves of the payload cannot be read: {problem}'
        ) from None


def apply(repo: Any, tr: Any, file: Any) -> None:
    """Do to ``repo``, inside ``tr``, what the payload says.

    ``repo`` must be unfiltered and as it was when the payload was made.
    """
    moves = Moves({}, phases.draft, (), ())
    for part in bundle2.getunbundler(repo.ui, file).iterparts():
        if part.type == _MOVES:
            moves = _decode(part.read())
        elif part.type == b'changegroup':
            _apply_changesets(repo, tr, part, moves.phase)
        elif part.type == b'obsmarkers':
            repo.obsstore.mergemarkers(tr, part.read())
            repo.invalidatevolatilesets()
        part.consume()
    _apply_moves(repo, tr, moves)


def _apply_changesets(repo: Any, tr: Any, part: Any, phase: int) -> None:
    version = part.params[b'version']
    group: Any = changegroup.getunbundler(version, part, None)
    total = int(part.params.get(b'nbchanges', b'0'))
    group.apply(
        repo,
        tr,
        b'fleet',
        b'fleet:',
        targetphase=phase,
        expectedtotal=total or None,
    )


def _apply_moves(repo: Any, tr: Any, moves: Moves) -> None:
    for phase, nodes in moves.retract:
        phases.retractboundary(repo, tr, phase, [bin(one) for one in nodes])
    for phase, nodes in moves.advance:
        phases.advanceboundary(repo, tr, phase, [bin(one) for one in nodes])
    if moves.bookmarks:
        changes = [
            (encoding.tolocal(local(name)), bin(node) if node else None)
            for name, node in moves.bookmarks.items()
        ]
        repo._bookmarks.applychanges(repo, tr, changes)
