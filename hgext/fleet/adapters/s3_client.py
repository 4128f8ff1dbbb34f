"""The connection to S3, and its failures as errors of ours.

botocore does the work: signing, credentials, time-outs, and retries with
growing random pauses.  Every request is signed together with the SHA-256 of
its body, which the store compares, so nothing is stored that was damaged on
its way there.

Loading botocore and making a client takes about 0.2 s, so this module is
loaded when a blob is first needed.  Another client, such as that of a forked
child, takes a fifth of that.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import botocore.loaders
import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSLError,
    SSOError,
    TokenRetrievalError,
)
from botocore.exceptions import ConnectionError as NoConnection
from urllib3.exceptions import HTTPError

from .. import meta
from ..core.errors import BlobUnavailable
from . import plain_imports
from .s3_place import Place

DEFAULT_REGION = 'us-east-1'

_NO_CREDENTIALS = (
    *(NoCredentialsError, PartialCredentialsError, ProfileNotFound),
    *(CredentialRetrievalError, SSOError, TokenRetrievalError),
)

CUT = (HTTPClientError, IncompleteReadError, NoConnection, HTTPError, OSError)
"""What is raised when a connection breaks or falls silent."""

_WHERE_FROM = (
    "put valid keys into ~/.aws/credentials of this process's user, or give "
    'the machine a role'
)
_LATER = 'try again; if it stays, see whether the store is up'

# What the codes of S3 mean, and what to do then.
_MEANING = {
    'NoSuchBucket': ('there is no such bucket', 'make it'),
    'AccessDenied': (
        'access is denied',
        'allow these credentials to list the bucket, and to read, write and '
        'delete what is in it',
    ),
    'InvalidAccessKeyId': ('the access key is not known', _WHERE_FROM),
    'SignatureDoesNotMatch': ('the secret key is wrong', _WHERE_FROM),
    'RequestTimeTooSkewed': ("this machine's clock is wrong", 'set it'),
    'ExpiredToken': ('the credentials have expired', _WHERE_FROM),
    'PermanentRedirect': ('the bucket is in another region', 'set region='),
    'AuthorizationHeaderMalformed': ('the region is wrong', 'set region='),
    'QuotaExceeded': ('the quota is used up', 'free space or raise it'),
    'NoSuchKey': ('it is not there', 'copy it from another store'),
}
_BY_STATUS = {
    403: 'AccessDenied',
    301: 'PermanentRedirect',
}


@dataclass(frozen=True)
class Timing:
    """How long, in seconds, and how often a request is tried."""

    connect: float = 5.0
    read: float = 20.0
    tries: int = 4
    resumes: int = 8
    pause: float = 0.2


USUAL = Timing()


class Client:
    """A client of botocore for one place; one for each process."""

    def __init__(self, place: Place, timing: Timing) -> None:
        self.place = place
        self.timing = timing
        self._lock = threading.Lock()
        self._made: tuple[int, Any] | None = None

    @property
    def s3(self) -> Any:
        """The client; connections of a parent process are not shared."""
        with self._lock:
            if self._made is None or self._made[0] != os.getpid():
                with plain_imports():
                    self._made = (
                        os.getpid(),
                        _connect(self.place, self.timing),
                    )
            return self._made[1]

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Send a request about the bucket; return what was answered."""
        method = getattr(self.s3, operation)
        answer: dict[str, Any] = method(Bucket=self.place.bucket, **parameters)
        return answer

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Rename the errors of botocore; ``what`` was being done, to what."""
        try:
            yield
        except (BotoCoreError, ClientError, HTTPError, OSError) as error:
            raise unavailable(what, error) from error


@functools.cache
def _loader() -> Any:
    """Return what reads the description of S3: slowly, so only once."""
    return botocore.loaders.create_loader()


def _connect(place: Place, timing: Timing) -> Any:
    session = botocore.session.Session(profile=place.profile or None)
    session.register_component('data_loader', _loader())
    region = place.region or session.get_config_variable('region')
    return session.create_client(
        's3',
        region_name=region or DEFAULT_REGION,
        endpoint_url=place.endpoint or None,
        config=Config(
            signature_version='s3v4',
            s3={
                'addressing_style': place.addressing,
                'payload_signing_enabled': True,
                'us_east_1_regional_endpoint': 'regional',
            },
            # The newer checksums are not known to every store, and the
            # signed SHA-256 does what they do.
            request_checksum_calculation='when_required',
            response_checksum_validation='when_required',
            retries={'mode': 'standard', 'total_max_attempts': timing.tries},
            connect_timeout=timing.connect,
            read_timeout=timing.read,
            tcp_keepalive=True,
            user_agent_extra=f'hgfleet/{meta.VERSION}',
        ),
    )


def status(error: ClientError) -> int:
    """Return the HTTP status of an answer that is an error."""
    said = error.response.get('ResponseMetadata', {}).get('HTTPStatusCode', 0)
    return int(said)


def code(error: ClientError) -> str:
    """Return S3's word for an error; for HEAD, the number of the status."""
    return str(error.response.get('Error', {}).get('Code', ''))


def unavailable(what: str, error: Exception) -> BlobUnavailable:
    """Return the error that says what could not be done, and why."""
    why, hint = _explained(error)
    return BlobUnavailable(f'cannot {what}: {why}', hint)


def _explained(error: Exception) -> tuple[str, str]:
    """Say why, and what to do; never what the store or a header said."""
    if isinstance(error, ClientError):
        return _answered(error)
    if isinstance(error, _NO_CREDENTIALS):
        return 'there are no valid credentials', _WHERE_FROM
    if isinstance(error, OSError) and error.filename:
        return f'{error.strerror}: {error.filename}', 'let this user read it'
    if isinstance(error, SSLError):
        return (
            "the store's certificate is not trusted, or it speaks no TLS",
            'name the file of its authority as ca_bundle in ~/.aws/config',
        )
    if isinstance(error, CUT):
        kind = type(error).__name__.removesuffix('Error')
        return f'the store cannot be reached, or falls silent ({kind})', _LATER
    return f'the driver refuses ({type(error).__name__})', 'check the settings'


def _answered(error: ClientError) -> tuple[str, str]:
    number, word = status(error), code(error)
    label = f'{number} {word}' if word and word != str(number) else str(number)
    known = _MEANING.get(word) or _MEANING.get(_BY_STATUS.get(number, ''))
    if known:
        return f'{known[0]} ({label})', known[1]
    if number >= 500 or number == 429:
        return f'the store is in trouble or too busy ({label})', _LATER
    return f'the store refuses ({label})', 'see what its log says'
