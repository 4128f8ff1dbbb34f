"""What a mirror shows: what everybody may read, by the rules of the moment."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from hgext3rd.fleet import settings
from hgext3rd.fleet.core.access import Rules
from hgext3rd.fleet.core.errors import SettingError
from hgext3rd.fleet.webaccess import KEEP, Public
from testlib.mirror import serve, two_repositories
from testlib.wsgi import ask


class Clock:
    """Seconds, which pass when they are told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def rules(path: Path, *lines: str) -> Path:
    path.write_text('\n'.join(['[access]', *lines, '']))
    return path


def test_only_what_everybody_may_read(tmp_path: Path) -> None:
    hgrc = rules(
        tmp_path / 'hgrc',
        'secret/** = @ann:admin, auditors:read',
        'shut =',
        'open/** = @ann:admin, *:read',
        'team/* = staff:read',
        'public = *:write',
    )
    public = Public([bytes(hgrc)])
    seen = {
        name: public(name)
        for name in ('secret/a', 'shut', 'open/a/b', 'team/a', 'public', 'x')
    }
    assert [name for name in seen if seen[name]] == ['open/a/b', 'public']


def test_without_rules_nothing_is_shown(tmp_path: Path) -> None:
    (tmp_path / 'hgrc').write_text('[fleet]\nnode = m1\n')
    assert not Public([bytes(tmp_path / 'hgrc')])('demo')


def test_a_change_counts_also_of_an_included_file(tmp_path: Path) -> None:
    clock = Clock()
    hgrc = tmp_path / 'hgrc'
    hgrc.write_text('%include access.rc\n')
    public = Public([bytes(hgrc)], clock)
    assert not public('demo')
    # It was missing, and appears.
    rules(tmp_path / 'access.rc', '** = *:read')
    clock.seconds += KEEP
    assert public('demo')
    rules(tmp_path / 'access.rc', '** = staff:read, auditors:read')
    assert public('demo'), 'not looked at yet'
    clock.seconds += KEEP
    assert not public('demo')


def test_rules_that_are_wrong_show_nothing(tmp_path: Path) -> None:
    clock = Clock()
    hgrc = rules(tmp_path / 'hgrc', '** = *:read')
    public = Public([bytes(hgrc)], clock)
    assert public('demo')
    rules(hgrc, '** = everybody')
    for _again in range(2):
        clock.seconds += KEEP
        with pytest.raises(SettingError, match="grants 'everybody'"):
            public('demo')
    hgrc.write_text('nonsense\n')
    clock.seconds += KEEP
    with pytest.raises(SettingError, match='cannot be read'):
        public('demo')
    rules(hgrc, '** = *:read', '# mended')
    clock.seconds += KEEP
    assert public('demo')
    with pytest.raises(SettingError):
        Public([bytes(rules(hgrc, '** = x'))])


@pytest.mark.filterwarnings('ignore')
def test_what_is_not_public_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    mirror = two_repositories(tmp_path / 'node')
    app = serve(mirror, public=lambda name: name != 'b')
    assert ask(app, '/a', 'cmd=heads').code == 200
    missing = ask(app, '/nothing', 'cmd=heads')
    for path, query in (
        ('/b', 'cmd=heads'),
        ('/b', 'cmd=capabilities'),
        ('/b/rev/tip', ''),
        ('/b/json-pushes', ''),
        ('/b/static/style.css', ''),
        ('//b', 'cmd=heads'),
        ('/a/../b', 'cmd=heads'),
    ):
        hidden = ask(app, path, query)
        assert (hidden.code, hidden.text) == (404, missing.text), path
    listed = ask(app, '/index.json')
    assert '"a"' in listed.text
    assert '"b"' not in listed.text


def test_what_changes_while_it_is_read_counts_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    hgrc = rules(tmp_path / 'hgrc', '** = *:read')
    understand = settings.rules

    def understand_late(items: Iterable[tuple[bytes, bytes]]) -> Rules:
        found = understand(items)
        rules(hgrc, '** = staff:read')
        return found

    monkeypatch.setattr(settings, 'rules', understand_late)
    public = Public([bytes(hgrc)], clock)
    assert public('demo')
    clock.seconds += KEEP
    assert not public('demo')
