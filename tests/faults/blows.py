"""Faults that begin, last for a while, and are over: they are done here.

Each returns how many processes, ways or clocks it has met.  Whoever strikes
waits until it is over, except that brokers take their time to come back.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable

from testlib.netproxy import Passage

from .fleet import Fleet
from .schedule import NETWORK, RELAYS, STORAGE, Action, Fault

DAY = 86_400
SLOWNESS = 0.2

_PASSAGES = {
    Fault.CUT: Passage.CUT,
    Fault.HOLD: Passage.HELD,
    Fault.MUTE: Passage.MUTE,
    Fault.SLOW: Passage.SLOW,
}


def strike(fleet: Fleet, action: Action, session: int) -> int:
    """Do what an action says; ``session`` is a process id, or 0."""
    fault = action.fault
    if fault is Fault.STOP_SESSION:
        return _stop(fleet, action, lambda number: _tell(session, number))
    if fault is Fault.STOP_DAEMON:
        return _stop(
            fleet, action, lambda number: fleet.tell(action.victim, number)
        )
    if fault is Fault.CLOCK:
        return _clock(fleet, action)
    if fault in RELAYS:
        return _relay(fleet, action)
    if fault in NETWORK:
        return _disturb(fleet, action, [action.victim], _PASSAGES[fault])
    if fault in STORAGE:
        return _store(fleet, action)
    assert fleet.brokers is not None
    if fault is Fault.OUTAGE:
        return _disturb(fleet, action, fleet.brokers.names, Passage.CUT)
    return _broker(fleet, action)


def _tell(process: int, number: signal.Signals) -> bool:
    if not process:
        return False
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return False
    return True


def _stop(
    fleet: Fleet, action: Action, tell: Callable[[signal.Signals], bool]
) -> int:
    with fleet.troubles.window():
        if not tell(signal.SIGSTOP):
            return 0
        time.sleep(action.lasting)
        tell(signal.SIGCONT)
    return 1


def _clock(fleet: Fleet, action: Action) -> int:
    """Set the clocks by a day, forward or back."""
    set_clocks(fleet, DAY if action.number % 2 else -DAY)
    time.sleep(action.lasting)
    set_clocks(fleet, 0)
    return 1


def set_clocks(fleet: Fleet, seconds: int) -> None:
    """Set the wall clocks of all nodes; see ``mishap``."""
    name = f'mishap.{threading.get_ident()}'
    new = fleet.folder / name
    new.write_text(json.dumps({'clock': seconds}))
    new.replace(fleet.folder / 'mishap.json')


def _relay(fleet: Fleet, action: Action) -> int:
    relay = fleet.nodes[action.victim].relay
    assert relay is not None
    if action.fault is Fault.STOP_RELAY:
        return _stop(fleet, action, relay.tell)
    with fleet.troubles.window(), relay.guard:
        met = relay.kill()
        time.sleep(action.lasting)
        relay.start()
    return met


def _disturb(
    fleet: Fleet, action: Action, names: list[str], passage: Passage
) -> int:
    brokers = fleet.brokers
    assert brokers is not None
    with fleet.troubles.window():
        brokers.disturb(names, passage, SLOWNESS)
        time.sleep(action.lasting)
        brokers.disturb(names, Passage.OPEN)
    return 1


def _store(fleet: Fleet, action: Action) -> int:
    assert fleet.storage is not None
    with fleet.troubles.window():
        fleet.storage.disturb(action.fault)
        time.sleep(action.lasting)
        fleet.storage.disturb(Fault.NONE)
    return 1


def _broker(fleet: Fleet, action: Action) -> int:
    brokers = fleet.brokers
    assert brokers is not None
    how = signal.SIGKILL
    if action.fault is Fault.STOP_BROKER:
        how = signal.SIGSTOP
    window = fleet.troubles.open()
    brokers.lose(int(action.victim), how, action.lasting, window.close)
    return 1
