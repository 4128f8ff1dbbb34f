"""What can go wrong with blobs on S3, and how it is told."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from hgext3rd.fleet.adapters import blobs_s3, open_blobs
from hgext3rd.fleet.adapters.blobs_s3 import S3Blobs
from hgext3rd.fleet.adapters.s3_upload import PART
from hgext3rd.fleet.core.errors import BlobCorrupt, BlobUnavailable
from testlib import swift

DATA = bytes(range(256)) * 2048
LARGE = DATA * (2 * PART // len(DATA)) + b'more'
ABSENT = '0' * 64
DAMAGE = {
    'one bit': DATA[:-1] + b'\xfe',
    'the first': b'\xff' + DATA[1:],
    'cut short': DATA[:-1],
    'emptied': b'',
    'longer': DATA + b'x',
}


@pytest.fixture
def place(s3_url):
    return s3_url.removeprefix('s3://')


@pytest.fixture
def prefix(place):
    return place.partition('/')[2].partition('?')[0] + '/'


@pytest.fixture
def blobs(place):
    return S3Blobs(place)


@pytest.fixture(scope='module')
def store(swift_server):
    return swift_server.client()


def in_pieces(data):
    return (data[at : at + 100_000] for at in range(0, len(data), 100_000))


def key(prefix, blob):
    return f'{prefix}{blob.sha256[:2]}/{blob.sha256[2:]}'


def put(store, key, data):
    store.put_object(Bucket=swift.BUCKET, Key=key, Body=data)


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
def test_damage_is_told_with_the_key(blobs, store, prefix, damage, read):
    blob = blobs.put([DATA])
    put(store, key(prefix, blob), DAMAGE[damage])
    with (
        blobs.open(blob.sha256) as file,
        pytest.raises(BlobCorrupt, match=key(prefix, blob)) as caught,
    ):
        read(file, len(DAMAGE[damage]))
    assert blob.sha256 in str(caught.value)
    assert swift.BUCKET in str(caught.value)
    assert caught.value.hint
    assert not caught.value.retry


@pytest.mark.parametrize('data', [DATA, LARGE], ids=['small', 'large'])
def test_storing_again_changes_nothing(blobs, store, prefix, data):
    blob = blobs.put(in_pieces(data))
    at = {'Bucket': swift.BUCKET, 'Key': key(prefix, blob)}
    store.put_object(**at, Body=data, Metadata={'written': 'by others'})
    assert blobs.put(in_pieces(data)) == blob
    assert store.head_object(**at)['Metadata'] == {'written': 'by others'}


@pytest.mark.parametrize('data', [DATA, LARGE], ids=['small', 'large'])
def test_storing_again_mends_a_wrong_size(blobs, store, prefix, data):
    blob = blobs.put(in_pieces(data))
    put(store, key(prefix, blob), b'torso')
    assert blobs.put(in_pieces(data)) == blob
    with blobs.open(blob.sha256) as file:
        assert file.read() == data
    assert blobs.leftovers() == []


def test_an_open_blob_may_be_closed_early_and_often(blobs):
    sha256 = blobs.put([LARGE]).sha256
    for _ in range(20):
        with blobs.open(sha256) as file:
            assert file.read(10) == LARGE[:10]


def test_foreign_objects_are_not_blobs(blobs, store, prefix):
    blob = blobs.put([DATA])
    for name in (
        *('README', 'ab/README', 'ab/' + 'g' * 62, 'ab/' + '0' * 63),
        *('x/' + key('', blob), 'AB/' + '0' * 62),
    ):
        put(store, prefix + name, b'')
    put(store, prefix[:-1] + key('', blob), b'')
    assert list(blobs.names()) == [blob.sha256]


def test_a_store_without_a_prefix(s3_server, store):
    store.create_bucket(Bucket='whole')
    blobs = open_blobs(f's3://whole?endpoint={s3_server.endpoint}')
    blob = blobs.put([DATA])
    assert list(blobs.names()) == [blob.sha256]
    assert blobs.open(blob.sha256).read() == DATA


def test_addressing_by_the_name_of_the_host(
    s3_server, place, blobs, monkeypatch
):
    real = socket.getaddrinfo
    asked = set()

    def getaddrinfo(host, *rest):
        asked.add(host)
        here = host.endswith('.' + swift.DOMAIN)
        return real('127.0.0.1' if here else host, *rest)

    monkeypatch.setattr(socket, 'getaddrinfo', getaddrinfo)
    virtual = S3Blobs(
        place.replace('127.0.0.1', swift.DOMAIN) + '&addressing=virtual'
    )
    blob = virtual.put([LARGE])
    assert virtual.open(blob.sha256).read() == LARGE
    assert list(virtual.names()) == [blob.sha256]
    assert asked == {f'{swift.BUCKET}.{swift.DOMAIN}'}
    assert list(blobs.names()) == [blob.sha256]


# -- what is left behind -----------------------------------------------------


def test_a_broken_source_of_a_large_blob_leaves_nothing(
    blobs, tmp_path, monkeypatch
):
    monkeypatch.setenv('TMPDIR', str(tmp_path))

    def chunks():
        yield from in_pieces(LARGE)
        raise KeyError('the source broke')

    with pytest.raises(KeyError, match='the source broke'):
        blobs.put(chunks())
    assert list(blobs.names()) == []
    assert blobs.leftovers() == []
    assert os.listdir(tmp_path) == []


def test_no_room_for_the_temporary_file(blobs, small_disk, monkeypatch):
    monkeypatch.setenv('TMPDIR', str(small_disk))
    with pytest.raises(BlobUnavailable, match=str(small_disk)) as caught:
        blobs.put(in_pieces(LARGE))
    assert 'room' in caught.value.hint
    assert list(blobs.names()) == []
    assert os.listdir(small_disk) == []
    monkeypatch.setenv('TMPDIR', str(small_disk / 'away'))
    with pytest.raises(BlobUnavailable, match='away'):
        blobs.put(in_pieces(LARGE))


def begin(store, key):
    store.create_multipart_upload(Bucket=swift.BUCKET, Key=key)


def test_leftovers_are_listed_and_swept(blobs, store, prefix):
    ours = [f'{prefix}ab/{digit * 62}' for digit in '0123']
    for name in (*ours, ours[0], prefix + 'ab/not-ours', prefix + 'x'):
        begin(store, name)
    assert sorted(one.key for one in blobs.leftovers()) == [ours[0], *ours]
    assert blobs.sweep(3600) == 0
    assert blobs.sweep(0) == 5
    assert blobs.leftovers() == []
    assert blobs.sweep(0) == 0
    kept = store.list_multipart_uploads(Bucket=swift.BUCKET, Prefix=prefix)
    assert len(kept['Uploads']) == 2


def test_a_large_blob_sweeps_what_is_old(
    blobs, place, store, prefix, monkeypatch
):
    begin(store, f'{prefix}ab/{"0" * 62}')
    blobs.put([LARGE])
    assert len(blobs.leftovers()) == 1
    monkeypatch.setattr(blobs_s3, 'STALE', 0)
    S3Blobs(place).put([LARGE + b'!'])
    assert blobs.leftovers() == []


def test_many_put_the_same_large_blob(place, blobs):
    ready = threading.Barrier(4)
    said = []

    def work():
        one = S3Blobs(place)
        ready.wait()
        said.append(one.put(in_pieces(LARGE)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(said) == 4
    assert len(set(said)) == 1
    assert list(blobs.names()) == [said[0].sha256]
    assert blobs.leftovers() == []
    assert blobs.open(said[0].sha256).read() == LARGE


# -- presigned URLs ----------------------------------------------------------


def test_a_presigned_url_is_for_everybody(blobs):
    url = blobs.presign(blobs.put([DATA]).sha256, 600)
    request = urllib.request.Request(url, headers={'Range': 'bytes=1-9'})
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == DATA
    with urllib.request.urlopen(request) as answer:
        assert (answer.status, answer.read()) == (206, DATA[1:10])
    assert swift.SECRET not in url


def test_a_presigned_url_opens_nothing_else(blobs):
    one, other = blobs.put([b'1']).sha256, blobs.put([b'2']).sha256
    url = blobs.presign(one, 600)
    for wrong in (
        url.replace(f'{one[:2]}/{one[2:]}', f'{other[:2]}/{other[2:]}'),
        url.replace('Expires=600', 'Expires=6000'),
        url[:-1] + ('0' if url[-1] != '0' else '1'),
        url.partition('?')[0],
    ):
        assert wrong != url
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(wrong)
        assert caught.value.code in (400, 403)
        caught.value.close()


def test_what_cannot_be_presigned(blobs):
    with pytest.raises(BlobUnavailable, match='not the name of a blob'):
        blobs.presign('x', 600)
    for seconds in (0, -1, 8 * 24 * 3600):
        with pytest.raises(ValueError, match='between'):
            blobs.presign(ABSENT, seconds)


# -- settings that do not work -----------------------------------------------


def all_fail(blobs, word):
    """Assert that nothing works, and that each error is told alike."""
    for act in (
        lambda: blobs.put([DATA]),
        lambda: blobs.put(in_pieces(LARGE)),
        lambda: blobs.open(ABSENT),
        lambda: blobs.has(ABSENT),
        lambda: blobs.remove(ABSENT),
        lambda: list(blobs.names()),
        lambda: blobs.sweep(0),
    ):
        with pytest.raises(BlobUnavailable, match=word) as caught:
            act()
        said = f'{caught.value} {caught.value.hint}'
        assert f's3://{swift.BUCKET}/' in said
        assert caught.value.hint
        assert swift.SECRET not in said
        assert 'wrong-secret' not in said


def test_a_wrong_secret(blobs, monkeypatch):
    monkeypatch.setenv('AWS_SECRET_ACCESS_KEY', 'wrong-secret')
    all_fail(blobs, 'secret key is wrong|access is denied')


def test_an_unknown_key(blobs, monkeypatch):
    monkeypatch.setenv('AWS_ACCESS_KEY_ID', 'hg:nobody')
    all_fail(blobs, 'key is wrong|not known|access is denied')


def test_no_credentials(blobs, monkeypatch):
    monkeypatch.delenv('AWS_ACCESS_KEY_ID')
    monkeypatch.delenv('AWS_SECRET_ACCESS_KEY')
    all_fail(blobs, 'no valid credentials')


def test_a_profile_that_is_not_there(place):
    all_fail(S3Blobs(place + '&profile=nobody'), 'no valid credentials')


def test_a_profile_that_is_there(place, tmp_path, monkeypatch):
    monkeypatch.delenv('AWS_ACCESS_KEY_ID')
    monkeypatch.delenv('AWS_SECRET_ACCESS_KEY')
    file = tmp_path / 'credentials'
    file.write_text(
        f'[fleet]\naws_access_key_id = {swift.ACCESS}\n'
        f'aws_secret_access_key = {swift.SECRET}\n'
    )
    monkeypatch.setenv('AWS_SHARED_CREDENTIALS_FILE', str(file))
    blobs = S3Blobs(place + '&profile=fleet')
    assert blobs.has(blobs.put([DATA]).sha256)


def test_credentials_that_cannot_be_read(place, tmp_path, monkeypatch):
    monkeypatch.setenv('AWS_CONFIG_FILE', str(tmp_path / 'loop'))
    (tmp_path / 'loop').write_bytes(b'[profile \xff')
    all_fail(S3Blobs(place + '&profile=fleet'), 'cannot')


def test_a_bucket_that_is_not_there(place):
    blobs = S3Blobs(place.replace(f'{swift.BUCKET}/', 'missing/'))
    for act in (
        lambda: blobs.put([DATA]),
        lambda: blobs.put(in_pieces(LARGE)),
        lambda: blobs.open(ABSENT),
        lambda: list(blobs.names()),
    ):
        with pytest.raises(BlobUnavailable, match='no such bucket'):
            act()


def test_a_wrong_region_is_corrected_by_the_store(place):
    blobs = S3Blobs(place + '&region=eu-west-7')
    assert blobs.has(blobs.put([DATA]).sha256)


# -- the process it runs in --------------------------------------------------

SIZE = 256 << 20

MEMORY = r"""
import re, sys
from hgext3rd.fleet.adapters import open_blobs
blobs = open_blobs(sys.argv[1])
chunk = bytes(range(256)) * 4096
blob = blobs.put(chunk for _ in range(int(sys.argv[2]) >> 20))
with blobs.open(blob.sha256) as file:
    size = sum(map(len, iter(lambda: file.read(1 << 20), b'')))
most = re.search(r'VmHWM:\s+(\d+) kB', open('/proc/self/status').read())[1]
print(blob.size, size, int(most) << 10)
"""

FORKED = """
import os, sys
from hgext3rd.fleet.adapters import open_blobs
blobs = open_blobs(sys.argv[1])
names = {who: blobs.put([who]).sha256 for who in (b'parent', b'child')}
child = os.fork()
who = b'parent' if child else b'child'
for _ in range(20):
    with blobs.open(names[who]) as file:
        assert file.read() == who
if not child:
    os._exit(0)
print(os.waitpid(child, 0)[1])
"""

LAZY = """
import sys, types
import hgdemandimport
hgdemandimport.enable()
from hgext3rd.fleet import adapters
print('botocore' in sys.modules)
blobs = adapters.open_blobs(sys.argv[1])
sha256 = blobs.put([bytes(9 << 20)]).sha256
with blobs.open(sha256) as file:
    print(len(file.read()))
print(type(sys.modules['botocore.session']) is types.ModuleType)
"""


def run(code, *arguments):
    result = subprocess.run(
        [sys.executable, '-c', code, *map(str, arguments)],
        check=True,
        capture_output=True,
        text=True,
    )
    return result.stdout.split()


def test_memory_does_not_grow_with_the_blob(s3_url):
    size, back, most = map(int, run(MEMORY, s3_url, SIZE))
    assert size == back == SIZE
    assert most < SIZE // 2


def test_a_forked_child_has_connections_of_its_own(s3_url):
    assert run(FORKED, s3_url) == ['0']


def test_under_mercurials_lazy_imports_and_only_when_opened(s3_url):
    assert run(LAZY, s3_url) == ['False', str(9 << 20), 'True']


def test_without_its_driver_it_says_what_to_install(tmp_path):
    (tmp_path / 'botocore').mkdir()
    (tmp_path / 'botocore' / '__init__.py').write_text(
        "raise ModuleNotFoundError('gone', name='botocore')"
    )
    code = """
import sys
sys.path.insert(0, sys.argv[1])
from hgext3rd.fleet.adapters import open_blobs
try:
    open_blobs('s3://bucket')
except Exception as error:
    print(type(error).__name__, error.hint)
"""
    assert ' '.join(run(code, Path(tmp_path))) == (
        'SettingError install it: pip install "hgfleet[s3]"'
    )


def test_the_name_is_the_hash(blobs):
    assert blobs.put([LARGE]).sha256 == hashlib.sha256(LARGE).hexdigest()
