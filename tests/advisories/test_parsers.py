"""What decodes the content of a push reads nothing beyond its end.

Each bundle is sound but for one delta, or one line of a manifest.  With the
decoders of the advisories, a process that took it in read, or wrote, memory
that was not part of it.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from mercurial import bundle2
from mercurial import ui as uimod

from hgext3rd.fleet.core.entry import Kind, Payload, encode
from hgext3rd.fleet.core.errors import Quarantined
from hgext3rd.replicate import follow
from testlib import hgrepo
from testlib.doors import Doors
from testlib.malformed import PARTS, Change, header, node, whole

TEXT, NEXT = b'hello\n', b'good-bye\n'
FIRST = Change({b'a': TEXT})
SOUND = Change({b'a': NEXT}, parent=FIRST)
SIZE = len(TEXT)
HUGE = 0x7FFFFFFF


def spoiled(*deltas: bytes) -> pytest.MarkDecorator:
    """Run a test with each delta in a file, and the first in all parts."""
    cases = [(delta, 'file') for delta in deltas]
    cases += [(deltas[0], part) for part in PARTS if part != 'file']
    names = [f'{part}-{number}' for number, (_, part) in enumerate(cases)]
    changes = [SOUND.spoiled(part, delta) for delta, part in cases]
    return pytest.mark.parametrize('change', changes, ids=names)


@pytest.fixture(scope='module')
def target(doors: Doors) -> str:
    """A repository that stays empty, for all tests."""
    return doors.repository(checked=False)


def refused(doors: Doors, target: str, change: Change) -> None:
    """A session takes nothing of it, and says so in one line."""
    before = doors.content(target)
    said = doors.push(target, change.bundle())
    assert said.refused, said
    assert said.status > 0, said
    assert doors.content(target) == before


def quarantined(folder: Path, change: Change) -> str:
    """A mirror that finds it in an entry serves it not, and lives on."""
    primary = hgrepo.make_node(folder, 'p1')
    mirror = hgrepo.make_node(folder, 'm1', 'mirror')
    hosted = hgrepo.create(primary)
    follow.catch_up(mirror.hosted('demo'))
    before = hgrepo.picture(mirror.hosted('demo'))
    bundler = bundle2.bundle20(uimod.ui.load(), {})
    part = bundler.newpart(b'changegroup', data=change.group())
    part.addparam(b'version', b'01')
    entry = hgrepo.entry(
        hosted,
        Kind.PUSH,
        changesets=2,
        push_id=1,
        payload=Payload.of(b''.join(bundler.getchunks())),
        digest='0' * 64,
    )
    primary.ledger.append(hosted.stream, hosted.name, encode(entry))
    with pytest.raises(Quarantined, match='cannot be applied') as problem:
        follow.catch_up(mirror.hosted('demo'))
    assert hgrepo.picture(mirror.hosted('demo')) == before
    return str(problem.value)


def test_all_is_taken_that_is_not_spoiled(doors: Doors, tmp_path: Path) -> None:
    repo = doors.repository()
    said = doors.push(repo, SOUND.bundle())
    assert said.status == 0, said
    assert doors.log(repo) == f'{SOUND.hex}\n{FIRST.hex}\n'
    # All but the digest, which is made up.
    assert 'the digest is' in quarantined(tmp_path, SOUND)


@spoiled(header(1000, 1000, 1) + b'x', header(0, 1000, 1) + b'x')
def test_cve_2018_13346_a_hunk_that_starts_past_the_end(
    doors: Doors, target: str, tmp_path: Path, change: Change
) -> None:
    refused(doors, target, change)
    said = quarantined(tmp_path, change)
    # Of a manifest, no more than the length is looked at until it is read.
    assert 'the digest is' not in said or 'manifest' in change.deltas


@spoiled(
    header(0, 0, HUGE) + b'x',
    header(0xFFFFFFFF, 0xFFFFFFFF, 1) + b'x',
    header(HUGE, 0, HUGE),
    header(0, 0, 0xFFFFFFF4) + b'x' * 12,
)
def test_cve_2018_13347_sums_that_overflow(
    doors: Doors, target: str, tmp_path: Path, change: Change
) -> None:
    refused(doors, target, change)
    assert 'the digest is' not in quarantined(tmp_path, change)


@spoiled(whole(NEXT, TEXT) + b'\0' * 11, whole(NEXT, TEXT) + b'\0', b'\0' * 5)
def test_cve_2018_13348_fewer_bytes_than_a_header_remain(
    doors: Doors, target: str, tmp_path: Path, change: Change
) -> None:
    refused(doors, target, change)
    assert 'the digest is' not in quarantined(tmp_path, change)


@spoiled(
    header(0, SIZE, len(NEXT) + 1) + NEXT,
    header(0, SIZE, len(NEXT)),
    header(0, 0, 0) + header(SIZE, SIZE, 1),
)
def test_pysec_2016_29_short_records_and_rounded_lists(
    doors: Doors, target: str, tmp_path: Path, change: Change
) -> None:
    refused(doors, target, change)
    assert 'the digest is' not in quarantined(tmp_path, change)


@pytest.mark.parametrize(
    'manifest',
    [
        b'a\0' + node(NEXT).hex().encode()[:8] + b'\n',
        b'a\0\n',
        b'a\n',
        b'a\0' + node(NEXT).hex().encode(),
        b'a\0' + b'g' * 40 + b'\n',
    ],
    ids=['short', 'no-node', 'no-null', 'no-end', 'no-digits'],
)
def test_cve_2018_17983_a_manifest_whose_lines_are_short(
    doors: Doors, target: str, manifest: bytes
) -> None:
    change = Change({b'a': NEXT}, raw_manifest=manifest, parent=FIRST)
    refused(doors, target, change)
