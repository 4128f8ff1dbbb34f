"""Readiness: what must be true, in which order, and when to give up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hgext3rd.fleet.core.barrier import Lease
from hgext3rd.fleet.core.errors import LedgerUnavailable, SettingError
from hgext3rd.fleetctl import opening, plan
from hgext3rd.fleetctl.course import Course
from hgext3rd.fleetctl.layout import Layout
from hgext3rd.fleetctl.opening import DemoOpening, Gate, NotReady, Renewals
from hgext3rd.fleetctl.plan import Fleet, Record, Tools


def lease(beat: int, applied: int = 0, node: str = 'web1') -> Lease:
    return Lease(node, 'mirror', beat, 5.0, {0: applied})


def test_a_lease_of_an_earlier_life_proves_nothing() -> None:
    now = {'web1': lease(7)}
    renewals = Renewals(lambda: dict(now))
    assert not renewals.since('web1')
    assert not renewals.since('web2')
    now['web1'] = lease(8)
    now['web2'] = lease(1, node='web2')
    assert renewals.since('web1')
    assert renewals.since('web2')


@pytest.mark.parametrize(
    'problem', [LedgerUnavailable('busy'), SettingError('wrong')]
)
def test_a_busy_ledger_is_asked_again(problem: Exception) -> None:
    answers: list[Callable[[], dict[str, Lease]]] = [dict]

    def leases() -> dict[str, Lease]:
        return answers[-1]()

    def fail() -> dict[str, Lease]:
        raise problem

    renewals = Renewals(leases)
    answers.append(fail)
    if isinstance(problem, SettingError):
        with pytest.raises(SettingError):
            renewals.since('web1')
    else:
        assert not renewals.since('web1')


def test_the_gates_of_a_part_open_in_their_order() -> None:
    asked = []

    def gate(part: str, name: str, passed: bool) -> Gate:
        return Gate(name, part, lambda: bool(asked.append(name)) or passed)

    gates = [
        gate('a', 'a1', True),
        gate('b', 'b1', False),
        gate('b', 'b2', True),
        gate('a', 'a2', True),
    ]
    assert [one.what for one in opening.opened(gates)] == ['a1', 'a2']
    assert asked == ['a1', 'b1', 'a2']


def demo(
    tmp_path: Path, leases: Callable[[], dict[str, Lease]]
) -> tuple[DemoOpening, list[str]]:
    record = Record(mirrors=1, ports={'hg1': 1, 'web1': 2}, founded=True)
    nodes = tuple(map(plan.placed, plan.nodes(record)))
    layout = Layout(str(tmp_path))
    (tmp_path / 'log').mkdir()
    said: list[str] = []
    fleet = Fleet(layout, record, nodes, Tools('hg', 'python', 'sshd'), {})
    return DemoOpening(fleet, leases, said.append, lambda: None), said


def test_it_waits_as_long_as_there_is_progress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    applied = [0]
    one, said = demo(tmp_path, lambda: {'web1': lease(1, applied[0])})
    monkeypatch.setattr(opening, 'PATIENCE', -1.0)
    monkeypatch.setattr(one, '_deadline', 0.0)
    applied[0] = 5
    assert not one.poll({})
    assert said == ['catching up: 5 entries applied']
    with pytest.raises(NotReady, match=r'no progress.*hg1: follows'):
        one.poll({})


@pytest.mark.parametrize(
    'said', ['Traceback\nImportError: no web\n\n', 'abort: no web\n(sorry)\n']
)
def test_a_part_that_keeps_ending_is_told_of_at_once(
    tmp_path: Path, said: str
) -> None:
    one, _said = demo(tmp_path, dict)
    log = tmp_path / 'log' / 'web1.web.log'
    log.write_text(said)
    assert not one.poll({'web1.web': Course(restarts=2)})
    with pytest.raises(
        NotReady, match=r'started: (ImportError|abort): no web'
    ) as e:
        one.poll({'web1.web': Course(restarts=3)})
    assert e.value.hint == f'see {log}'


def test_a_part_that_keeps_ending_may_say_nothing(tmp_path: Path) -> None:
    one, _said = demo(tmp_path, dict)
    with pytest.raises(NotReady, match='started: it says nothing'):
        one.poll({'web1.web': Course(restarts=3)})
