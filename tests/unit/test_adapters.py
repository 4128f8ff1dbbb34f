"""Opening adapters by URL; the clock; the doorbell's corners."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from contextlib import closing

import pytest

from hgext3rd.fleet import adapters
from hgext3rd.fleet.adapters import doorbell
from hgext3rd.fleet.adapters.doorbell import Doorbell
from hgext3rd.fleet.core.errors import SettingError

OPENERS = {
    'ledger': adapters.open_ledger,
    'blobs': adapters.open_blobs,
    'directory': adapters.open_directory,
}


@pytest.mark.parametrize('name', OPENERS)
@pytest.mark.parametrize(
    ('url', 'words'),
    [
        ('', 'is not set'),
        ('/var/lib/x', 'not a URL'),
        ('sqlite:/var/lib/x', 'not a URL'),
        ('gopher://user:secret@x/y', "'gopher' is not known"),
        ('://x', "'' is not known"),
    ],
)
def test_a_bad_url_names_the_setting_and_what_is_accepted(name, url, words):
    with pytest.raises(SettingError, match=re.escape(words)) as caught:
        OPENERS[name](url)
    assert str(caught.value).startswith(f'[fleet] {name}')
    assert '/PATH' in caught.value.hint
    assert 'secret' not in str(caught.value)


@pytest.mark.parametrize(
    ('name', 'url'),
    [
        ('ledger', 'sqlite://ledger.db'),
        ('ledger', 'sqlite://'),
        ('blobs', 'file://blobs'),
        ('directory', 'file://users.toml'),
    ],
)
def test_a_path_must_be_absolute(name, url):
    with pytest.raises(SettingError, match='not an absolute path') as caught:
        OPENERS[name](url)
    assert ':///PATH' in caught.value.hint


def test_schemes_of_one_port_are_not_those_of_another(tmp_path):
    with pytest.raises(SettingError, match="'file' is not known"):
        adapters.open_ledger(f'file://{tmp_path}/ledger.db')


@pytest.mark.parametrize(
    'target',
    [
        target
        for table in (adapters.LEDGERS, adapters.BLOBS, adapters.DIRECTORIES)
        for target in table.values()
    ],
)
def test_every_adapter_can_be_loaded(target):
    assert callable(adapters._load(target))


def test_a_missing_driver_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(adapters.LEDGERS, 'sqlite', 'no_such_driver:Class')
    with pytest.raises(SettingError, match='no_such_driver') as caught:
        adapters.open_ledger(f'sqlite://{tmp_path}/ledger.db')
    assert 'pip install' in caught.value.hint


def run(code, *arguments):
    result = subprocess.run(
        [sys.executable, '-c', code, *map(str, arguments)],
        check=True,
        capture_output=True,
        text=True,
    )
    return result.stdout.split()


def test_what_is_not_opened_is_not_imported(tmp_path):
    code = """
import sys
from hgext3rd.fleet import adapters
adapters.system_clock()
print('sqlite3' in sys.modules, 'hashlib' in sys.modules)
adapters.open_ledger('sqlite://' + sys.argv[1] + '/ledger.db').close()
print('sqlite3' in sys.modules, 'urllib.parse' in sys.modules)
"""
    assert run(code, tmp_path) == ['False', 'False', 'True', 'False']


def test_opening_under_mercurials_lazy_imports(tmp_path):
    code = """
import sys, types
import hgdemandimport
hgdemandimport.enable()
from hgext3rd.fleet import adapters
adapters.open_ledger('sqlite://' + sys.argv[1] + '/ledger.db').close()
adapters.open_blobs('file://' + sys.argv[1] + '/blobs').put([b'x'])
print(type(sys.modules['sqlite3']) is types.ModuleType)
print(hgdemandimport.isenabled())
"""
    assert run(code, tmp_path) == ['True', 'True']


def test_the_clock():
    clock = adapters.system_clock()
    assert abs(clock.wall() - time.time()) < 60
    with open('/proc/uptime') as file:
        assert abs(clock.boot() - float(file.read().split()[0])) < 60
    assert clock.boot() <= clock.boot()


@pytest.fixture
def bells(tmp_path):
    return tmp_path / 'bells'


@pytest.fixture
def bell(bells):
    with closing(Doorbell(str(bells))) as bell:
        yield bell


def heard(bell):
    start = time.monotonic()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(doorbell, 'HEARING', 60.0)
        bell.listen(60)
    return time.monotonic() - start < 30


def silent(bell):
    start = time.monotonic()
    bell.listen(0.5)
    return time.monotonic() - start >= 0.25


def test_a_ring_is_heard_once(bell, bells):
    assert bell.hang()
    assert bell.hang()
    Doorbell(str(bells)).ring()
    assert heard(bell)
    assert silent(bell)


def test_rings_before_are_forgotten(bell, bells):
    bell.hang()
    for _ in range(3):
        Doorbell(str(bells)).ring()
    bell.hush()
    assert silent(bell)


def test_ones_own_ring_is_not_heard(bell):
    bell.hang()
    bell.ring()
    assert silent(bell)


def test_a_bell_that_nobody_answers_never_blocks_the_ringer(bell, bells):
    bell.hang()
    ringer = Doorbell(str(bells))
    start = time.monotonic()
    for _ in range(2000):
        ringer.ring()
    assert time.monotonic() - start < 60
    assert heard(bell)


def test_a_dead_bell_is_taken_down(bell, bells):
    bell.hang()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(bells / 'dead'))
    (bells / 'README').write_text('not a bell')
    Doorbell(str(bells)).ring()
    assert sorted(os.listdir(bells)) == sorted([bell._name, 'README'])


def test_a_bell_is_hung_again_when_its_folder_was_cleared(bell, bells):
    bell.hang()
    (bells / bell._name).unlink()
    bells.rmdir()
    assert bell.hang()
    Doorbell(str(bells)).ring()
    assert heard(bell)


def test_closing_takes_the_bell_down(bell, bells):
    bell.hang()
    bell.close()
    bell.close()
    assert os.listdir(bells) == []


def test_ringing_where_nobody_ever_waited(bells):
    Doorbell(str(bells)).ring()
    assert not bells.exists()


def test_without_a_bell_one_looks_often(tmp_path):
    (tmp_path / 'file').write_text('')
    bell = Doorbell(str(tmp_path / 'file' / 'bells'))
    assert not bell.hang()
    bell.hush()
    start = time.monotonic()
    bell.listen(30)
    assert time.monotonic() - start < 15
    bell.ring()
    bell.close()


def test_a_waiter_looks_for_itself_once_a_second(bell, monkeypatch):
    monkeypatch.setattr(doorbell, 'HEARING', 0.05)
    bell.hang()
    start = time.monotonic()
    bell.listen(30)
    assert time.monotonic() - start < 15
