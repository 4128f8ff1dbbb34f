"""Two processes that watch each other, so that nothing is left behind.

The *keeper* is the process that was started by the person; the
*supervisor* is its child, and starts the parts.

- The keeper hands signals on, and ends when the supervisor has.
- When the supervisor is killed, its parts become children of the keeper
  (which adopts orphans), and the keeper ends them.
- When the keeper is killed, the kernel sends SIGTERM to the supervisor,
  which then stops as if it had been told to.
- When both are killed at once, the kernel sends SIGTERM to the parts, and
  what survives that is found by the next ``up`` or ``down``.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

from . import process

GRACE = 5.0
KILLED = 255
STOPPING = frozenset({signal.SIGTERM, signal.SIGINT})
AWAITED = STOPPING | {signal.SIGCHLD, signal.SIGHUP}


def keep(supervise: Callable[[], int], apart: Callable[[], None]) -> int:
    """Run ``supervise`` in a child; return its exit code.

    In the child the AWAITED signals are blocked, to be waited for.  In the
    keeper ``apart`` is called when the child has been started.
    """
    process.adopt_orphans()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED)
    me = os.getpid()
    child = os.fork()
    if child == 0:
        process.leave(lambda: _be_supervisor(me, supervise))
    apart()
    code = _watch(child)
    process.finish(lambda: process.descendants([me]), GRACE)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if code >= 0:
        return code
    sys.stderr.write(
        f'the supervisor was killed by signal {-code}; its parts are stopped\n'
    )
    return KILLED


def stops(number: int) -> bool:
    """Tell whether this signal means that everything is to stop."""
    if number == signal.SIGHUP:  # ignored under nohup
        return signal.getsignal(signal.SIGHUP) != signal.SIG_IGN
    return number in STOPPING


def _be_supervisor(keeper: int, supervise: Callable[[], int]) -> int:
    os.setsid()
    process.die_with(keeper)
    process.adopt_orphans()
    return supervise()


def _watch(child: int) -> int:
    while True:
        number = signal.sigwait(AWAITED)
        if stops(number):
            os.kill(child, signal.SIGTERM)
        ended = process.reap()
        if child in ended:
            return ended[child]
