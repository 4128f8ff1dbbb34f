"""A push that would write outside of a working copy writes nothing here.

Clients of the advisories' versions wrote, or ran, what such a push brought as
soon as they updated.  No node of a fleet has a working copy, or opens a
subrepository; and the checks refuse such a push, so that it is passed on to
nobody.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from mercurial import exchange, subrepo, subrepoutil

from hgext3rd.replicate import follow
from testlib import hgrepo
from testlib.doors import Doors
from testlib.malformed import Change


def linked(target: str) -> Change:
    """Return a link, and then a file below it."""
    first = Change({b'a': target.encode()}, {b'a': b'l'})
    files = {b'a': target.encode(), b'a/trap': b'trap\n'}
    return Change(files, {b'a': b'l'}, parent=first)


def subrepository(state: bytes, kind: bytes = b'') -> Change:
    """Return a subrepository that comes from ``state``."""
    node = b'1' * 40
    return Change(
        {
            b'.hgsub': b's = %s%s\n' % (kind, state),
            b'.hgsubstate': b'%s s\n' % node,
        }
    )


def refused(doors: Doors, change: Change, policy: str) -> None:
    """The checks refuse it, and keep nothing of it."""
    repo = doors.repository()
    before = doors.content(repo)
    said = doors.push(repo, change.bundle())
    assert policy in said.err, said
    assert 'Traceback' not in said.err, said
    assert said.out.endswith(b'\n0') or said.status, said
    assert doors.content(repo) == before


def harmless(doors: Doors, change: Change) -> None:
    """Where nothing checks, all of it ends up below .hg, and none is run."""
    repo = doors.repository(checked=False)
    said = doors.push(repo, change.bundle())
    assert said.status == 0, said
    assert change.hex in doors.log(repo)
    folder = doors.node.repos / repo
    assert os.listdir(folder) == ['.hg']
    assert not [path for path in folder.rglob('*') if path.is_symlink()]
    # Names that lead elsewhere are not the names of files of the store.
    data = folder / '.hg' / 'store' / 'data'
    assert all(
        one.suffix in ('.i', '.d') for one in data.rglob('*') if one.is_file()
    )
    hgrc = (folder / '.hg' / 'hgrc').read_text()
    assert 'trap' not in hgrc
    assert not list(doors.node.folder.rglob('trap'))


@pytest.fixture
def pair(tmp_path: Path) -> tuple[hgrepo.Hosted, hgrepo.Hosted]:
    """A repository on a primary and on a mirror."""
    primary = hgrepo.make_node(tmp_path, 'p1')
    mirror = hgrepo.make_node(tmp_path, 'm1', 'mirror')
    hosted = hgrepo.create(primary)
    follow.catch_up(mirror.hosted('demo'))
    return hosted, mirror.hosted('demo')


def test_cve_2017_1000115_a_file_below_a_link(doors: Doors) -> None:
    change = linked(str(doors.trap.parent))
    refused(doors, change, 'symlinks')
    harmless(doors, change)


@pytest.mark.parametrize(
    'path',
    [
        *(b'../trap', b'TRAP', b'a/../../trap'),
        *(b'.hg/hgrc', b'a/.hg/hgrc', b'.HG/hgrc'),
    ],
)
def test_cve_2017_1000115_a_path_that_leads_outside(
    doors: Doors, path: bytes
) -> None:
    path = path.replace(b'TRAP', str(doors.trap).encode())
    change = Change({path: b'[hooks]\npretxnopen = touch trap\n'})
    refused(doors, change, 'filenames')
    harmless(doors, change)


def test_cve_2017_1000115_mirrors_have_no_working_copy(
    pair: tuple[hgrepo.Hosted, hgrepo.Hosted], tmp_path: Path
) -> None:
    primary, mirror = pair
    change = linked(str(tmp_path))
    pushed(primary, change)
    follow.catch_up(mirror)
    assert change.hex.encode() in dict(hgrepo.picture(mirror)['changesets'])
    assert os.listdir(mirror.path) == ['.hg']
    assert not list(tmp_path.rglob('trap'))


def test_cve_2019_3902_a_subrepository_below_a_link(doors: Doors) -> None:
    target = str(doors.trap.parent).encode()
    first = Change({b'a': target}, {b'a': b'l'})
    files = {
        b'a': target,
        b'.hgsub': b'a/s = ../s\n',
        b'.hgsubstate': b'%s a/s\n' % (b'1' * 40),
    }
    change = Change(files, {b'a': b'l'}, parent=first)
    refused(doors, change, 'symlinks')
    refused(doors, change, 'subrepos')
    harmless(doors, change)


def test_cve_2017_17458_hooks_in_a_subrepository(doors: Doors) -> None:
    files = {
        b'.hgsub': b's = [git]s\n',
        b'.hgsubstate': b'%s s\n' % (b'1' * 40),
        b's/.git/hooks/post-update': b'#!/bin/sh\ntouch trap\n',
    }
    change = Change(files, {b's/.git/hooks/post-update': b'x'})
    refused(doors, change, 'subrepos')
    harmless(doors, change)


def test_ghsa_j7c2_rqm3_c97m_a_subrepository_by_ext(doors: Doors) -> None:
    command = f'ext::sh -c touch% {doors.trap}'.encode()
    change = subrepository(command, b'[git]')
    refused(doors, change, 'subrepos')
    harmless(doors, change)


@pytest.mark.parametrize(
    'source',
    [
        b'[git]ext::sh -c touch% trap',
        b'[svn]svn+ssh://-oProxyCommand=touch%20trap/x',
        b'[hg]ssh://-oProxyCommand=touch%20trap/x',
        b'ssh://host/x;touch trap',
    ],
)
def test_ghsa_j7c2_rqm3_c97m_mirrors_open_no_subrepository(
    pair: tuple[hgrepo.Hosted, hgrepo.Hosted],
    source: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def opened(*_args: object, **_options: object) -> None:
        pytest.fail('a subrepository was opened')

    primary, mirror = pair
    monkeypatch.setattr(subrepo, 'subrepo', opened)
    monkeypatch.setattr(subrepoutil, 'state', opened)
    change = subrepository(source)
    pushed(primary, change)
    follow.catch_up(mirror)
    assert hgrepo.picture(mirror) == hgrepo.picture(primary)
    assert change.hex.encode() in dict(hgrepo.picture(mirror)['changesets'])
    assert os.listdir(mirror.path) == ['.hg']


def pushed(hosted: hgrepo.Hosted, change: Change) -> None:
    """Have a primary accept it, with no check in the way."""
    repo = hgrepo.open_repository(hosted)
    group = exchange.readbundle(repo.ui, io.BytesIO(change.bundle()), None)
    with repo.lock(), repo.transaction(b'serve') as tr:
        group.apply(repo, tr, b'serve', b'remote:ssh:')
