"""What every blob store must do, whatever it is made of."""

from __future__ import annotations

import hashlib
import tracemalloc

import pytest

from hgext3rd.fleet.core.errors import BlobUnavailable
from hgext3rd.fleet.ports import Blob

SIZES = [0, 1, 65535, 65536, 65537, (3 << 20) + 1]
ABSENT = '0' * 64
NOT_NAMES = ['', 'x', '../../etc/passwd', 'A' * 64, '0' * 63, '0' * 64 + '\n']


def content(size):
    return (b'%07d.' * (size // 8 + 1) % (*range(size // 8 + 1),))[:size]


def split(data, step):
    return (data[i : i + step] for i in range(0, len(data), step))


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('step', [1000, 1 << 20])
def test_what_is_put_comes_back(blobs, size, step):
    data = content(size)
    blob = blobs.put(split(data, step))
    assert blob == Blob(hashlib.sha256(data).hexdigest(), size)
    assert blobs.has(blob.sha256)
    with blobs.open(blob.sha256) as file:
        assert file.read() == data
        assert file.read() == b''
        assert file.read(1) == b''
    with blobs.open(blob.sha256) as file:
        assert b''.join(iter(lambda: file.read(4097), b'')) == data


def test_mixed_reads(blobs):
    data = content(300_000)
    with blobs.open(blobs.put([data]).sha256) as file:
        assert file.read(3) == data[:3]
        assert file.read(0) == b''
        buffer = bytearray(200_000)
        assert file.readinto(buffer) == 200_000
        assert buffer == data[3:200_003]
        assert file.read() == data[200_003:]


def test_a_blob_need_not_be_read_to_its_end(blobs):
    with blobs.open(blobs.put([content(1 << 20)]).sha256) as file:
        assert file.read(8) == b'0000000.'


def test_empty_chunks_are_nothing(blobs):
    assert blobs.put([b'', b'a', b'', b'b']) == blobs.put([b'ab'])
    assert blobs.put([]) == blobs.put([b''])


def test_put_does_not_hold_everything(blobs):
    chunk = bytes(1 << 20)
    tracemalloc.start()
    try:
        blob = blobs.put(chunk for _ in range(64))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert blob.size == 64 << 20
    assert peak < 24 << 20


def test_a_broken_source_stores_nothing(blobs):
    def chunks():
        yield content(200_000)
        raise KeyError('the source broke')

    with pytest.raises(KeyError, match='the source broke'):
        blobs.put(chunks())
    assert list(blobs.names()) == []


def test_names_and_remove(blobs):
    assert list(blobs.names()) == []
    kept = [blobs.put([b'%d' % i]).sha256 for i in range(60)]
    assert sorted(blobs.names()) == sorted(kept)
    for sha256 in kept[:50]:
        blobs.remove(sha256)
        blobs.remove(sha256)
        assert not blobs.has(sha256)
    assert sorted(blobs.names()) == sorted(kept[50:])
    blobs.put([b'0'])
    assert blobs.has(kept[0])


def test_what_is_not_there_is_said(blobs):
    assert not blobs.has(ABSENT)
    blobs.remove(ABSENT)
    with pytest.raises(BlobUnavailable, match=ABSENT) as caught:
        blobs.open(ABSENT)
    assert caught.value.hint


@pytest.mark.parametrize('name', NOT_NAMES)
def test_what_is_no_name_reaches_nothing(blobs, name):
    blobs.put([b'x'])
    assert not blobs.has(name)
    blobs.remove(name)
    with pytest.raises(BlobUnavailable, match='not the name of a blob'):
        blobs.open(name)


def test_processes_put_the_same_at_once(blobs, blobs_url, act):
    actors = [act('put', blobs_url, 500_000) for _ in range(4)]
    for actor in actors:
        assert actor.stdout.readline() == 'ready\n'
    for actor in actors:
        actor.stdin.write('\n')
        actor.stdin.flush()
    said = {actor.stdout.read().strip() for actor in actors}
    assert said == {hashlib.sha256(bytes(500_000)).hexdigest()}
    assert set(blobs.names()) == said
    with blobs.open(*said) as file:
        assert file.read() == bytes(500_000)


def test_a_killed_writer_leaves_only_whole_blobs(blobs, blobs_url, act):
    for wanted in (1, 4, 9):
        actor = act('store', blobs_url)
        assert actor.stdout.readline() == 'ready\n'
        said = [actor.stdout.readline().strip() for _ in range(wanted)]
        actor.kill()
        actor.wait()
        names = set(blobs.names())
        assert names >= set(said)
        for sha256 in names:
            with blobs.open(sha256) as file:
                assert len(file.read()) == 20 * 8 * 4096
