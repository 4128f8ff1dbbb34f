"""A mirror shows a repository exactly as it was at a position.

One entry after the other changes a repository in every way there is; after
each, a copy of the whole folder is put aside.  Then the repository with all
entries, shown up to some position, must answer every request with the very
bytes with which the copy answers.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mercurial import phases, revlog
from mercurial.node import hex

from hgext3rd.fleet import web, webview
from hgext3rd.fleet.core.applied import Applied
from hgext3rd.fleet.webgate import Gate
from testlib.mirror import Changes, Mirror, serve
from testlib.wsgi import ask

# Mercurial's templates are full of what Python warns of.
pytestmark = pytest.mark.filterwarnings('ignore')

NAME = 'users/ann/thing'

# Enough for the variant that takes longer.
_SOME = ('e04_branch', 'e08_rewrite', 'e12_more')

_BUNDLE2 = (
    'getbundle&bundlecaps=HG20%2Cbundle2%3DHG20%250Achangegroup%253D02'
    '%250Abookmarks%250Aphases%253Dheads%250Aobsmarkers%253DV1&cg=1'
)


class History:
    """The entries, in order; each is a method that takes the changes."""

    def __init__(self) -> None:
        self.nodes: list[bytes] = []

    def __iter__(self) -> Iterator[str]:
        yield from sorted(name for name in dir(self) if name.startswith('e'))

    def _commit(self, changes: Changes, *args: object, **opts: object) -> bytes:
        node = changes.commit(*args, **opts)  # type: ignore[arg-type]
        self.nodes.append(node)
        return node

    def e01_first(self, c: Changes) -> None:
        node = self._commit(c, {'f': '1\n', 'd/g': 'g\n'})
        c.bookmark('main', node)
        c.bookmark('kept', node)

    def e02_two_more(self, c: Changes) -> None:
        self._commit(c, {'f': '2\n'})
        c.bookmark('main', self._commit(c, {'f': '3\n'}, 'three'))

    def e03_publish(self, c: Changes) -> None:
        c.publish(self.nodes[1])

    def e04_branch(self, c: Changes) -> None:
        first = (self.nodes[0],)
        node = self._commit(c, {'h': 'h\n'}, 'side', first, 'stable')
        c.bookmark('side', node)
        c.bookmark('main', self.nodes[1])

    def e05_tag(self, c: Changes) -> None:
        line = f'{hex(self.nodes[1]).decode()} v1\n'
        self._commit(c, {'.hgtags': line}, 'tag', (self.nodes[2],))

    def e06_merge(self, c: Changes) -> None:
        both = (self.nodes[4], self.nodes[3])
        self._commit(c, {'h': 'h\n'}, 'merge', both)
        c.bookmark('side', None)

    def e07_secret(self, c: Changes) -> None:
        c.retract(phases.secret, self.nodes[4])

    def e08_rewrite(self, c: Changes) -> None:
        new = self._commit(c, {'f': '4\n'}, 'four', (self.nodes[2],))
        c.obsolete(self.nodes[4], new)
        c.obsolete(self.nodes[5])

    def e09_only_markers(self, c: Changes) -> None:
        c.obsolete(self.nodes[3])

    def e10_only_bookmarks(self, c: Changes) -> None:
        c.bookmark('kept', None)
        c.bookmark('new', self.nodes[0])

    def e11_publish_all(self, c: Changes) -> None:
        c.publish(self.nodes[6])

    def e12_more(self, c: Changes) -> None:
        for number in range(5):
            last = self._commit(c, {'f': f'{number}\n', 'd/new': 'x'})
        c.bookmark('main', last)


@dataclass(frozen=True)
class Recorded:
    """A mirror, its position after each entry, and a copy as of then."""

    mirror: Mirror
    positions: list[int]
    copies: list[Mirror]
    wire: list[str]
    pages: list[tuple[str, str]]


@pytest.fixture(scope='module', params=['inline', 'split'])
def recorded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Recorded:
    folder = tmp_path_factory.mktemp('recorded')
    mirror = Mirror(folder / 'all')
    path = mirror.create(NAME)
    (path / '.hg' / 'hgrc').write_text('[phases]\npublish = no\n')
    history = History()
    positions, copies = [], []
    with pytest.MonkeyPatch.context() as patch:
        if request.param == 'split':
            # As in larger repositories: revisions are not in the index files.
            patch.setattr(revlog, '_maxinline', 1)
        for name in ['', *history]:
            if name:
                with mirror.entry(NAME) as changes:
                    getattr(history, name)(changes)
            if request.param == 'inline' or name in _SOME:
                positions.append(mirror.end)
                copies.append(_copy(mirror, folder / f'at-{name}'))
    store = path / '.hg' / 'store'
    split = (store / '00manifest.d').exists()
    assert split is (request.param == 'split')
    return Recorded(mirror, positions, copies, *_questions(mirror))


def _copy(mirror: Mirror, folder: Path) -> Mirror:
    copy = Mirror(folder)
    shutil.copytree(mirror.root, copy.root, dirs_exist_ok=True)
    copy.write(NAME, Applied(mirror.applied(NAME).state))
    copy.end = mirror.end
    copy.show()
    return copy


def _questions(mirror: Mirror) -> tuple[list[str], list[tuple[str, str]]]:
    repo = mirror.open(NAME)
    nodes = [hex(repo.changelog.node(rev)).decode() for rev in repo]
    log = repo.file(b'f')
    files = [hex(log.node(rev)).decode() for rev in range(len(log))]
    wire = [
        *('heads', 'branchmap', 'capabilities', 'lookup&key=tip'),
        *(f'lookup&key={node}' for node in nodes),
        *(f'lookup&key={node[:8]}' for node in nodes),
        *(f'lookup&key={rev}' for rev in range(len(nodes))),
        *(f'lookup&key={mark}' for mark in ('main', 'side', 'kept', 'v1')),
        f'known&nodes={"+".join(nodes)}',
        'changegroup&roots=' + '0' * 40,
        'getbundle',
        *(f'getbundle&heads={node}' for node in nodes),
        *(f'{_BUNDLE2}&heads={node}' for node in nodes),
        f'{_BUNDLE2}&common={nodes[1]}&listkeys=bookmarks%2Cphases'
        '%2Cnamespaces%2Cobsolete&obsmarkers=1&phases=1&bookmarks=1',
        *(
            f'listkeys&namespace={space}'
            for space in ('bookmarks', 'phases', 'obsolete', 'namespaces')
        ),
        'stream_out',
    ]
    pages = [
        *('', '/log', '/shortlog', '/graph', '/summary', '/atom-log'),
        *('/tags', '/bookmarks', '/branches', '/json-tags', '/json-log'),
        *('/json-bookmarks', '/json-branches', '/manifest/tip', '/rss-log'),
        *('/file/tip/f', '/log/tip/f', '/annotate/tip/f', '/diff/tip/f'),
        *('/comparison/tip/f', '/json-filelog/tip/f', '/rev/side', '/rev/v1'),
        *('/log?rev=draft()', '/log?rev=secret()', '/log?rev=obsolete()'),
        *('/log?rev=all()', '/log?rev=three', '/archive/tip.tar.gz'),
        *(f'/rev/{node}' for node in nodes),
        *(f'/raw-rev/{rev}' for rev in range(len(nodes))),
        *(f'/json-rev/{node[:12]}' for node in nodes),
        *(f'/file/{node}/f' for node in nodes),
        *(f'/file/{node}/f' for node in files),
        *(f'/raw-file/{node}/d/new' for node in nodes),
    ]
    return wire, [(path, q) for path, _, q in (u.partition('?') for u in pages)]


def test_every_answer_is_that_of_the_time(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, 'WAIT', 0.0)
    now = serve(recorded.mirror)
    different = []
    for number, copy in enumerate(recorded.copies):
        then = serve(copy)
        position = recorded.positions[number]
        recorded.mirror.show(position)
        asked = [('', f'cmd={each}') for each in recorded.wire]
        if number % 3 == 0 or len(recorded.copies) == len(_SOME):
            # Pages take longer to make.
            asked += recorded.pages
        for path, query in asked:
            got = ask(now, f'/{NAME}{path}', query)
            wanted = ask(then, f'/{NAME}{path}', query)
            assert wanted.code < 500, (path, query, wanted)
            if got != wanted:
                different.append((position, path, query))
    assert different == []


def test_the_copies_differ(recorded: Recorded) -> None:
    """Otherwise the test above would pass without undoing anything."""
    asked = [
        ('', 'cmd=heads'),
        ('', 'cmd=listkeys&namespace=bookmarks'),
        ('', 'cmd=listkeys&namespace=phases'),
        ('', 'cmd=listkeys&namespace=obsolete'),
        ('/json-log', ''),
    ]
    seen = {
        tuple(ask(serve(copy), f'/{NAME}{p}', q).body for p, q in asked)
        for copy in recorded.copies
    }
    assert len(seen) == len(recorded.copies)


def test_nothing_is_left_of_what_is_not_shown(recorded: Recorded) -> None:
    """Not even where Mercurial looks without a filter."""
    mirror = recorded.mirror
    gate = Gate(mirror.settings(), mirror.clock)
    for position, copy in zip(recorded.positions, recorded.copies, strict=True):
        mirror.show(position)
        shown = gate.shown()
        assert shown is not None
        sight = gate.sight(NAME, shown)
        assert sight is not None
        loaded = webview.load(
            mirror.ui(), gate.path(NAME), sight.view, lambda: True
        )
        assert loaded is not None
        assert _sizes(loaded.repo) == _sizes(copy.open(NAME))
        hidden = len(mirror.open(NAME)) - len(loaded.repo)
        assert len(loaded.unshown) == hidden
        assert loaded.repo._fleetview == sight.view


def _sizes(repo: Any) -> list[int]:
    manifest = repo.manifestlog.getstorage(b'').get_revlog()
    logs = [repo.file(path) for path in (b'f', b'h', b'd/g', b'd/new')]
    return [len(one) for one in (repo.changelog, manifest, *logs)]


def test_nothing_is_written(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither what is asked nor how much is hidden leaves a trace."""
    monkeypatch.setattr(web, 'WAIT', 0.0)
    before = _listing(recorded.mirror.root)
    app = serve(recorded.mirror)
    for position in recorded.positions[-2:]:
        recorded.mirror.show(position)
        for path, query in recorded.pages:
            ask(app, f'/{NAME}{path}', query)
        for query in recorded.wire:
            ask(app, f'/{NAME}', f'cmd={query}')
    assert _listing(recorded.mirror.root) == before


def _listing(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path): (path.stat().st_mtime_ns, path.stat().st_size)
        for path in folder.rglob('*')
    }
