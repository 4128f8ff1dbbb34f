"""Brokers of Kafka, and a network to them for each node.

A node reaches all brokers by ports of its own, so it can be cut off alone;
the brokers reach each other, and the checker reaches them, undisturbed.  Of
three copies two must be written, so one of three brokers may be away.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

from kafka import KafkaAdminClient, errors

from testlib import kafka
from testlib.netproxy import NetProxy, Passage

from .fleet import Impatient
from .topic import Topic

BROKERS = 3
CALM = 240.0

_COMMON = {
    'unclean.leader.election.enable': 'false',
    'message.timestamp.type': 'LogAppendTime',
    'max.message.bytes': str(8 << 20),
}
_KINDS = {
    'entries': {
        'cleanup.policy': 'delete',
        'retention.ms': '-1',
        'retention.bytes': '-1',
    },
    'members': {'cleanup.policy': 'compact'},
}


class Brokers:
    """The cluster and the network; a context manager that ends them.

    ``patience`` is how many seconds a node's calls may take.
    """

    def __init__(
        self,
        folder: Path,
        names: Iterable[str],
        partitions: int,
        patience: float,
        brokers: int = BROKERS,
    ) -> None:
        self.names = list(names)
        self._partitions = partitions
        self._patience = patience
        self._copies = brokers
        self._opened = ExitStack()
        self._turn = threading.Lock()
        self._problem: BaseException | None = None
        # A broker dies with the thread that has started it.
        self._reviver = ThreadPoolExecutor(1)
        self._network = NetProxy()
        self.cluster = kafka.Cluster(
            folder,
            brokers,
            # Who is not in step any more is found out sooner.
            extra=('replica.lag.time.max.ms=3000',),
            doors={
                name: partial(self._network.front, name) for name in self.names
            },
        )

    def __enter__(self) -> Brokers:
        with self._opened as opened:
            opened.enter_context(self._network)
            opened.enter_context(self.cluster)
            opened.enter_context(self._reviver)
            self._make_topics()
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *_problem: object) -> None:
        self._opened.close()

    def url(self, name: str) -> str:
        """Return the URL of the ledger for a node."""
        servers = self.cluster.through(name)
        return f'kafka://{servers}/fleet?timeout={self._patience:g}'

    @property
    def topic(self) -> Topic:
        """Return where a checker finds the entries."""
        return Topic(self.cluster.servers, 'fleet.entries', self._partitions)

    def disturb(
        self, names: Iterable[str], passage: Passage, delay: float = 0.0
    ) -> None:
        """Say what happens on the way from some nodes to all brokers."""
        for name in names:
            self._network.disturb(name, passage, delay)

    def lose(
        self,
        number: int,
        how: signal.Signals,
        seconds: float,
        over: Callable[[], object],
    ) -> None:
        """Kill or stop a broker when no other is away.

        It comes back by itself; ``over`` is called when all brokers have
        all copies again.
        """
        broker = self.cluster.brokers[number]
        self._turn.acquire()
        broker.signal(how)
        if how is signal.SIGKILL:
            broker.kill()

        def come_back() -> None:
            try:
                time.sleep(seconds)
                broker.revive()
                self._await_calm()
                over()
            except BaseException as problem:  # noqa: BLE001 raised by calm
                self._problem = problem
            finally:
                self._turn.release()

        self._reviver.submit(come_back)

    def calm(self) -> None:
        """Wait until no broker is away, and all have all copies."""
        with self._turn:
            if self._problem is not None:
                raise self._problem
            self._await_calm()

    def _await_calm(self) -> None:
        deadline = time.monotonic() + CALM
        while not self._is_calm():
            if time.monotonic() > deadline:
                raise Impatient('the brokers do not get in step')
            time.sleep(0.2)

    def _is_calm(self) -> bool:
        with suppress(errors.KafkaError), ExitStack() as opened:
            admin = self._admin(opened)
            return all(
                len(part['isr_nodes']) == self._copies
                for topic in admin.describe_topics(list(_names()))
                for part in topic['partitions']
            )
        return False

    def _make_topics(self) -> None:
        least = {'min.insync.replicas': str(max(1, self._copies - 1))}
        # Brokers that listen may not know each other yet.
        deadline = time.monotonic() + CALM
        while True:
            try:
                with ExitStack() as opened:
                    self._admin(opened).create_topics(
                        {
                            f'fleet.{kind}': {
                                'num_partitions': (
                                    self._partitions if kind == 'entries' else 1
                                ),
                                'replication_factor': self._copies,
                                'configs': _COMMON | least | more,
                            }
                            for kind, more in _KINDS.items()
                        },
                        wait_for_metadata=True,
                    )
                    break
            except errors.TopicAlreadyExistsError:
                break
            except errors.KafkaError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
        self.calm()

    def _admin(self, opened: ExitStack) -> KafkaAdminClient:
        admin = KafkaAdminClient(
            bootstrap_servers=self.cluster.servers.split(','),
            request_timeout_ms=5_000,
        )
        opened.callback(admin.close)
        return admin


def _names() -> Iterable[str]:
    return (f'fleet.{kind}' for kind in _KINDS)
