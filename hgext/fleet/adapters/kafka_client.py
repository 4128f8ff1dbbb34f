"""What every client of Kafka here has in common: settings, limits, errors.

kafka-python has a setting for each wait, and all of them follow from the one
``timeout`` of the URL: a call that needs a broker ends within about that
time, whether brokers refuse, hang or are not there.

Errors of the library are renamed here (:func:`renamed`), and a client that
has failed is closed by whoever has it; the next call makes a fresh one.  So
nothing depends on how well a client recovers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from kafka import errors
from kafka.net.compat import KafkaNetClient

from ..core.errors import LedgerError, LedgerUnavailable, SettingError
from .kafka_url import Place

LARGEST = 8 << 20
"""Bytes of the longest record that is sent."""

_PAUSE = 25
"""Milliseconds between two attempts of the same thing."""

CLOSING = 1.0
"""Seconds that closing a client may take."""


def options(place: Place) -> dict[str, Any]:
    """Return the settings that all clients share; raises SettingError."""
    wait = int(place.timeout * 1000)
    found: dict[str, Any] = {
        'bootstrap_servers': list(place.servers),
        'client_id': 'hgfleet',
        'bootstrap_timeout_ms': wait,
        # So that a broker that hangs leaves time for another.
        'request_timeout_ms': max(wait // 3, 1000),
        'retry_backoff_ms': _PAUSE,
        'reconnect_backoff_max_ms': 500,
        'security_protocol': (
            f'{"SASL_" if place.sasl else ""}'
            f'{"SSL" if place.security == "ssl" else "PLAINTEXT"}'
        ),
    }
    if place.security == 'ssl':
        found['ssl_check_hostname'] = True
        for key in ('cafile', 'certfile', 'keyfile'):
            found[f'ssl_{key}'] = getattr(place, key) or None
    if place.sasl:
        found['sasl_mechanism'] = place.sasl.upper()
        found['sasl_plain_username'] = place.user
        found['sasl_plain_password'] = _password(place.password_file)
    return found


class Held:
    """A network client that is closed even if nobody else gets hold of it.

    Of a consumer or producer that never finds a broker nothing is returned,
    but its network client goes on in a thread.
    """

    def __init__(self, kind: Any = KafkaNetClient) -> None:
        self._kind = kind
        self.client: Any = None

    def __call__(self, **configs: Any) -> Any:
        """Make the client, as the option ``kafka_client`` wants it."""
        self.client = self._kind(**configs)
        # A new client asks twice, first who is there and then for its topic,
        # and would wait for a tenth of a second in between.
        self.client.cluster.config['retry_backoff_ms'] = _PAUSE
        return self.client

    def close(self) -> None:
        """Close the client; harmless when repeated."""
        client, self.client = self.client, None
        if client is not None:
            with suppress(Exception):
                client.close()


def _password(path: str) -> str:
    try:
        with open(path, encoding='utf-8') as file:
            password = file.readline().rstrip('\r\n')
    except (OSError, ValueError) as error:
        why = getattr(error, 'strerror', None) or 'it is not text'
        raise SettingError(
            f'cannot read the password-file {path} of the ledger: {why}',
            'it must be readable for the account that the fleet runs as',
        ) from None
    if not password:
        raise SettingError(f'the password-file {path} of the ledger is empty')
    return password


@contextmanager
def renamed(place: Place, doing: str) -> Iterator[None]:
    """Turn whatever the library raises into a LedgerUnavailable."""
    try:
        yield
    except (LedgerError, SettingError):
        raise
    except Exception as error:
        raise unavailable(place, doing, error) from error


def unavailable(
    place: Place, doing: str, error: BaseException
) -> LedgerUnavailable:
    """Return the error of a call that has changed nothing."""
    return LedgerUnavailable(
        f'cannot {doing} in {place}: {why(error)}', hint(place, error)
    )


def why(error: BaseException) -> str:
    """Say in a few words what an error of the library means."""
    for kind, words in _WORDS:
        if isinstance(error, kind):
            return words
    if isinstance(error, errors.BrokerResponseError) and error.description:
        return str(error.description)
    words = ' '.join(str(error).split())
    return words[:200] or type(error).__name__


def hint(place: Place, error: BaseException) -> str:
    """Say what to do about an error of the library.

    A broker that does not let us in looks like one that is not there.
    """
    for kind, advice in _ADVICE:
        if isinstance(error, kind):
            return advice
    doubts = ['the brokers run and can be reached', 'the topics have been made']
    if place.security == 'ssl':
        doubts.append('cafile is right')
    if place.sasl:
        doubts.append('user and password-file are right')
    return f'check that {", that ".join(doubts)}; then try again'


_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (errors.NotEnoughReplicasError, 'too few brokers with a copy are up'),
    (errors.UnknownTopicOrPartitionError, 'there is no such topic'),
    (errors.SaslAuthenticationFailedError, 'the brokers refuse to log us in'),
    (errors.AuthorizationError, 'the brokers do not allow it'),
    (errors.KafkaTimeoutError, 'no answer in time'),
)

_ADVICE: tuple[tuple[type[BaseException], str], ...] = (
    (errors.NotEnoughReplicasError, 'start the brokers that are down'),
    (errors.UnknownTopicOrPartitionError, 'make the topics: hgfleet doctor'),
    (
        errors.SaslAuthenticationFailedError,
        'check user and password-file in the URL of the ledger',
    ),
    (errors.AuthorizationError, 'give that user access to the topics'),
)
