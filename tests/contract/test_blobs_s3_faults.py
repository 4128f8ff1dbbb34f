"""What blobs on S3 do when the store is in trouble, and no more than that.

A proxy before a real store spoils requests and answers (see faultproxy.py).
"""

from __future__ import annotations

import dataclasses

import pytest

from hgext3rd.fleet.adapters import s3_client
from hgext3rd.fleet.adapters.blobs_s3 import S3Blobs
from hgext3rd.fleet.adapters.s3_upload import PART
from hgext3rd.fleet.core.errors import BlobCorrupt, BlobUnavailable
from testlib.faultproxy import EVERY, Fault, FaultProxy

DATA = bytes(range(256)) * 8192
LARGE = DATA * (2 * PART // len(DATA)) + b'more'
TIMING = s3_client.Timing(connect=60, read=60, tries=3, resumes=3, pause=0.01)
IMPATIENT = dataclasses.replace(TIMING, read=8, resumes=1)


@pytest.fixture
def proxy(s3_server, monkeypatch):
    # How long botocore waits between tries is its own business.
    monkeypatch.setattr(
        'botocore.retries.standard.ExponentialBackoff.delay_amount',
        lambda *_: 0.01,
    )
    proxy = FaultProxy(s3_server.port)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()


@pytest.fixture
def healthy(s3_url):
    """The same store, not through the proxy."""
    return S3Blobs(s3_url.removeprefix('s3://'))


@pytest.fixture
def through(s3_url, s3_server, proxy):
    place = s3_url.removeprefix('s3://')
    return place.replace(s3_server.endpoint, proxy.endpoint)


@pytest.fixture
def blobs(through):
    return S3Blobs(through, TIMING)


def parts(data):
    return (data[at : at + 1_000_000] for at in range(0, len(data), 1_000_000))


def drain(file):
    while file.read(4096):
        pass


def is_clean(healthy):
    return list(healthy.names()) == [] and healthy.leftovers() == []


# -- reading -----------------------------------------------------------------

PASSING = {
    'a 500': [Fault('status', 500)],
    'two 503': [Fault('status', 503, times=2)],
    'a closed connection': [Fault('refuse')],
    'no answer': [Fault('forget')],
    'a cut before the first byte': [Fault('cut', 0)],
    'a cut': [Fault('cut', 70_001)],
    'a cut before the last byte': [Fault('cut', len(DATA) - 1)],
    'cut, and cut again': [Fault('cut', 300_000), Fault('cut', 1)],
    'cut, then a 503': [Fault('cut', 200_000), Fault('status', 503)],
}


@pytest.mark.parametrize('fault', PASSING)
@pytest.mark.parametrize('step', [-1, 4096])
def test_what_passes_is_not_noticed(blobs, healthy, proxy, fault, step):
    sha256 = healthy.put([DATA]).sha256
    proxy.faults += [dataclasses.replace(one) for one in PASSING[fault]]
    with blobs.open(sha256) as file:
        got = b''.join(iter(lambda: file.read(step), b''))
    assert got == DATA
    assert all(one.times == 0 for one in proxy.faults)


def test_a_cut_read_goes_on_where_it_was(blobs, healthy, proxy):
    sha256 = healthy.put([DATA]).sha256
    proxy.faults += [Fault('cut', 1_500_000)]
    with blobs.open(sha256) as file:
        assert file.read() == DATA
    (first, second) = [asked for _, _, asked in proxy.requests]
    assert first == ''
    start = int(second.removeprefix('bytes=').removesuffix('-'))
    assert 0 < start <= 1_500_000


@pytest.mark.parametrize('at', [0, 100_000])
def test_silence_is_not_waited_for_for_ever(through, healthy, proxy, at):
    sha256 = healthy.put([DATA]).sha256
    proxy.faults += [Fault('hush', at)]
    with S3Blobs(through, IMPATIENT).open(sha256) as file:
        assert file.read() == DATA


@pytest.mark.parametrize('fault', ['cut', 'hush'])
def test_what_stays_is_told(through, healthy, proxy, fault):
    sha256 = healthy.put([DATA]).sha256
    proxy.faults += [Fault(fault, 5, times=EVERY)]
    timing = IMPATIENT if fault == 'hush' else TIMING
    with (
        S3Blobs(through, timing).open(sha256) as file,
        pytest.raises(BlobUnavailable, match=sha256) as caught,
    ):
        file.read()
    assert caught.value.retry
    assert caught.value.hint
    assert proxy.count('GET') == 1 + timing.resumes


@pytest.mark.parametrize('at', [0, 1_000_000, len(DATA) - 1])
def test_a_wrong_byte_is_told(blobs, healthy, proxy, at):
    sha256 = healthy.put([DATA]).sha256
    proxy.faults += [Fault('flip', at)]
    with blobs.open(sha256) as file, pytest.raises(BlobCorrupt, match=sha256):
        file.read()
    assert blobs.open(sha256).read() == DATA


def test_a_wrong_byte_after_a_cut_is_told(blobs, healthy, proxy):
    sha256 = healthy.put([DATA]).sha256
    proxy.faults += [Fault('cut', 1_500_000), Fault('flip', 3)]
    with blobs.open(sha256) as file, pytest.raises(BlobCorrupt, match=sha256):
        file.read()


@pytest.mark.parametrize('size', [0, 1, len(DATA) - 1])
def test_an_object_cut_short_is_told(blobs, healthy, proxy, size):
    sha256 = healthy.put([DATA]).sha256
    proxy.faults += [Fault('shorten', size, times=EVERY)]
    with blobs.open(sha256) as file, pytest.raises(BlobCorrupt, match=sha256):
        drain(file)


def test_a_store_that_knows_no_ranges(blobs, healthy, proxy):
    sha256 = healthy.put([DATA]).sha256
    proxy.faults += [Fault('cut', 300_000), Fault('restart')]
    with (
        blobs.open(sha256) as file,
        pytest.raises(BlobUnavailable, match='does not go on at byte'),
    ):
        file.read()


def test_a_blob_that_is_removed_while_it_is_read(blobs, healthy, proxy):
    sha256 = healthy.put([DATA]).sha256
    proxy.faults += [Fault('cut', 300_000)]
    with blobs.open(sha256) as file:
        file.read(1)
        healthy.remove(sha256)
        with pytest.raises(BlobUnavailable, match='not there'):
            file.read()


# -- all requests ------------------------------------------------------------


def test_a_store_that_is_down_is_asked_a_few_times(blobs, proxy):
    for method in ('GET', 'HEAD', 'PUT', 'POST', 'DELETE'):
        proxy.faults += [Fault('status', 503, method, times=EVERY)]
    for act in (
        lambda: blobs.put([DATA]),
        lambda: blobs.put(parts(LARGE)),
        lambda: blobs.open('0' * 64),
        lambda: blobs.has('0' * 64),
        lambda: blobs.remove('0' * 64),
        lambda: list(blobs.names()),
        lambda: blobs.sweep(0),
    ):
        with pytest.raises(BlobUnavailable, match='503') as caught:
            act()
        assert caught.value.retry
        assert 'secret' not in str(caught.value)
        # Before a large blob, leftovers are looked for.
        assert 1 < len(proxy.requests) <= 2 * TIMING.tries
        proxy.requests.clear()


def test_a_store_that_is_not_there(blobs, proxy):
    proxy.stop()
    with pytest.raises(BlobUnavailable, match='cannot be reached') as caught:
        blobs.put([DATA])
    assert caught.value.retry
    assert proxy.endpoint in str(caught.value)


# -- writing -----------------------------------------------------------------

MENDED = {
    'a 500': Fault('status', 500),
    'two 503': Fault('status', 503, times=2),
    'a closed connection': Fault('refuse'),
    'an answer that is lost': Fault('forget'),
}
STEPS = {
    'the only request': (DATA, 'PUT', ''),
    'begin': (LARGE, 'POST', 'uploads'),
    'a part': (LARGE, 'PUT', 'partNumber=2'),
    'complete': (LARGE, 'POST', 'uploadId='),
}


@pytest.mark.parametrize('step', STEPS)
@pytest.mark.parametrize('fault', MENDED)
def test_what_passes_while_storing(blobs, healthy, proxy, fault, step):
    data, method, inside = STEPS[step]
    spoiled = dataclasses.replace(MENDED[fault], method=method, inside=inside)
    proxy.faults += [spoiled]
    blob = blobs.put(parts(data))
    assert spoiled.times == 0
    assert list(healthy.names()) == [blob.sha256]
    assert healthy.open(blob.sha256).read() == data
    # An upload that was begun twice is left to be swept.
    twice = (fault, step) == ('an answer that is lost', 'begin')
    assert len(healthy.leftovers()) == twice


@pytest.mark.parametrize('step', STEPS)
@pytest.mark.parametrize('kind', ['status', 'refuse'])
def test_what_stays_while_storing_leaves_nothing(
    blobs, healthy, proxy, kind, step
):
    data, method, inside = STEPS[step]
    proxy.faults += [Fault(kind, 500, method, inside, times=EVERY)]
    with pytest.raises(BlobUnavailable, match='cannot store blob') as caught:
        blobs.put(parts(data))
    assert caught.value.retry
    assert caught.value.hint
    assert proxy.count(method, inside) <= 2 * TIMING.tries
    assert is_clean(healthy)


@pytest.mark.parametrize('step', ['the only request', 'a part'])
def test_what_is_spoiled_on_its_way_is_not_stored(blobs, healthy, proxy, step):
    data, method, inside = STEPS[step]
    proxy.faults += [Fault('spoil', 1000, method, inside, times=EVERY)]
    with pytest.raises(BlobUnavailable, match='cannot store blob'):
        blobs.put(parts(data))
    assert is_clean(healthy)


def test_a_large_blob_that_cannot_be_dropped_is_swept(blobs, healthy, proxy):
    proxy.faults += [
        Fault('status', 500, 'PUT', 'partNumber=3', times=EVERY),
        Fault('status', 500, 'DELETE', times=EVERY),
    ]
    with pytest.raises(BlobUnavailable):
        blobs.put(parts(LARGE))
    assert list(healthy.names()) == []
    assert len(healthy.leftovers()) == 1
    assert healthy.sweep(0) == 1
    assert is_clean(healthy)


def test_what_is_stored_is_not_sent_again(blobs, healthy, proxy):
    healthy.put([LARGE])
    blobs.put(parts(LARGE))
    assert proxy.count('PUT') == 0


@pytest.mark.parametrize('data', [DATA, LARGE], ids=['small', 'large'])
def test_it_is_tried_again_when_others_are_at_it(blobs, healthy, proxy, data):
    method, inside = ('PUT', '') if data is DATA else ('POST', 'uploadId=')
    proxy.faults += [Fault('status', 409, method, inside)]
    blob = blobs.put([data])
    assert list(healthy.names()) == [blob.sha256]
    assert healthy.leftovers() == []
    blobs.remove(blob.sha256)
    proxy.faults += [Fault('status', 409, method, inside, times=EVERY)]
    with pytest.raises(BlobUnavailable, match='at the same time') as caught:
        blobs.put([data])
    assert caught.value.retry
    assert is_clean(healthy)


def test_a_large_blob_that_others_have_just_finished(
    blobs, healthy, proxy, s3_server, s3_url
):
    """It was not there before it was sent, and is when it is complete."""
    blob = healthy.put([LARGE])
    bucket, _, prefix = s3_url[5:].partition('?')[0].partition('/')
    at = {
        'Bucket': bucket,
        'Key': f'{prefix}/{blob.sha256[:2]}/{blob.sha256[2:]}',
    }
    store = s3_server.client()
    store.put_object(**at, Body=LARGE, Metadata={'written': 'by others'})
    proxy.faults += [Fault('status', 404, 'HEAD')]
    assert blobs.put(parts(LARGE)) == blob
    assert proxy.count('POST', 'uploadId=') == 1
    assert store.head_object(**at)['Metadata'] == {'written': 'by others'}
    assert healthy.leftovers() == []


def test_a_second_try_that_finds_the_upload_done(blobs, healthy, proxy):
    proxy.faults += [
        Fault('forget', 0, 'POST', 'uploadId='),
        Fault('status', 404, 'POST', 'uploadId=', code='NoSuchUpload'),
    ]
    blob = blobs.put(parts(LARGE))
    assert healthy.open(blob.sha256).read() == LARGE
    proxy.faults += [
        Fault('status', 404, 'POST', 'uploadId=', code='NoSuchUpload')
    ]
    with pytest.raises(BlobUnavailable, match='NoSuchUpload'):
        blobs.put([LARGE, b'another'])
    assert list(healthy.names()) == [blob.sha256]
