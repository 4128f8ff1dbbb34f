"""A blob store that speaks S3, and what can go wrong on the way to it.

All nodes reach it by one proxy.  What is wrong begins and ends with
:meth:`Storage.disturb`; requests that are under way go on as they began.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from testlib import swift
from testlib.faultproxy import EVERY, FaultProxy
from testlib.faultproxy import Fault as Spoiled
from testlib.swift import Swift

from .schedule import Fault

_ALL = ('GET', 'HEAD', 'PUT', 'POST', 'DELETE')
_SLOWNESS = 400
"""Milliseconds; blobs take a handful of requests."""

_SPOILED: Mapping[Fault, tuple[Spoiled, ...]] = {
    Fault.STORE_ERROR: tuple(
        Spoiled('status', 500, method, code='InternalError') for method in _ALL
    ),
    Fault.STORE_BUSY: tuple(Spoiled('status', 503, method) for method in _ALL),
    Fault.STORE_AWAY: tuple(Spoiled('refuse', 0, method) for method in _ALL),
    Fault.STORE_DEAF: tuple(Spoiled('forget', 0, method) for method in _ALL),
    Fault.STORE_SLOW: tuple(
        Spoiled('late', _SLOWNESS, method) for method in _ALL
    ),
    Fault.STORE_CUT: (Spoiled('cut', 1000),),
    Fault.STORE_FLIP: (Spoiled('flip', 1000),),
}


class Storage:
    """The store and the proxy; a context manager that ends them.

    Raises swift.Unavailable when this machine cannot have one.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._swift = Swift(folder, swift.install())
        self._proxy: FaultProxy | None = None

    def __enter__(self) -> Storage:
        self._swift.start()
        self._proxy = FaultProxy(self._swift.port)
        self._proxy.start()
        return self

    def __exit__(self, *_problem: object) -> None:
        if self._proxy is not None:
            self._proxy.stop()
        self._swift.stop()

    @property
    def url(self) -> str:
        """Return the URL of the place for blobs, as nodes know it."""
        assert self._proxy is not None
        return f's3://{swift.BUCKET}/at?endpoint={self._proxy.endpoint}'

    @property
    def environ(self) -> dict[str, str]:
        """What the environment of a node must say."""
        return swift.environ()

    @property
    def stored(self) -> int:
        """Return how many blobs were put, or tried to be."""
        assert self._proxy is not None
        return self._proxy.count('PUT')

    def disturb(self, fault: Fault) -> None:
        """Let this go wrong from now on; with NONE, nothing."""
        assert self._proxy is not None
        times = 1 if fault is Fault.STORE_FLIP else EVERY
        self._proxy.faults[:] = [
            Spoiled(one.kind, one.at, one.method, times=times, code=one.code)
            for one in _SPOILED.get(fault, ())
        ]
