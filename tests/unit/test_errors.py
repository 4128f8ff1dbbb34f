"""The tree of errors: each says what to do, and whether waiting helps."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest
from mercurial import error

from hgext3rd.fleet import edge
from hgext3rd.fleet.core import errors
from hgext3rd.fleet.core.errors import FleetError

# Whether the same request may succeed later with nobody doing anything.
RETRY = {
    'FleetError': False,
    'SettingError': False,
    'NameRefused': False,
    'Denied': False,
    'Inexpressible': False,
    'LedgerError': False,
    'LedgerUnavailable': True,
    'OutOfReach': False,
    'LedgerFull': False,
    'OutcomeUnknown': False,
    'Superseded': True,
    'Fenced': False,
    'EntryUnreadable': False,
    'BlobError': False,
    'BlobUnavailable': True,
    'BlobCorrupt': False,
    'DirectoryUnavailable': True,
    'Quarantined': False,
    'Diverged': False,
    'Doubted': True,
    'Stale': True,
}


def tree(root: type[FleetError] = FleetError) -> Iterator[type[FleetError]]:
    yield root
    for one in root.__subclasses__():
        yield from tree(one)


HERE = [one for one in tree() if one.__module__ == errors.__name__]


def test_every_error_is_in_the_table() -> None:
    assert {one.__name__: one.retry for one in HERE} == RETRY
    defined = [
        one
        for one in vars(errors).values()
        if inspect.isclass(one) and issubclass(one, BaseException)
    ]
    assert set(defined) == set(HERE)


@pytest.mark.parametrize('kind', HERE, ids=lambda kind: kind.__name__)
def test_an_error_has_a_message_and_a_hint(kind: type[FleetError]) -> None:
    plain = kind('what happened')
    assert str(plain) == plain.message == 'what happened'
    assert plain.hint == ''
    assert kind('what', 'do this').hint == 'do this'
    assert kind.__doc__


@pytest.mark.parametrize('kind', HERE, ids=lambda kind: kind.__name__)
def test_at_the_door_it_becomes_an_abort(kind: type[FleetError]) -> None:
    with pytest.raises(error.Abort) as caught, edge.refusing():
        raise kind('déjà \udce4', 'wait')
    assert caught.value.message == 'déjà '.encode() + b'\xe4'
    assert caught.value.hint == b'wait'
    assert caught.value.__suppress_context__


def test_what_is_no_refusal_passes_the_door() -> None:
    with pytest.raises(ZeroDivisionError), edge.refusing():
        raise ZeroDivisionError
