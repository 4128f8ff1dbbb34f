"""Open what the settings name by URL: the ledger, the blobs, the directory.

    [fleet]
    ledger = sqlite:///var/lib/hgfleet/ledger.db
    blobs = file:///var/lib/hgfleet/blobs
    directory = file:///etc/hgfleet/users.toml

The part before ``://`` picks an adapter from the tables below.  An adapter's
module is imported only when it is opened, so a push pays for no driver that
it does not use.  The schemes ``sqlite``, ``file`` and ``relay`` (the socket of
a relay, which has the ledger) take an absolute path, as it is written (nothing
in it is decoded); any other adapter is given all that follows ``://``.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from ..core.errors import LedgerUnavailable, SettingError
from ..core.retention import Keeping

if TYPE_CHECKING:
    from ..ports import Blobs, Clock, Directory, Ledger

LEDGERS = {
    'kafka': 'ledger_kafka:KafkaLedger',
    'relay': 'ledger_relay:RelayLedger',
    'sqlite': 'ledger_sqlite:SqliteLedger',
}
BLOBS = {'file': 'blobs_dir:DirBlobs', 's3': 'blobs_s3:S3Blobs'}
DIRECTORIES = {
    'file': 'directory_file:FileDirectory',
    'ldap': 'directory_ldap:open_ldap',
    'ldaps': 'directory_ldap:open_ldaps',
}

_LOCAL = frozenset({'relay', 'sqlite', 'file'})


def open_ledger(url: str) -> Ledger:
    """Open the ledger; raises SettingError or LedgerError."""
    return _open('[fleet] ledger', LEDGERS, url)  # type: ignore[no-any-return]


def open_near_ledger(url: str, relay: str) -> Ledger:
    """Open the ledger through the relay at the path ``relay``, if it is there.

    If not, the ledger itself; raises SettingError or LedgerError.
    """
    if not os.path.exists(relay):
        return open_ledger(url)
    try:
        near = _load('ledger_relay:RelayLedger')(relay, url)
    except LedgerUnavailable:
        return open_ledger(url)
    direct = functools.partial(open_ledger, url)
    return _load('ledger_relay:NearLedger')(near, direct)  # type: ignore[no-any-return]


def faults_of_ledger(
    url: str, partitions: int, copies: int, inline_limit: int
) -> list[str]:
    """Return what is wrong with how the ledger is set up, a sentence each.

    ``copies`` is how many machines should have each record, where that can
    be chosen.  Raises SettingError or LedgerError.
    """
    scheme, _mark, place = url.partition('://')
    if scheme != 'kafka':
        open_ledger(url).close()
        return []
    where = _load('kafka_url:parse')(place)
    check = _load('kafka_topics:check_topics')
    return check(where, partitions, copies, inline_limit)  # type: ignore[no-any-return]


def keeping_of_ledger(url: str) -> Keeping:
    """Return how long a ledger keeps entries; errors as for faults."""
    scheme, _mark, place = url.partition('://')
    if scheme != 'kafka':
        return Keeping()
    where = _load('kafka_url:parse')(place)
    return _load('kafka_topics:keeping')(where)  # type: ignore[no-any-return]


def outage_of_ledger(url: str) -> float:
    """Return how many seconds a ledger may be away when a machine ends."""
    scheme = url.partition('://')[0]
    return _load('kafka_topics:ELECTION') if scheme == 'kafka' else 0.0


def prepare_ledger(url: str, partitions: int, copies: int) -> None:
    """Make what a ledger needs before it is first used; harmless later."""
    scheme, _mark, place = url.partition('://')
    if scheme == 'kafka':
        where = _load('kafka_url:parse')(place)
        _load('kafka_topics:ensure_topics')(where, partitions, copies)


def open_blobs(url: str) -> Blobs:
    """Open the blob store; raises SettingError or BlobError."""
    return _open('[fleet] blobs', BLOBS, url)  # type: ignore[no-any-return]


def open_directory(
    url: str, told: Callable[[str, float], None] | None = None
) -> Directory:
    """Open the directory; raises SettingError or DirectoryUnavailable.

    ``told`` hears of each answer that comes from memory, while the directory
    itself is away: a user's name, and how many seconds old the answer is.
    """
    directory: Directory = _open('[fleet] directory', DIRECTORIES, url)
    if told is not None and hasattr(directory, 'told'):
        directory.told = told
    return directory


def system_clock() -> Clock:
    """Return this machine's clock."""
    return _load('clock_system:SystemClock')()  # type: ignore[no-any-return]


def _open(setting: str, table: dict[str, str], url: str) -> Any:
    scheme, mark, place = url.partition('://')
    if not mark or scheme not in table:
        raise SettingError(_complaint(setting, url), _accepted(table))
    if scheme in _LOCAL and not place.startswith('/'):
        raise SettingError(
            f'{setting} = {url}: {place!r} is not an absolute path',
            _accepted(table),
        )
    try:
        adapter = _load(table[scheme])
    except ModuleNotFoundError as error:
        raise SettingError(
            f'{setting}: {scheme}:// needs the Python module {error.name}',
            f'install it: pip install "hgfleet[{scheme}]"',
        ) from error
    return adapter(place)


def _complaint(setting: str, url: str) -> str:
    """Say what is wrong with a URL; what follows its scheme may be secret."""
    if not url:
        return f'{setting} is not set'
    scheme, mark, _place = url.partition('://')
    if not mark:
        return f'{setting} = {url[:80]}: this is not a URL'
    return f'{setting}: the scheme {scheme[:80]!r} is not known'


def _accepted(table: dict[str, str]) -> str:
    forms = (
        f'{scheme}:///PATH' if scheme in _LOCAL else f'{scheme}://...'
        for scheme in sorted(table)
    )
    return f'accepted: {", ".join(forms)}'


def _load(target: str) -> Any:
    """Import ``module:Class`` of this package; return the class."""
    module, _colon, name = target.partition(':')
    with plain_imports():
        return getattr(importlib.import_module(f'{__name__}.{module}'), name)


def plain_imports() -> AbstractContextManager[Any]:
    """Switch off Mercurial's lazy imports, which many drivers do not stand."""
    lazy = sys.modules.get('hgdemandimport')
    return nullcontext() if lazy is None else lazy.deactivated()
