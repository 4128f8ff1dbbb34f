"""Every adapter of a port runs through the same suite.

A suite takes the fixture ``ledger_url`` or ``blobs_url``; a new adapter is
one more entry of ``LEDGERS`` or ``BLOBS``, the name of a fixture that makes
an empty store and returns its URL.  ``act`` starts other processes on it (see
actors.py).
"""

from __future__ import annotations

import gc
import itertools
import logging
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from hgext3rd.fleet.adapters import open_blobs, open_ledger
from hgext3rd.fleet.adapters.kafka_topics import ensure_topics
from hgext3rd.fleet.adapters.kafka_url import parse
from hgext3rd.fleet.ports import Blobs, Ledger
from testlib import kafka, swift
from testlib.relays import relaying
from testlib.swift import Swift

ACTORS = Path(__file__).with_name('actors.py')

_PLACES = itertools.count()

Act = Callable[..., 'subprocess.Popen[str]']


LEDGERS = {
    'sqlite': 'sqlite_url',
    'kafka': 'kafka_url',
    'relay': 'relay_url',
    'relayed kafka': 'relayed_kafka_url',
}
BLOBS = {'dir': 'dir_url', 's3': 's3_url'}


@pytest.fixture
def dir_url(tmp_path: Path) -> str:
    return f'file://{tmp_path}/blobs'


@pytest.fixture
def relay_url(sqlite_url: str, tmp_path: Path) -> Iterator[str]:
    with relaying(tmp_path, sqlite_url) as relay:
        yield relay.url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f'sqlite://{tmp_path}/ledger.db'


@pytest.fixture
def kafka_url(broker: str) -> str:
    """Return a ledger on that broker with two streams of entries."""
    rest = f'{broker}/test-{uuid.uuid4().hex}'
    ensure_topics(parse(rest), partitions=2, replication=1)
    return f'kafka://{rest}'


@pytest.fixture
def relayed_kafka_url(kafka_url: str, tmp_path: Path) -> Iterator[str]:
    with relaying(tmp_path, kafka_url) as relay:
        yield relay.url


@pytest.fixture
def tidy() -> Iterator[None]:
    """Leave nothing of kafka-python to the next test.

    It leaves sockets that could not be connected to the garbage collector,
    and what it logs has exceptions that hold them.
    """
    logger = logging.getLogger('kafka')
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(before)
    deadline = time.monotonic() + 180
    while kafka.clients():
        assert time.monotonic() < deadline, kafka.clients()
        time.sleep(0.05)
    gc.collect()


@pytest.fixture(params=LEDGERS)
def ledger_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(LEDGERS[request.param])
    return url


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    with closing(open_ledger(ledger_url)) as ledger:
        yield ledger


@pytest.fixture(params=BLOBS)
def blobs_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(BLOBS[request.param])
    return url


@pytest.fixture(scope='session')
def swift_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swift]:
    """A Swift for the tests of this process, which start it if they need it."""
    try:
        server = Swift(tmp_path_factory.mktemp('swift'), swift.install())
    except swift.Unavailable as problem:
        pytest.skip(f'Swift: {problem}')
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def s3_server(swift_server: Swift, monkeypatch: pytest.MonkeyPatch) -> Swift:
    """The Swift, with its keys in the environment and nothing else there."""
    for name in list(os.environ):
        if name.startswith('AWS_') or name.lower().endswith('_proxy'):
            monkeypatch.delenv(name)
    for name, value in swift.environ().items():
        monkeypatch.setenv(name, value)
    return swift_server


@pytest.fixture
def s3_url(s3_server: Swift) -> str:
    """An empty place in a bucket."""
    return (
        f's3://{swift.BUCKET}/{next(_PLACES)}/at?endpoint={s3_server.endpoint}'
    )


@pytest.fixture
def blobs(blobs_url: str) -> Blobs:
    return open_blobs(blobs_url)


@pytest.fixture
def act() -> Iterator[Act]:
    """Start ``actors.py`` with some words; its streams are pipes of text."""
    started = []

    def start(*words: object, **options: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(ACTORS), *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            **options,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        with suppress(BrokenPipeError):
            process.stdin.close()
        process.stdout.close()
        process.wait()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB, mounted for one test."""
    folder = tmp_path / 'small'
    folder.mkdir()
    if os.getuid() != 0:
        pytest.skip('optional: mounting a file system takes root')
    mount = ['mount', '-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f'optional: cannot mount a file system: {error}')
    yield folder
    subprocess.run(['umount', '--lazy', str(folder)], check=True)
