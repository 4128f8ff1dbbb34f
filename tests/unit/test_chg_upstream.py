"""Mercurial's own tests, with its chg, against the server of warmserver.

A marker that each request leaves behind shows that it is this server that
has served, and Mercurial's own has not.  A control shows that a server that
does not compare hashes would fail.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import pytest

from testlib import chg

OURS = 'hgext3rd.warmserver.chg.session'
WIDER = (
    *('test-ssh*.t', 'test-push*.t', 'test-hook.t', 'test-acl.t'),
    *('test-serve.t', 'test-bundle2-exchange.t'),
)

_MARKER = """\
import sys
from mercurial import chgserver

def extsetup(ui):
    if 'chgunix' not in sys.argv:
        return
    server = chgserver.chgcmdserver
    real = server.runcommand

    def runcommand(self):
        with open('MARKS', 'a') as file:
            file.write(type(self).__module__ + '\\n')
        return real(self)

    server.runcommand = runcommand
    server.capabilities[b'runcommand'] = runcommand
"""

_ASKED = """\
  chg: debug: * instruction: unlink $TESTTMP/extreload/chgsock/server-* (glob)
  chg: debug: * instruction: reconnect (glob)
  chg: debug: * start cmdserver at $TESTTMP/extreload/chgsock/server.* (glob)
"""


@pytest.fixture(scope='module', autouse=True)
def source() -> Iterator[Path]:
    try:
        yield chg.source()
    except chg.Missing as reason:
        pytest.skip(str(reason))


@dataclass(frozen=True)
class Marked:
    """What the runner said, and the modules of those that served."""

    outcome: chg.Outcome
    served: list[str]


def run(folder: Path, tests: list[str], *options: str, jobs: int = 1) -> Marked:
    marks = folder / 'marks'
    marks.touch()
    marker = folder / 'marker.py'
    marker.write_text(_MARKER.replace('MARKS', str(marks)))
    given = ('extensions.warmserver=', f'extensions.marker={marker}', *options)
    extra = [word for one in given for word in ('--extra-config-opt', one)]
    if 'chgserver.skiphash=1' in options:
        extra.append('--nodiff')
    outcome = chg.run(folder, tests, *extra, jobs=jobs)
    return Marked(outcome, marks.read_text().split())


def copy(folder: Path, script: str) -> str:
    """Make a changed test-chg.t; what it prints never has its own folder."""
    changed = folder / 'changed' / 'test-chg.t'
    changed.parent.mkdir()
    changed.write_text(script)
    return str(changed)


def test_chg_as_it_stands(tmp_path: Path) -> None:
    """Clients start servers, as this script has it."""
    found = run(tmp_path, ['test-chg.t'], 'warmserver.chg-in-place=no')
    assert found.outcome.passed, found.outcome.said
    assert len(found.served) > 40
    assert set(found.served) == {OURS}


def test_chg_with_servers_in_place(source: Path, tmp_path: Path) -> None:
    """The one difference: a client whose server is old is told nothing."""
    script = (source / 'tests' / 'test-chg.t').read_text()
    assert script.count(_ASKED) == 1
    changed = script.replace(_ASKED, '  [1]\n')
    found = run(tmp_path, [copy(tmp_path, changed)])
    assert found.outcome.passed, found.outcome.said
    assert set(found.served) == {OURS}


def test_chg_without_comparing(source: Path, tmp_path: Path) -> None:
    """The control: without hashes, which is Mercurial's own way, it fails.

    The end of the script is left out, as it waits for much that never comes.
    """
    script = (source / 'tests' / 'test-chg.t').read_text()
    start, line, _rest = script.partition('server lifecycle\n')
    assert line
    changed = copy(tmp_path, start)
    found = run(tmp_path, [changed], 'chgserver.skiphash=1')
    assert not found.outcome.passed
    assert re.search('test-chg.t: output changed', found.outcome.said)
    assert OURS not in found.served


def test_sessions_and_pushes(source: Path, tmp_path: Path) -> None:
    """Every hg is chg, the remote ones of SSH sessions too."""
    names = sorted(path.name for path in (source / 'tests').glob('test-*.t'))
    chosen = [
        name for name in names if any(fnmatch(name, one) for one in WIDER)
    ]
    found = run(tmp_path, chosen, jobs=2)
    assert found.outcome.passed, found.outcome.said
    last = re.search(r'# Ran (\d+) tests', found.outcome.said)
    assert last
    assert int(last[1]) >= 40
    assert len(found.served) > 1000
    assert set(found.served) == {OURS}
