"""Whoever comes while the next server starts waits for it, not for long."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hgext3rd.fleet.adapters import unixsocket
from hgext3rd.warmserver import request
from hgext3rd.warmserver.renewal import OUTDATED
from testlib.warmbare import HG, Bare

HELLO = b'hello\n'
GREETING = b'capabilities: '
# While there is a file "slow" beside it, a server does not get ready; with
# "broken" it ends.  Clients wait for as long as it takes.
_START = """\
import os, time
from hgext3rd.warmserver import server
server.HOLD = {hold}
here = os.path.dirname(__file__)
is_there = lambda name: os.path.exists(os.path.join(here, name))
if 'HGFLEET_SERVER' in os.environ:
    if is_there('broken'):
        os._exit(9)
    while is_there('slow'):
        time.sleep(0.01)
"""


def bare_with(folder: Path, hold: float) -> Bare:
    start = folder / 'start.py'
    start.write_text(_START.format(hold=hold))
    return Bare(folder, f'[extensions]\nstart = {start}\n')


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Bare]:
    with bare_with(tmp_path, 600) as bare:
        yield bare


@pytest.fixture
def hasty(tmp_path: Path) -> Iterator[Bare]:
    with bare_with(tmp_path, 0.2) as bare:
        yield bare


def change(bare: Bare) -> None:
    with bare.hgrc.open('a') as file:
        file.write('[other]\nitem = 1\n')


def master(bare: Bare) -> int:
    assert bare.process is not None
    return bare.process.pid


def is_renewed(bare: Bare) -> bool:
    """Tell whether the master has executed itself anew."""
    environ = Path(f'/proc/{master(bare)}/environ').read_bytes()
    return b'HGFLEET_ESTATE=' in environ


@contextmanager
def asked(bare: Bare) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a session whose client has said all that it says."""
    with bare.begin('rw') as one:
        assert one.stdin is not None
        one.stdin.write(HELLO)
        one.stdin.close()
        one.stdin = None
        yield one


def answered(one: subprocess.Popen[bytes]) -> bool:
    output, _error = one.communicate()
    return one.returncode == 0 and output.count(GREETING) == 1


def outcomes(bare: Bare) -> dict[str, int]:
    counts = bare.status()['counts']
    return {
        name.partition('.')[2]: int(number)
        for name, number in counts.items()
        if name.startswith('outcome.')
    }


def starting(bare: Bare) -> list[int]:
    servers = bare.status()['servers']
    return [one['pid'] for one in servers if one['stage'] == 'starting']


def starts(bare: Bare) -> bool:
    return bool(starting(bare))


def begins(bare: Bare) -> int:
    """Have the next server begin, and take its time; return its process."""
    (bare.folder / 'slow').touch()
    bare.hg('warmserver::reload', hgrc=True)
    bare.until('a start', lambda: starts(bare))
    (pid,) = starting(bare)
    return pid


def test_who_comes_after_a_change_is_served_by_the_next(bare: Bare) -> None:
    (bare.folder / 'slow').touch()
    change(bare)
    with asked(bare) as one, asked(bare) as other:
        bare.until('a start', lambda: starts(bare))
        assert outcomes(bare) == {}
        (bare.folder / 'slow').unlink()
        assert answered(one)
        assert answered(other)
    bare.until('both', lambda: outcomes(bare) == {'served': 2})
    assert bare.status()['handovers'] == 1
    # Only then is the master's own turn.
    bare.until('anew', lambda: is_renewed(bare))
    assert answered(asked(bare).__enter__())
    bare.until('three', lambda: outcomes(bare) == {'served': 3})
    assert bare.stages() == ['serving']


def test_who_has_not_spoken_yet_is_heard_by_the_next(bare: Bare) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as silent:
        unixsocket.connect(silent, bare.path)
        # It has been accepted when this is answered.
        before = bare.status()['servers'][0]['pid']
        bare.hg('warmserver::reload', hgrc=True)
        bare.until('next', lambda: bare.stages() == ['serving'])
        bare.until('other', lambda: bare.status()['handovers'] == 1)
        assert bare.status()['servers'][0]['pid'] != before
        silent.send(request.STATUS)
        assert b'"handovers": 1' in silent.recv(100_000)


def test_where_a_server_was_killed_one_waits_for_another(bare: Bare) -> None:
    (bare.folder / 'slow').touch()
    (one,) = bare.status()['servers']
    os.kill(one['pid'], signal.SIGKILL)
    with asked(bare) as client:
        with pytest.raises(subprocess.TimeoutExpired):
            client.wait(0.5)
        (bare.folder / 'slow').unlink()
        assert answered(client)
    bare.until('served', lambda: outcomes(bare) == {'served': 1})


@pytest.mark.parametrize('name', ['slow', 'broken'])
def test_no_one_waits_for_long(hasty: Bare, name: str) -> None:
    (hasty.folder / name).touch()
    change(hasty)
    with asked(hasty) as one:
        assert answered(one)
    hasty.until('declined', lambda: outcomes(hasty) == {'stale': 1})
    # Nor is anybody held again.
    with asked(hasty) as one:
        assert answered(one)
    hasty.until('declined', lambda: outcomes(hasty) == {'stale': 2})
    (hasty.folder / name).unlink()
    hasty.until('next', lambda: hasty.stages() == ['serving'])
    hasty.until('anew', lambda: is_renewed(hasty))


def test_while_it_is_stopped_no_one_waits(bare: Bare) -> None:
    (bare.folder / 'slow').touch()
    change(bare)
    with asked(bare) as one:
        bare.until('a start', lambda: starts(bare))
        bare.stop()
        assert answered(one)
    assert 'outcome=served' not in (bare.folder / 'log').read_text()


def test_a_start_that_fails_makes_the_master_anew(bare: Bare) -> None:
    """What it started with may be what keeps the next from starting."""
    (bare.folder / 'broken').touch()
    bare.hg('warmserver::reload', hgrc=True)
    bare.until('anew', lambda: is_renewed(bare))
    (bare.folder / 'broken').unlink()
    bare.until('next', lambda: bare.status()['handovers'] == 1)
    with asked(bare) as one:
        assert answered(one)
    bare.until('served', lambda: outcomes(bare) == {'served': 1})


def test_what_starts_when_something_changes_is_not_waited_for(
    bare: Bare,
) -> None:
    first = begins(bare)
    change(bare)
    with asked(bare) as one:
        bare.until('another', lambda: starting(bare) not in ([], [first]))
        (bare.folder / 'slow').unlink()
        assert answered(one)
    bare.until('served', lambda: outcomes(bare) == {'served': 1})
    assert 'that was starting has ended' not in bare.log()


def test_a_start_that_hangs_is_given_up_when_one_says_so(bare: Bare) -> None:
    first = begins(bare)
    bare.hg('warmserver::reload', hgrc=True)
    bare.until('another', lambda: starting(bare) not in ([], [first]))
    (second,) = starting(bare)
    os.kill(master(bare), signal.SIGHUP)
    bare.until('a third', lambda: starting(bare) not in ([], [second]))
    (bare.folder / 'slow').unlink()
    bare.until('next', lambda: bare.stages() == ['serving'])


_SET = """\
import os
os.environ['PATH'] = '/elsewhere'
os.environ['LANG'] = 'C'
"""


def test_extensions_may_change_the_environment(tmp_path: Path) -> None:
    (tmp_path / 'set.py').write_text(_SET)
    with Bare(tmp_path, f'[extensions]\nset = {tmp_path}/set.py\n') as bare:
        assert bare.served('rw', HELLO).output.count(GREETING) == 1
        assert not is_renewed(bare)


def test_one_that_an_older_master_has_started_ends(bare: Bare) -> None:
    """Its environment may not be what sessions are to have."""
    there = {
        **{'HGRCPATH': str(bare.hgrc), 'PATH': '/usr/bin:/bin'},
        'HGFLEET_SERVER': '[0, 0, 0]',
    }
    done = subprocess.run(
        [HG, 'warmserver::serve'], env=there, stdin=subprocess.DEVNULL
    )
    assert done.returncode == OUTDATED


def test_a_socket_that_is_removed_while_it_starts_is_made_again(
    bare: Bare,
) -> None:
    begins(bare)
    os.unlink(bare.path)
    (bare.folder / 'slow').unlink()
    bare.until('again', lambda: os.path.exists(bare.path))
    bare.until('next', lambda: bare.stages() == ['serving'])
    with asked(bare) as one:
        assert answered(one)
    bare.until('served', lambda: outcomes(bare) == {'served': 1})
