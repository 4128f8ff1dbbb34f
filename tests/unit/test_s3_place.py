"""The URL of blobs on S3."""

from __future__ import annotations

import pytest
from botocore.utils import is_valid_endpoint_url
from hypothesis import assume, given
from hypothesis import strategies as st

from hgext3rd.fleet.adapters.s3_place import KEYS, Place, parse
from hgext3rd.fleet.core.errors import SettingError

SECRET = 'wJalrXUtnFEMI'
SHA256 = 'ab' + 'cd' * 31

GOOD = {
    'bucket': Place('bucket'),
    'bucket/': Place('bucket'),
    'bucket?': Place('bucket'),
    'b-1.c/x/Y_2/': Place('b-1.c', 'x/Y_2/', addressing='path'),
    'bucket/x?endpoint=http://127.0.0.1:80': Place(
        'bucket', 'x/', 'http://127.0.0.1:80', addressing='path'
    ),
    'bucket?endpoint=https://h.example/s3/&addressing=virtual': Place(
        'bucket', endpoint='https://h.example/s3', addressing='virtual'
    ),
    'bucket?endpoint=http://[::1]:90/': Place(
        'bucket', endpoint='http://[::1]:90', addressing='path'
    ),
    'bucket?region=eu-west-1&profile=my%20own': Place(
        'bucket', region='eu-west-1', profile='my own'
    ),
    'a.b?endpoint=http://h&addressing=virtual': Place(
        'a.b', endpoint='http://h', addressing='virtual'
    ),
}

BAD = {
    '': 'bucket',
    '/x': 'bucket',
    'Bucket': 'bucket',
    'b': 'bucket',
    'a..b': 'bucket',
    f'AKIA:{SECRET}@bucket': 'bucket',
    'bucket/../x': 'path',
    'bucket/a//b': 'path',
    'bucket//a': 'path',
    'bucket/a b': 'path',
    'bucket/' + 'x' * 600: 'path',
    'bucket?region': 'NAME=VALUE',
    f'bucket?secret={SECRET}': "'secret' is not known",
    'bucket?region=a&region=b': 'given twice',
    'bucket?region=': 'region is not',
    'bucket?region=a/b': 'region is not',
    'bucket?profile=': 'profile is not',
    'bucket?addressing=host': 'path, virtual',
    'a.b': 'addressing=path',
    'a.b?endpoint=https://h&addressing=virtual': 'addressing=path',
    'bucket?endpoint=': 'endpoint',
    'bucket?endpoint=h': 'endpoint',
    'bucket?endpoint=ftp://h': 'endpoint',
    'bucket?endpoint=http://': 'endpoint',
    'bucket?endpoint=http://h:0': 'endpoint',
    'bucket?endpoint=http://h:65536': 'endpoint',
    'bucket?endpoint=http://h_h': 'endpoint',
    f'bucket?endpoint=https://user:{SECRET}@h': 'endpoint',
    f'bucket?endpoint=https://h/%3Fk={SECRET}': 'endpoint',
    f'bucket?endpoint=https://h/%23{SECRET}': 'endpoint',
}


@pytest.mark.parametrize('text', GOOD)
def test_what_is_understood(text):
    if text.startswith('b-1.c'):
        text += '?addressing=path'
    assert parse(text) == GOOD[text.partition('?addressing=path')[0]]


@pytest.mark.parametrize('text', BAD)
def test_what_is_refused(text):
    with pytest.raises(SettingError) as caught:
        parse(text)
    said = f'{caught.value} {caught.value.hint}'
    assert BAD[text] in said
    assert SECRET not in said
    assert str(caught.value).startswith('[fleet] blobs')
    assert caught.value.hint


def test_the_key_of_a_blob_is_its_path_in_a_folder():
    assert Place('b').key(SHA256) == 'ab/' + 'cd' * 31
    assert Place('b', 'x/').key(SHA256) == 'x/ab/' + 'cd' * 31
    assert Place('b', 'x/').url() == 's3://b/x/'
    assert Place('b', 'x/', 'http://h').url('x/k') == 's3://b/x/k at http://h'


@given(st.from_regex(r'https?://[][A-Za-z0-9_.:-]{1,80}', fullmatch=True))
def test_the_driver_takes_every_endpoint_that_is_taken(endpoint):
    try:
        place = parse(f'bucket?endpoint={endpoint}')
    except SettingError:
        assume(False)
    assert is_valid_endpoint_url(place.endpoint)


def outcome(text):
    """Return the place, or the hint of what refuses it."""
    try:
        return parse(text)
    except SettingError as error:
        return error.hint


@given(st.text())
def test_any_text_is_a_place_or_refused(text):
    assert outcome(text)


@given(st.sampled_from(KEYS), st.text())
def test_any_value_is_taken_or_refused(name, value):
    assert outcome(f'bucket?{name}={value}')
