"""Apache Kafka, the real one, for the tests.

The broker comes from Maven Central, once, into the cache outside of the
tree (:func:`jars`).  It takes a Java runtime and Maven, which ``make test``
installs; :class:`Missing` says what is not there.

:class:`Cluster` is some brokers on free ports of the loopback interface,
each of them controller as well, in the KRaft mode of Kafka 4.  They are
children of whoever starts them and the kernel kills them with it.

:func:`shared` is one broker for all processes of one test run.  Its users
hold a lock that the system drops when they end, however that happens; a
keeper beside them (``python -m testlib.kafka FOLDER``) waits for that lock
and then stops the broker.
"""

from __future__ import annotations

import base64
import fcntl
import functools
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from history.cache import attempts, ready

from .haproxy import free_ports
from .places import TESTS, cache

VERSION = '4.3.1'
"""The release of Kafka that the tests run on."""

JAVA = 17
"""The oldest Java that it runs on."""

START = 600.0
"""Seconds that a broker may take to come up on a slow machine."""

_PARTS = (
    ('org.apache.kafka', 'kafka_2.13', VERSION),
    ('org.apache.kafka', 'kafka-server', VERSION),
    ('org.apache.logging.log4j', 'log4j-core', '2.25.4'),
    ('org.apache.logging.log4j', 'log4j-slf4j-impl', '2.25.4'),
)

_COPY = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:'

_JAVA = (
    *('java', '-Xms64m', '-Xmx256m', '-XX:+UseSerialGC'),
    *('-XX:TieredStopAtLevel=1', '-XX:ActiveProcessorCount=2'),
)

_LOGGING = """
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ABSOLUTE} %p %c{1} %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
"""


class Missing(RuntimeError):
    """Kafka cannot be had on this machine; the message says why."""


def jars() -> Path:
    """Return the folder with Kafka and all it needs; raises Missing."""
    if shutil.which('setpriv') is None:
        raise Missing('Kafka is run with the command setpriv')
    if _java() < JAVA:
        raise Missing(f'Kafka needs the command java, version {JAVA} or newer')
    return ready(cache('kafka'), VERSION, _download)


@functools.cache
def _java() -> int:
    """Return the version of Java; 0 when there is none."""
    try:
        done = subprocess.run(
            ['java', '-version'], capture_output=True, text=True
        )
    except OSError:
        return 0
    found = re.search(r'version "([0-9]+)', done.stderr)
    return int(found[1]) if found else 0


def _download(folder: Path) -> None:
    if shutil.which('mvn') is None:
        raise Missing('Kafka comes by Maven, and there is no command mvn')
    folder.mkdir()
    parts = ''.join(
        f'<dependency><groupId>{group}</groupId><artifactId>{name}'
        f'</artifactId><version>{version}</version></dependency>'
        for group, name, version in _PARTS
    )
    project = folder / 'pom.xml'
    project.write_text(
        '<project><modelVersion>4.0.0</modelVersion><groupId>hgfleet'
        '</groupId><artifactId>kafka</artifactId><version>1</version>'
        f'<packaging>pom</packaging><dependencies>{parts}</dependencies>'
        '</project>\n'
    )
    done = attempts(
        lambda: subprocess.run(
            [
                *('mvn', '-q', '-B', '-ntp', '-f', str(project)),
                *(f'{_COPY}copy-dependencies', '-DincludeScope=runtime'),
                f'-DoutputDirectory={folder}',
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    )
    if done.returncode:
        raise Missing(f'Maven could not get Kafka:\n{done.stdout[-2000:]}')


@dataclass
class Broker:
    """One broker: where it is, where it listens, and its process.

    ``doors`` are further (port, advertised port) to listen at, by name.
    """

    number: int
    folder: Path
    port: int
    controller: int
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    doors: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Where clients connect."""
        return f'127.0.0.1:{self.port}'

    @property
    def log(self) -> Path:
        """What the broker says."""
        return self.folder / 'log'

    def start(self) -> None:
        """Start the broker without waiting for it."""
        with open(self.log, 'ab') as log:
            self.process = subprocess.Popen(
                [
                    *('setpriv', '--pdeathsig', 'KILL', *_JAVA),
                    f'-Dlog4j2.configurationFile={self.folder}/log4j2.properties',
                    *('-cp', f'{jars()}/*', 'kafka.Kafka'),
                    str(self.folder / 'server.properties'),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for the tests, which then stop the broker.
                start_new_session=True,
            )

    def await_port(self) -> bool:
        """Wait until it listens; False when it has ended instead."""
        assert self.process is not None
        deadline = time.monotonic() + START
        while self.process.poll() is None:
            with suppress(OSError):
                socket.create_connection(('127.0.0.1', self.port), 5).close()
                return True
            if time.monotonic() > deadline:
                self.kill()
            time.sleep(0.02)
        return False

    def signal(self, number: signal.Signals) -> None:
        """Send a signal: SIGSTOP and SIGCONT to hang it for a while."""
        assert self.process is not None
        self.process.send_signal(number)

    def revive(self) -> None:
        """Have it run and listen again, after SIGSTOP as after SIGKILL."""
        if self.process is not None and self.process.poll() is None:
            self.signal(signal.SIGCONT)
            return
        self.start()
        if not self.await_port():
            raise RuntimeError(f'Kafka ended:\n{self.log.read_text()[-3000:]}')

    def kill(self) -> None:
        """End the broker at once; harmless when it has ended."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


Door = Callable[[int], int]
"""Opens a way to a port; returns the port where it begins."""


class Cluster:
    """Brokers in a folder, started together; a context manager.

    Who comes in by one of the ``doors`` is sent to other brokers by the same
    door.
    """

    def __init__(
        self,
        folder: Path,
        brokers: int = 1,
        extra: Sequence[str] = (),
        protocol: str = 'PLAINTEXT',
        doors: Mapping[str, Door] | None = None,
    ) -> None:
        self._folder = folder
        self._count = brokers
        self._protocol = protocol
        self._extra = tuple(extra)
        self._doors = dict(doors or {})
        self.brokers: list[Broker] = []

    @property
    def servers(self) -> str:
        """The addresses of all brokers, as in a URL."""
        return ','.join(broker.address for broker in self.brokers)

    def through(self, door: str) -> str:
        """The addresses of all brokers by way of a door."""
        return ','.join(
            f'127.0.0.1:{broker.doors[door][1]}' for broker in self.brokers
        )

    def __enter__(self) -> Cluster:
        for life in range(5):
            if self._begin(self._folder / str(life)):
                return self
            said = ''.join(one.log.read_text() for one in self.brokers)
            self.close()
            # Somebody may take a port before the broker does.
            if 'Address already in use' not in said:
                break
        raise RuntimeError(f'Kafka did not start:\n{said[-3000:]}')

    def __exit__(self, *_: object) -> None:
        self.close()

    def revive(self) -> None:
        """Have all brokers run and listen again."""
        for broker in self.brokers:
            broker.revive()

    def close(self) -> None:
        """Kill all brokers: nothing that they hold is wanted any more."""
        for broker in self.brokers:
            broker.kill()

    def _begin(self, folder: Path) -> bool:
        ports = iter(free_ports((2 + len(self._doors)) * self._count))
        self.brokers = [
            Broker(n + 1, folder / f'{n + 1}', next(ports), next(ports))
            for n in range(self._count)
        ]
        for broker in self.brokers:
            for name, door in self._doors.items():
                port = next(ports)
                broker.doors[name] = (port, door(port))
            broker.folder.mkdir(parents=True)
            broker.log.touch()
            (broker.folder / 'log4j2.properties').write_text(_LOGGING)
            (broker.folder / 'server.properties').write_text(
                '\n'.join((*self._settings(broker), *self._extra, ''))
            )
        self._format()
        try:
            for broker in self.brokers:
                broker.start()
            return all(broker.await_port() for broker in self.brokers)
        except BaseException:
            self.close()
            raise

    def _settings(self, broker: Broker) -> Iterator[str]:
        copies = min(self._count, 3)
        voters = ','.join(
            f'{one.number}@127.0.0.1:{one.controller}' for one in self.brokers
        )
        yield 'process.roles=broker,controller'
        yield f'node.id={broker.number}'
        here, told, kinds = '', '', ''
        for name, (port, advertised) in broker.doors.items():
            here += f',DOOR-{name}://127.0.0.1:{port}'
            told += f',DOOR-{name}://127.0.0.1:{advertised}'
            kinds += f',DOOR-{name}:{self._protocol}'
        yield (
            f'listeners=CLIENT://{broker.address},'
            f'CONTROLLER://127.0.0.1:{broker.controller}{here}'
        )
        yield f'advertised.listeners=CLIENT://{broker.address}{told}'
        yield 'inter.broker.listener.name=CLIENT'
        yield (
            'listener.security.protocol.map='
            f'CLIENT:{self._protocol},CONTROLLER:PLAINTEXT{kinds}'
        )
        yield 'controller.listener.names=CONTROLLER'
        yield f'controller.quorum.voters={voters}'
        yield f'log.dirs={broker.folder}/data'
        yield 'auto.create.topics.enable=false'
        yield 'offsets.topic.num.partitions=1'
        yield f'offsets.topic.replication.factor={copies}'
        yield 'transaction.state.log.num.partitions=1'
        yield f'transaction.state.log.replication.factor={copies}'
        yield 'log.cleaner.dedupe.buffer.size=4194304'
        # Who is away is found out sooner than by default.
        yield 'broker.session.timeout.ms=3000'
        yield 'broker.heartbeat.interval.ms=500'

    def _format(self) -> None:
        """Write what a broker wants to find in its folder."""
        first, *others = self.brokers
        done = subprocess.run(
            [
                *(*_JAVA, '-cp', f'{jars()}/*', 'kafka.tools.StorageTool'),
                *('format', '-t', _identifier()),
                *('-c', str(first.folder / 'server.properties')),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f'Kafka made no folder:\n{done.stdout[-2000:]}')
        for broker in others:
            _resemble(first.folder / 'data', broker)


def _resemble(source: Path, broker: Broker) -> None:
    """Give a broker a copy of another's new folder, under its own name."""
    target = broker.folder / 'data'
    shutil.copytree(source, target)
    facts = target / 'meta.properties'
    lines = [
        line
        for line in facts.read_text().splitlines()
        if not line.startswith(('node.id=', 'directory.id='))
    ]
    lines += [f'node.id={broker.number}', f'directory.id={_identifier()}', '']
    facts.write_text('\n'.join(lines))


def _identifier() -> str:
    """Return a new identifier, spelled as Kafka does.

    The first of its characters is a letter: what begins with a hyphen is an
    option where Kafka's tools read it.
    """
    first, *others = uuid.uuid4().bytes
    raw = bytes((first & 0x7F, *others))
    return base64.urlsafe_b64encode(raw).decode()[:22]


def clients() -> list[str]:
    """Return the names of the threads of kafka-python in this process."""
    return [
        thread.name
        for thread in threading.enumerate()
        if thread.name.startswith(('kafka', 'hgfleet'))
    ]


@contextmanager
def shared(folder: Path) -> Iterator[str]:
    """Lend the one broker of all who name this folder; yield its address.

    Raises Missing.
    """
    jars()
    with open(folder / 'kafka.users', 'ab') as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        with open(folder / 'kafka.door', 'ab') as door:
            fcntl.flock(door, fcntl.LOCK_EX)
            address = _kept(folder) or _keep(folder)
        yield address


def _kept(folder: Path) -> str:
    with suppress(FileNotFoundError):
        address: str = json.loads((folder / 'kafka.json').read_text())
        return address
    return ''


def _keep(folder: Path) -> str:
    with open(folder / 'kafka.log', 'ab') as log:
        keeper = subprocess.Popen(
            [sys.executable, '-m', __name__, str(folder)],
            cwd=TESTS,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    # It outlives whoever starts it, and nobody waits for it.
    keeper.returncode = 0
    assert keeper.stdout is not None
    with keeper.stdout as said:
        if not said.readline():
            raise RuntimeError((folder / 'kafka.log').read_text()[-3000:])
    return _kept(folder)


def keep(folder: Path) -> None:
    """Run a broker until all its users have gone."""
    note = folder / 'kafka.json'
    with (
        open(folder / 'kafka.users', 'ab') as users,
        Cluster(folder / f'kafka-{uuid.uuid4().hex[:8]}') as cluster,
    ):
        note.write_text(json.dumps(cluster.servers))
        print('ready', flush=True)
        fcntl.flock(users, fcntl.LOCK_EX)
        note.unlink()


if __name__ == '__main__':
    keep(Path(sys.argv[1]))
