"""Settings: read from hgrc as one type, or refused with the item's name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mercurial import ui as uimod

from hgext3rd.fleet import settings
from hgext3rd.fleet.core.errors import FleetError, NameRefused, SettingError
from hgext3rd.fleetctl import doctor
from testlib import hgrepo as _no_hgrc_of_this_machine  # noqa: F401

LEAST = """
[fleet]
node = hg1
root = /srv/hg/repos
state = /srv/hg/state
ledger = sqlite:///srv/ledger.db
blobs = file:///srv/blobs
"""

Read = Callable[..., settings.Settings]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read the settings from the text of an hgrc."""

    def from_text(*parts: str | bytes) -> settings.Settings:
        data = b'\n'.join(
            part.encode() if isinstance(part, str) else part for part in parts
        )
        path = tmp_path / 'hgrc'
        path.write_bytes(data)
        ui = uimod.ui.load()
        # A setting that is not declared may not be asked for.
        ui.setconfig(b'devel', b'all-warnings', True)
        settings.declare(ui)
        ui.readconfig(bytes(path), trust=True)
        return settings.read(ui)

    return from_text


def test_the_least_that_must_be_set(read: Read) -> None:
    assert read(LEAST) == settings.Settings(
        node='hg1',
        role='primary',
        root='/srv/hg/repos',
        state='/srv/hg/state',
        ledger='sqlite:///srv/ledger.db',
        blobs='file:///srv/blobs',
        url='',
        ssh='',
        partitions=8,
        partition_rules=(),
        inline_limit=65536,
        lease=5.0,
        wait='none',
    )


def test_everything_can_be_set(read: Read) -> None:
    its = read(
        LEAST.replace('repos\n', 'repos//\n'),
        'role = mirror\nurl = http://hg1/\nssh = ssh://hg1/',
        '[replicate]\npartitions = 3\ninline-limit = 1 MB\nlease = 0.5',
        'wait = visible\npartition-map.b = 2: x$\npartition-map.a = 0, 1:try',
    )
    assert (its.role, its.root) == ('mirror', '/srv/hg/repos')
    assert (its.url, its.ssh) == ('http://hg1/', 'ssh://hg1/')
    assert (its.partitions, its.inline_limit) == (3, 1 << 20)
    assert (its.lease, its.wait) == (0.5, 'visible')
    assert its.partition_rules == (('try', (0, 1)), ('x$', (2,)))
    assert its.partition('x') == 2
    assert its.partition('try/1') in (0, 1)


def test_declaring_twice_is_harmless_and_keeps_the_defaults() -> None:
    ui = uimod.ui.load()
    settings.declare(ui)
    settings.declare(ui)
    for section, item, default in settings.ITEMS:
        assert ui.config(section, item) == default


def test_a_mirror_of_a_ledger_elsewhere_outlasts_an_election(
    read: Read,
) -> None:
    kafka = LEAST + 'ledger = kafka://broker/fleet\n'
    assert read(kafka).lease == 5
    assert read(kafka, 'role = mirror').lease == 20
    assert read(LEAST, 'role = mirror').lease == 5
    set_by_hand = read(kafka, 'role = mirror\n[replicate]\nlease = 7')
    assert set_by_hand.lease == 7
    assert doctor.lease(read(kafka, 'role = mirror')) == []
    (finding,) = doctor.lease(set_by_hand)
    assert finding.about == 'hg1'
    assert 'lease of 7 s may run out' in finding.what


@pytest.mark.parametrize('item', ['node', 'root', 'state', 'ledger', 'blobs'])
@pytest.mark.parametrize('how', ['missing', 'empty'])
def test_what_is_required_is_named(read: Read, item: str, how: str) -> None:
    lines = [
        line if not line.startswith(item) else f'{item} ='
        for line in LEAST.splitlines()
        if how == 'empty' or not line.startswith(item)
    ]
    with pytest.raises(SettingError, match=f'fleet.{item} is not set') as it:
        read('\n'.join(lines))
    assert 'hg help' in it.value.hint


@pytest.mark.parametrize(
    ('more', 'said'),
    [
        ('role = both', "fleet.role is 'both'; use primary or mirror"),
        ('role =', "fleet.role is ''"),
        ('node = a b', "'a b' is not a node name"),
        ('[replicate]\npartitions = 0', 'replicate.partitions is 0'),
        ('[replicate]\npartitions = -1', 'replicate.partitions is -1'),
        ('[replicate]\nlease = 0.1', "replicate.lease is '0.1'"),
        ('[replicate]\nlease = 1 h', "replicate.lease is '1 h'"),
        ('[replicate]\nlease = nan', "replicate.lease is 'nan'"),
        ('[replicate]\nlease = inf', "replicate.lease is 'inf'"),
        ('[replicate]\nlease = 3601', 'use 0.2 to 3600'),
        ('[replicate]\nwait = yes', "replicate.wait is 'yes'"),
        ('[replicate]\npartition-map.x = try', "partition-map.x is 'try'"),
        ('[replicate]\npartition-map.x = a: b', "partition-map.x is 'a: b'"),
        ('[replicate]\npartition-map.x = : b', 'use "N,N: start-of-name"'),
        ('[replicate]\npartition-map.x = 1: (', 'a regular expression'),
    ],
)
def test_what_is_wrong_is_named(read: Read, more: str, said: str) -> None:
    with pytest.raises(FleetError) as caught:
        read(LEAST, more)
    assert isinstance(caught.value, SettingError | NameRefused)
    assert said in str(caught.value)


def test_paths_may_have_any_bytes(read: Read) -> None:
    its = read(LEAST, b'url = http://h\xe4/')
    assert its.url == 'http://h\udce4/'


@pytest.mark.parametrize('value', [b'\xe4: x', b'\xe4', b'1: (\xe4'])
def test_a_map_of_any_bytes_is_refused_in_order(
    read: Read, value: bytes
) -> None:
    with pytest.raises(SettingError, match='partition-map'):
        read(LEAST, b'[replicate]\npartition-map.\xe4 = ' + value)


def test_the_manual_names_every_item() -> None:
    from hgext3rd import replicate

    manual = f'{settings.__doc__}{replicate.__doc__}'
    unsaid = {'fleet-failpoint', 'user', 'actor'}
    for _section, item, _default in settings.ITEMS:
        if item.decode() not in unsaid:
            assert item.decode() in manual


def test_an_item_is_declared_only_here() -> None:
    known: list[Any] = [(one[0], one[1]) for one in settings.ITEMS]
    assert len(known) == len(set(known))
