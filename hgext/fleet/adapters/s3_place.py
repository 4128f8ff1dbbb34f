"""Where blobs are on S3: the URL of the settings, as a type.

    s3://BUCKET/PREFIX?endpoint=URL&region=NAME&addressing=HOW&profile=NAME

``PREFIX`` and everything after ``?`` may be missing.  In the values ``%26``
is an ``&``.

endpoint
    ``https://host:port`` of a store that is not Amazon's.
region
    ``us-east-1`` if it is neither here nor in the profile.
addressing
    ``path``: the bucket is the first part of the path; ``virtual``: of the
    host's name.  Without it ``path`` for an endpoint, ``virtual`` for Amazon.
profile
    a section of the usual files ``~/.aws/config`` and ``~/.aws/credentials``.

Credentials never stand in the URL: they come from the environment, from those
files, or from the machine's role.  A push over SSH has an environment built
from nothing, so there the environment will not do.  No complaint repeats a
value that could be a secret in the wrong place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, urlsplit

from ..core.errors import SettingError

ADDRESSING = ('path', 'virtual')
KEYS = ('endpoint', 'region', 'addressing', 'profile')

_FORM = (
    's3://BUCKET/PREFIX?endpoint=URL&region=NAME&addressing=HOW&profile=NAME'
)
_BUCKET = re.compile(r'[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]')
_PREFIX = re.compile(r"([A-Za-z0-9!_.*'()+=@-]+/)*")
_REGION = re.compile(r'[a-z0-9-]{1,63}')
_PROFILE = re.compile(r'[^\0-\37\177]{1,128}')
_LABEL = '[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?'
_HOST = re.compile(
    rf'({_LABEL}(\.{_LABEL}){{0,15}}|\[[0-9A-Fa-f:]+\])(:[0-9]{{1,5}})?'
)
_LONGEST = 512
_LONGEST_HOST = 250


@dataclass(frozen=True)
class Place:
    """A bucket, what the names in it begin with, and how to reach it.

    ``prefix`` is empty or ends in a slash; of the other words those that are
    not given are empty.
    """

    bucket: str
    prefix: str = ''
    endpoint: str = ''
    region: str = ''
    addressing: str = 'virtual'
    profile: str = ''

    def key(self, sha256: str) -> str:
        """Return the name of a blob's object."""
        return f'{self.prefix}{sha256[:2]}/{sha256[2:]}'

    def url(self, key: str = '') -> str:
        """Return how people write the name of an object, or of the place."""
        at = f' at {self.endpoint}' if self.endpoint else ''
        return f's3://{self.bucket}/{key or self.prefix}{at}'


def parse(text: str) -> Place:
    """Return what follows ``s3://`` in a URL; raises SettingError."""
    place, _mark, query = text.partition('?')
    bucket, _slash, prefix = place.partition('/')
    if not _BUCKET.fullmatch(bucket) or '..' in bucket:
        raise _bad('what follows s3:// is not the name of a bucket')
    given = _options(query) if query else {}
    endpoint = given.get('endpoint', '')
    return Place(
        bucket=bucket,
        prefix=_prefix(prefix),
        endpoint=_endpoint(endpoint) if 'endpoint' in given else '',
        region=_matching(given, 'region', _REGION),
        addressing=_addressing(given, bucket),
        profile=_matching(given, 'profile', _PROFILE),
    )


def _options(query: str) -> dict[str, str]:
    given: dict[str, str] = {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    except ValueError:
        raise _bad('what follows ? is not NAME=VALUE&NAME=VALUE') from None
    for name, value in pairs:
        if name not in KEYS:
            raise _bad(
                f'{name[:40]!r} is not known',
                f'known are {", ".join(KEYS)}; credentials stand in '
                '~/.aws/credentials, never in the URL',
            )
        if name in given:
            raise _bad(f'{name} is given twice')
        given[name] = value
    return given


def _prefix(text: str) -> str:
    prefix = text.rstrip('/') + '/' if text.rstrip('/') else ''
    steps = prefix.split('/')
    if (
        not _PREFIX.fullmatch(prefix)
        or '.' in steps
        or '..' in steps
        or len(prefix) > _LONGEST
    ):
        raise _bad('what follows the bucket is not a plain path')
    return prefix


def _endpoint(text: str) -> str:
    try:
        url = urlsplit(text)
        good = _plain(url)
    except ValueError:
        good = False
    if not good:
        raise _bad(
            'endpoint is not http(s)://HOST:PORT',
            'give it without user, password, question mark and fragment',
        )
    return f'{url.scheme}://{url.netloc}{url.path.rstrip("/")}'


def _plain(url: SplitResult) -> bool:
    """Tell whether a URL has a host, and nothing that could be secret."""
    path = f'{url.path.strip("/")}/'.lstrip('/')
    return (
        url.scheme in ('http', 'https')
        and _HOST.fullmatch(url.netloc) is not None
        and len(url.netloc) < _LONGEST_HOST
        and url.port != 0
        and not url.query
        and not url.fragment
        and _PREFIX.fullmatch(path) is not None
    )


def _addressing(given: dict[str, str], bucket: str) -> str:
    how = given.get('addressing', 'path' if 'endpoint' in given else 'virtual')
    if how not in ADDRESSING:
        raise _bad(f'addressing is none of {", ".join(ADDRESSING)}')
    secure = not given.get('endpoint', '').startswith('http:')
    if how == 'virtual' and secure and '.' in bucket:
        raise _bad(
            f'no certificate is valid for the bucket {bucket} as part of a '
            "host's name, since it has a dot",
            'add addressing=path, or take a bucket without a dot',
        )
    return how


def _matching(given: dict[str, str], name: str, form: re.Pattern[str]) -> str:
    value = given.get(name, '')
    if name in given and not form.fullmatch(value):
        raise _bad(f'{name} is not a name')
    return value


def _bad(what: str, hint: str = f'the form is {_FORM}') -> SettingError:
    return SettingError(f'[fleet] blobs = s3://...: {what}', hint)
