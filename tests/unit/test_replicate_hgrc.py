"""An hgrc that comes through the ledger runs no code, whoever put it there."""

from __future__ import annotations

from pathlib import Path

import pytest

from hgext3rd.fleet.core.entry import Kind
from hgext3rd.fleet.core.errors import SettingError
from hgext3rd.replicate import changes, repohgrc
from hgext3rd.replicate.follow import catch_up_patiently
from hgext3rd.replicate.node import Hosted
from hgext3rd.replicate.opening import open_repository
from hgext3rd.replicate.publish import publish
from testlib.hgrepo import commit, create, make_node

ALLOWED = '[phases]\npublish = no\n[readonly]\nreason = it is being moved\n'


def put(hosted: Hosted, kind: Kind, text: str) -> None:
    """Put an hgrc into the ledger that nothing has looked at."""
    state = catch_up_patiently(hosted).state
    entry = changes._entry(hosted.node.ui, hosted, kind, state, text)
    publish(hosted, state, entry)
    catch_up_patiently(hosted)


@pytest.mark.parametrize('kind', [Kind.CREATE, Kind.CONFIG])
@pytest.mark.parametrize(
    'text',
    [
        '[hooks]\npretxnopen.x = touch {0}\n',
        '[extensions]\nx = {0}\n',
        '[web]\ndescription = x\n[ui]\nssh = touch {0}\n',
        '%include {0}\n',
        '[checks]\npolicy.x = {0}\n',
        '[readonly\n',
    ],
)
def test_what_may_not_be_said_is_left_out(
    kind: Kind, text: str, tmp_path: Path
) -> None:
    ran = tmp_path / 'ran'
    node = make_node(tmp_path)
    if kind is Kind.CONFIG:
        hosted = create(node)
        put(hosted, Kind.CONFIG, ALLOWED)
    else:
        hosted = node.hosted('poisoned')
    put(hosted, kind, text.format(ran))
    assert not Path(hosted.path, '.hg', 'hgrc').exists()
    commit(open_repository(hosted), b'1')
    assert not ran.exists()
    assert hosted.refused() is None


def test_what_may_be_said_is_kept(tmp_path: Path) -> None:
    hosted = create(make_node(tmp_path))
    put(hosted, Kind.CONFIG, ALLOWED)
    assert changes.hgrc(hosted.path) == ALLOWED


@pytest.mark.parametrize('item', ['all = yes', 'all-file = /x'])
def test_no_repository_speaks_for_all(item: str) -> None:
    with pytest.raises(SettingError, match=r'may not set readonly\.all'):
        repohgrc.check('hgrc', f'[readonly]\n{item}\n')


@pytest.mark.parametrize(
    ('section', 'item'),
    [
        ('web', 'static = /etc'),
        ('web', 'templates = /tmp'),
        ('web', 'errorlog = /srv/log'),
        ('server', 'validate = no'),
        ('experimental', 'server.allow-hidden-access = *'),
    ],
)
def test_no_repository_opens_what_is_around_it(section: str, item: str) -> None:
    with pytest.raises(SettingError, match=rf'may not set {section}\.'):
        repohgrc.check('hgrc', f'[{section}]\n{item}\n')
