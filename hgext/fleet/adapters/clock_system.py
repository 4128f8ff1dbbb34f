"""The machine's own clock."""

from __future__ import annotations

import time

# Linux counts the time asleep only in CLOCK_BOOTTIME; where it is missing,
# the monotonic clock does (macOS) or comes closest.
_SINCE_BOOT: int = getattr(time, 'CLOCK_BOOTTIME', time.CLOCK_MONOTONIC)


class SystemClock:
    """The two times, asked of the operating system."""

    def wall(self) -> float:
        """Seconds since 1970; may be set back."""
        return time.time()

    def boot(self) -> float:
        """Seconds since the machine started, sleep included."""
        return time.clock_gettime(_SINCE_BOOT)

    def boot_id(self) -> str:
        """The name of this start of the machine; '' when it has none."""
        try:
            with open('/proc/sys/kernel/random/boot_id') as file:
                return file.read().strip()
        except OSError:
            return ''
