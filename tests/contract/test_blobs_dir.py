"""What can go wrong with a folder of blobs, and how it is told."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from hgext3rd.fleet.adapters.blobs_dir import DirBlobs
from hgext3rd.fleet.core.errors import BlobCorrupt, BlobUnavailable

DATA = bytes(range(256)) * 2048
DAMAGE = {
    'one bit': DATA[:-1] + b'\xfe',
    'the first': b'\xff' + DATA[1:],
    'cut short': DATA[:-1],
    'emptied': b'',
    'longer': DATA + b'x',
}


@pytest.fixture
def root(tmp_path):
    return tmp_path / 'blobs'


@pytest.fixture
def blobs(root):
    return DirBlobs(str(root))


def place(root: Path, sha256: str) -> Path:
    return root / sha256[:2] / sha256[2:]


def leftovers(root):
    return os.listdir(root / 'incoming')


def in_steps(step):
    def read(file, size):
        got = b''
        while chunk := file.read(step):
            got += chunk
            assert len(got) < size, 'the last read gave damaged bytes'

    return read


@pytest.mark.parametrize('damage', DAMAGE)
@pytest.mark.parametrize(
    'read',
    [lambda file, _: file.read(), in_steps(4096), in_steps(3 << 16)],
    ids=['all', 'steps', 'large steps'],
)
def test_damage_is_told_with_the_path(root, blobs, damage, read):
    blob = blobs.put([DATA])
    path = place(root, blob.sha256)
    path.write_bytes(DAMAGE[damage])
    with (
        blobs.open(blob.sha256) as file,
        pytest.raises(BlobCorrupt, match=str(path)) as caught,
    ):
        read(file, len(DAMAGE[damage]))
    assert blob.sha256 in str(caught.value)
    assert not caught.value.retry


def test_damage_is_told_to_who_reads_just_the_size(root, blobs):
    blob = blobs.put([DATA])
    place(root, blob.sha256).write_bytes(DAMAGE['one bit'])
    with blobs.open(blob.sha256) as file, pytest.raises(BlobCorrupt):
        file.read(blob.size)


def test_storing_again_mends(root, blobs):
    blob = blobs.put([DATA])
    place(root, blob.sha256).write_bytes(DAMAGE['one bit'])
    assert blobs.put([DATA]) == blob
    with blobs.open(blob.sha256) as file:
        assert file.read() == DATA
    assert leftovers(root) == []


def test_an_open_blob_may_be_removed(blobs):
    blob = blobs.put([DATA])
    with blobs.open(blob.sha256) as file:
        blobs.remove(blob.sha256)
        assert file.read() == DATA


def test_files_are_as_the_umask_says(root, blobs):
    mask = os.umask(0o027)
    try:
        blob = blobs.put([DATA])
    finally:
        os.umask(mask)
    path = place(root, blob.sha256)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o750


def test_only_old_leftovers_are_swept(root, blobs):
    blobs.put([b'x'])
    old, young = root / 'incoming' / 'old', root / 'incoming' / 'young'
    for path, age in ((old, 25 * 3600), (young, 23 * 3600)):
        path.write_bytes(b'')
        os.utime(path, (time.time() - age,) * 2)
    DirBlobs(str(root)).put([b'y'])
    assert leftovers(root) == ['young']


def test_a_missing_folder_is_told(tmp_path):
    blobs = DirBlobs(f'{tmp_path}/away/blobs')
    with pytest.raises(BlobUnavailable, match=f'{tmp_path}/away') as caught:
        blobs.put([b'x'])
    assert caught.value.retry
    assert not blobs.has('0' * 64)
    assert list(blobs.names()) == []


def test_a_folder_that_is_a_file_is_told(root, blobs):
    root.write_bytes(b'')
    with pytest.raises(BlobUnavailable, match='cannot store'):
        blobs.put([b'x'])
    with pytest.raises(BlobUnavailable, match='cannot read'):
        blobs.open('0' * 64)
    with pytest.raises(BlobUnavailable, match='cannot read'):
        blobs.has('0' * 64)
    with pytest.raises(BlobUnavailable, match='cannot read'):
        list(blobs.names())


def test_foreign_files_are_not_blobs(root, blobs):
    sha256 = blobs.put([b'x']).sha256
    (root / 'README').write_bytes(b'')
    (root / sha256[:2] / 'README').write_bytes(b'')
    (root / 'lost+found').mkdir()
    assert list(blobs.names()) == [sha256]


def test_a_full_disk(small_disk):
    blobs = DirBlobs(str(small_disk / 'blobs'))
    kept = blobs.put([DATA])
    with pytest.raises(BlobUnavailable, match='no room') as caught:
        blobs.put(bytes([i]) * (1 << 20) for i in range(8))
    assert 'space' in caught.value.hint
    assert leftovers(small_disk / 'blobs') == []
    assert list(blobs.names()) == [kept.sha256]
    blobs.put([b'x' * (1 << 20)])


def test_a_limit_of_file_size_leaves_nothing(root, act):
    actor = act('stuff', f'file://{root}', 1 << 20)
    assert actor.stdout.read() == 'BlobUnavailable\n'
    assert leftovers(root) == []
    assert list(DirBlobs(str(root)).names()) == []
