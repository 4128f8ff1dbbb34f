"""TLS and logins, with a broker that lets nobody in without."""

from __future__ import annotations

import subprocess
import uuid
from contextlib import closing

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ScramMechanism, UserScramCredentialUpsertion

from hgext3rd.fleet.adapters import open_ledger
from hgext3rd.fleet.adapters.kafka_client import options
from hgext3rd.fleet.adapters.kafka_topics import ensure_topics
from hgext3rd.fleet.adapters.kafka_url import parse
from hgext3rd.fleet.core.errors import LedgerUnavailable
from testlib import kafka

pytestmark = [
    pytest.mark.filterwarnings('ignore:unclosed:ResourceWarning'),
    pytest.mark.usefixtures('tidy'),
]

PASSWORD = 'a-secret-with-%-in-it'
STORE = 'not-secret'


def keytool(*words):
    subprocess.run(
        ['keytool', '-storepass', STORE, *map(str, words)],
        check=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )


def certify(folder, name):
    """Make a key and a certificate that signs itself; return both files."""
    store, public = folder / f'{name}.p12', folder / f'{name}.pem'
    keytool(
        *('-genkeypair', '-alias', name, '-keyalg', 'RSA', '-keysize', '2048'),
        *('-dname', f'CN={name}', '-validity', '3650', '-ext', 'bc=ca:true'),
        *('-ext', 'san=ip:127.0.0.1', '-storetype', 'PKCS12'),
        *('-keystore', store),
    )
    keytool(
        *('-exportcert', '-rfc', '-alias', name),
        *('-keystore', store, '-file', public),
    )
    return store, public


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('login')


@pytest.fixture(scope='module')
def servers(folder):
    try:
        kafka.jars()
    except kafka.Missing as reason:
        pytest.skip(str(reason))
    store, _public = certify(folder, 'broker')
    certify(folder, 'stranger')
    (folder / 'password').write_text(f'{PASSWORD}\n')
    (folder / 'wrong').write_text('guess\n')
    module = 'org.apache.kafka.common.security.{}LoginModule required'
    extra = (
        'sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
        'sasl.mechanism.inter.broker.protocol=PLAIN',
        'listener.name.client.plain.sasl.jaas.config='
        f'{module.format("plain.Plain")} username="hg" '
        f'password="{PASSWORD}" user_hg="{PASSWORD}";',
        *(
            f'listener.name.client.scram-sha-{size}.sasl.jaas.config='
            f'{module.format("scram.Scram")};'
            for size in (256, 512)
        ),
        *(
            f'ssl.{kind}store.{key}={value}'
            for kind in ('key', 'trust')
            for key, value in (
                ('location', store),
                ('password', STORE),
                ('type', 'PKCS12'),
            )
        ),
    )
    with kafka.Cluster(folder, extra=extra, protocol='SASL_SSL') as cluster:
        yield cluster.servers


@pytest.fixture
def rest(servers, folder):
    """Return what logs ``hg`` in, and a ledger that has been made."""
    rest = (
        f'{servers}/test-{uuid.uuid4().hex}?security=ssl&timeout=30'
        f'&cafile={folder}/broker.pem&sasl=plain&user=hg'
        f'&password-file={folder}/password'
    )
    ensure_topics(parse(rest), 1, 1)
    return rest


def use(rest):
    with closing(open_ledger(f'kafka://{rest}')) as ledger:
        offset = ledger.append('entries-0', 'k', b'value')
        assert ledger.wait({'entries-0': offset}, 30)
        assert ledger.read('entries-0', offset)[0].value == b'value'


def refused(rest):
    """Return what every call says."""
    said = []
    url = f'kafka://{rest.replace("timeout=30", "timeout=6")}'
    with closing(open_ledger(url)) as ledger:
        for call in (
            lambda: ledger.append('entries-0', 'k', b''),
            lambda: ledger.read('entries-0', 0),
            lambda: ledger.wait({'entries-0': 0}, 1),
        ):
            with pytest.raises(LedgerUnavailable) as caught:
                call()
            said.append(f'{caught.value}; {caught.value.hint}')
    return '\n'.join(said)


def test_plain_over_tls(rest):
    use(rest)


@pytest.mark.parametrize('size', ['256', '512'])
def test_scram_over_tls(rest, size):
    mechanism = getattr(ScramMechanism, f'SCRAM_SHA_{size}')
    with closing(KafkaAdminClient(**options(parse(rest)))) as admin:
        admin.alter_user_scram_credentials(
            [UserScramCredentialUpsertion('hg', mechanism, PASSWORD)]
        )
    use(rest.replace('sasl=plain', f'sasl=scram-sha-{size}'))


@pytest.mark.parametrize(
    ('old', 'new'),
    [
        ('/password', '/wrong'),
        ('user=hg', 'user=somebody'),
        ('sasl=plain', 'sasl=scram-sha-256&user=nobody'),
    ],
)
def test_a_wrong_login(rest, old, new):
    if 'nobody' in new:
        rest = rest.replace('&user=hg', '')
    said = refused(rest.replace(old, new))
    assert said.count('user and password-file are right') == 3
    assert PASSWORD not in said
    assert 'guess' not in said


def test_a_stranger_is_not_believed(rest, folder):
    said = refused(rest.replace('broker.pem', 'stranger.pem'))
    assert said.count('cafile is right') == 3
    assert PASSWORD not in said


def test_without_tls(servers):
    assert refused(f'{servers}/p?timeout=30')
