"""Lines of JSON that are only ever added to: to a file, or to syslog.

Where they go is an URL:

``file:///var/log/hgfleet/audit.log``
    added to the end of that file; it may be renamed by logrotate
``syslog:///dev/log``, ``syslog://HOST:PORT``
    to syslog

A :class:`Place` is such an URL, opened.  Any number of processes may write to
the same one, and each line is written at once.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from .core.errors import SettingError

AUTH = logging.handlers.SysLogHandler.LOG_AUTHPRIV
SERVICE = logging.handlers.SysLogHandler.LOG_LOCAL2
# Seconds for which a line may wait for syslog.
_PATIENCE = 2.0


def stamp(now: float) -> str:
    """Return a time in UTC: ``2026-11-21T20:15:30.125Z``."""
    whole, part = divmod(int(now * 1000), 1000)
    text = time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))
    return f'{text}.{part:03}Z'


def encode(fields: Mapping[str, Any], longest: int) -> str:
    """Return one line, without its end, of those fields that say something.

    Of a text, as much is kept as ``longest`` characters.  It is all ASCII, so
    that one character cannot look like the end of a line.
    """
    return json.dumps(
        {
            name: value[:longest] if isinstance(value, str) else value
            for name, value in fields.items()
            if value not in ('', None)
        }
    )


class Place:
    """Where lines go; ``setting`` is what an administrator can correct.

    Making one raises SettingError or OSError, writing OSError.
    """

    def __init__(self, url: str, setting: str, facility: int) -> None:
        self._handler = _handler(url, setting, facility)

    def write(self, line: str) -> None:
        """Add a line, which has no end yet; threads take turns."""
        self._handler.handle(
            logging.LogRecord('hgfleet', logging.INFO, '', 0, line, None, None)
        )

    def close(self) -> None:
        """Let go of it."""
        self._handler.close()


def _handler(url: str, setting: str, facility: int) -> logging.Handler:
    scheme, _mark, rest = url.partition('://')
    if scheme == 'file' and rest.startswith('/'):
        return _File(rest, encoding='utf-8')
    if scheme == 'syslog':
        host, colon, port = rest.rpartition(':')
        if rest.startswith('/'):
            return _Syslog(rest, facility)
        if colon and host and port.isdigit():
            return _Syslog((host, int(port)), facility)
    raise SettingError(
        f'{setting} is {url[:200]!r}',
        'use file:///PATH, syslog:///dev/log or syslog://HOST:PORT',
    )


class _File(logging.handlers.WatchedFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:
        raise  # what has just gone wrong


class _Syslog(logging.handlers.SysLogHandler):
    ident = 'hgfleet: '
    append_nul = False
    socket: Any

    def __init__(self, address: str | tuple[str, int], facility: int) -> None:
        super().__init__(address, facility=facility)

    def emit(self, record: logging.LogRecord) -> None:
        # It is another socket after syslog has been started anew.
        with suppress(OSError):
            self.socket.settimeout(_PATIENCE)
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        raise  # what has just gone wrong
