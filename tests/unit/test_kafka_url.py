"""What a kafka:// URL may say, and that it gives no secret away."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgext3rd.fleet.adapters import open_ledger
from hgext3rd.fleet.adapters.kafka_client import options
from hgext3rd.fleet.adapters.kafka_url import Place, parse
from hgext3rd.fleet.core.errors import FleetError, SettingError


def test_the_short_form():
    place = parse('hg1/fleet')
    assert place == Place(('hg1:9092',), 'fleet')
    assert str(place) == 'kafka://hg1:9092/fleet'
    assert (place.entries, place.members) == ('fleet.entries', 'fleet.members')


def test_the_long_form():
    place = parse(
        'hg1:9093,10.0.0.2,[fd00::3]:9093,[fd00::4]/a.b_c-d?security=ssl'
        '&cafile=/etc/ca%20s.pem&certfile=/c&keyfile=/k'
        '&sasl=SCRAM-SHA-512&user=hg%26&password-file=/etc/pw&timeout=2.5'
    )
    assert place == Place(
        ('hg1:9093', '10.0.0.2:9092', '[fd00::3]:9093', '[fd00::4]:9092'),
        'a.b_c-d',
        security='ssl',
        cafile='/etc/ca s.pem',
        certfile='/c',
        keyfile='/k',
        sasl='scram-sha-512',
        user='hg&',
        password_file='/etc/pw',
        timeout=2.5,
    )


@pytest.mark.parametrize(
    ('rest', 'words'),
    [
        ('', 'HOST'),
        ('/p', 'HOST'),
        ('hg1', "start of a topic's name"),
        ('hg1/', "start of a topic's name"),
        ('hg1/a/b', "start of a topic's name"),
        ('hg1/.p', "start of a topic's name"),
        ('hg1,/p', 'HOST'),
        ('hg1,,hg2/p', 'HOST'),
        ('hg1:0/p', 'HOST'),
        ('hg1:65536/p', 'HOST'),
        ('hg 1/p', 'HOST'),
        ('hg1:x/p', 'HOST'),
        ('hg1/p?', None),
        ('hg1/p?x', 'KEY=VALUE'),
        ('hg1/p?colour=red', "'colour' is not a key"),
        ('hg1/p?user=a&user=b', 'twice'),
        ('hg1/p?security=none', 'security=none'),
        ('hg1/p?sasl=gssapi', 'sasl=gssapi'),
        ('hg1/p?timeout=0', 'timeout=0'),
        ('hg1/p?timeout=nan', 'timeout=nan'),
        ('hg1/p?timeout=x', 'timeout=x'),
        ('hg1/p?cafile=/c', 'TLS'),
        ('hg1/p?security=ssl&cafile=c', 'absolute'),
        ('hg1/p?security=ssl&certfile=/c', 'go together'),
        ('hg1/p?user=u', 'go together'),
        ('hg1/p?sasl=scram-sha-256', 'go together'),
        ('hg1/p?sasl=scram-sha-256&user=u', 'go together'),
        ('hg1/p?user=u&password-file=/f', 'go together'),
        ('hg1/p?sasl=plain&user=u&password-file=/f', 'everybody'),
    ],
)
def test_what_is_refused(rest, words):
    if words is None:
        assert parse(rest) == parse(rest.rstrip('?'))
        return
    with pytest.raises(SettingError, match=words):
        parse(rest)


@pytest.mark.parametrize(
    'rest',
    [
        'hg:SECRET@hg1/p',
        'hg1/p?password=SECRET',
        'hg1/p?password-file=SECRET',
        'hg1,hg:SECRET@hg2:1/p',
    ],
)
def test_a_password_in_the_url_is_not_repeated(rest):
    with pytest.raises(SettingError) as caught:
        open_ledger(f'kafka://{rest}')
    assert 'SECRET' not in f'{caught.value} {caught.value.hint}'


@given(st.text(max_size=60))
def test_any_text_is_a_place_or_refused(rest):
    try:
        place = parse(rest)
    except FleetError:
        return
    assert parse(str(place).removeprefix('kafka://')).servers == place.servers


def test_streams_are_partitions():
    place = parse('hg1/p')
    assert place.partition('entries-0') == ('p.entries', 0)
    assert place.partition('entries-12') == ('p.entries', 12)
    assert place.partition('members') == ('p.members', 0)
    for stream in ('entries', 'entries-', 'entries-01', 'entries--1', 'x'):
        with pytest.raises(ValueError, match='no stream'):
            place.partition(stream)


def test_the_password_comes_from_a_file(tmp_path):
    secret = tmp_path / 'password'
    url = (
        'hg1/p?security=ssl&sasl=plain&user=hg&cafile=/ca'
        f'&password-file={secret}'
    )
    with pytest.raises(SettingError, match='password-file'):
        options(parse(url))
    secret.write_text('\n')
    with pytest.raises(SettingError, match='empty'):
        options(parse(url))
    secret.write_bytes(b'\xff\xfe')
    with pytest.raises(SettingError, match='not text'):
        options(parse(url))
    secret.write_text('s e c r e t \nsecond line\n')
    found = options(parse(url))
    assert found['sasl_plain_password'] == 's e c r e t '
    assert found['sasl_plain_username'] == 'hg'
    assert found['sasl_mechanism'] == 'PLAIN'
    assert found['security_protocol'] == 'SASL_SSL'
    assert found['ssl_cafile'] == '/ca'
    assert found['ssl_check_hostname'] is True


@pytest.mark.parametrize(
    ('query', 'protocol'),
    [
        ('', 'PLAINTEXT'),
        ('security=ssl', 'SSL'),
        (
            'sasl=scram-sha-256&user=u&password-file={secret}',
            'SASL_PLAINTEXT',
        ),
    ],
)
def test_the_other_ways_to_connect(tmp_path, query, protocol):
    secret = tmp_path / 'password'
    secret.write_text('pw')
    found = options(parse(f'hg1/p?{query.format(secret=secret)}'))
    assert found['security_protocol'] == protocol
