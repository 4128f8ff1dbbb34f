"""When what was wrong: who was served meanwhile may have been refused.

A fault that lasts is noted as a window of time.  Pushes that are going on in
it, or soon after it, need not succeed; what they are told must still be true.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

# Seconds in which everybody has connected again.
AFTERMATH = 6.0


@dataclass
class Window:
    """From when to when it was wrong, by the clock that only advances."""

    began: float
    ended: float = math.inf

    def close(self) -> None:
        """Note that it is over."""
        self.ended = time.monotonic()


@dataclass
class Troubles:
    """All windows of a run; for any thread.

    ``aftermath`` is longer where everything takes longer.
    """

    windows: list[Window] = field(default_factory=list)
    aftermath: float = AFTERMATH
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def open(self) -> Window:
        """Note that something is wrong from now on."""
        window = Window(time.monotonic())
        with self._guard:
            self.windows.append(window)
        return window

    @contextmanager
    def window(self) -> Iterator[None]:
        """Note that something is wrong within."""
        window = self.open()
        try:
            yield
        finally:
            window.close()

    def met(self, began: float, ended: float) -> bool:
        """Tell whether anything was wrong, or just had been, meanwhile."""
        with self._guard:
            return any(
                one.began <= ended and began <= one.ended + self.aftermath
                for one in self.windows
            )
