"""Status: from facts to the document, the tables, and the complaints."""

from __future__ import annotations

import dataclasses
from typing import Any

from hgext3rd.fleet.core.applied import Applied
from hgext3rd.fleet.core.ledger import RepoState
from hgext3rd.fleetctl import status
from hgext3rd.fleetctl.facts import Checks, Facts, NodeFacts, Push, RepoFacts
from hgext3rd.fleetctl.plan import Node
from hgext3rd.fleetctl.process import Process
from hgext3rd.fleetctl.running import Seen

WEB = NodeFacts(
    Node('web1', 'mirror', '', 8080),
    applied={0: 3, 1: 4},
    shown=None,
    lease=4.25,
    lag_seconds=1.5,
    serving=True,
    parts=(
        Seen('web1.daemon', 'web1', 'daemon', 'running', Process(7, 1), 1, 9.0),
        Seen('web1.web', 'web1', 'web', 'running', Process(8, 1), 2, 9.0, -9),
    ),
)
HG = NodeFacts(
    Node('hg1', 'primary', 'fleet', 8022),
    applied={0: 5, 1: 4},
    shown=None,
    lease=None,
    lag_seconds=0.0,
    serving=True,
)
REPO = RepoFacts('demo', Applied(RepoState(seq=6)), 2, 1, Push(86400.5, 'ann'))
CHECKS = Checks(86400.5, None, {'demo': 'demo: bad'}, ('/broken/demo.1',))
FACTS = Facts(True, {0: 5, 1: 4}, (HG, WEB), (REPO,))


def test_the_keys_that_are_promised() -> None:
    sick = dataclasses.replace(WEB, checks=CHECKS)
    said = status.document(dataclasses.replace(FACTS, nodes=(HG, sick)))
    assert 'web1 cannot follow demo (bad)' in status.complaints(said)
    assert list(said) == ['up', 'unread', 'nodes', 'repos']
    assert said['nodes'][1] == {
        'name': 'web1',
        'role': 'mirror',
        'url': 'http://127.0.0.1:8080/',
        'ssh': '',
        'offset': 7,
        'lag_entries': 2,
        'lag_seconds': 1.5,
        'lease': 4.25,
        'serving': True,
        'pid': 7,
        'restarts': 3,
        'quarantined': [],
        'fenced': False,
        'compared': '1970-01-02T00:00:00Z',
        'verified': None,
        'reasons': {'demo': 'demo: bad'},
        'kept': ['/broken/demo.1'],
        'parts': [
            {
                **{'name': 'web1.daemon', 'kind': 'daemon', 'pid': 7},
                **{'state': 'running', 'restarts': 1, 'since': 9.0},
                'exit': None,
            },
            {
                **{'name': 'web1.web', 'kind': 'web', 'pid': 8},
                **{'state': 'running', 'restarts': 2, 'since': 9.0},
                'exit': -9,
            },
        ],
    }
    assert said['nodes'][0]['lease'] is None
    assert said['nodes'][0]['ssh'] == 'ssh://fleet/'
    assert said['repos'] == [
        {
            **{'name': 'demo', 'seq': 6, 'heads': 2, 'visible_heads': 1},
            **{'last_push': '1970-01-02T00:00:00Z', 'last_user': 'ann'},
        }
    ]


def test_nothing_runs_when_the_supervisor_does_not() -> None:
    said = status.document(dataclasses.replace(FACTS, up=False))
    assert said['nodes'][1]['pid'] is None
    assert [one['state'] for one in said['nodes'][1]['parts']] == [
        *('stopped', 'stopped'),
    ]
    assert status.complaints(said) == ['the fleet is not up']


def complaints(**changes: Any) -> list[str]:
    node = dataclasses.replace(WEB, **changes)
    facts = dataclasses.replace(FACTS, nodes=(HG, node))
    return status.complaints(status.document(facts))


def test_complaints() -> None:
    assert complaints() == []
    assert complaints(serving=False) == ['web1 does not serve']
    assert complaints(quarantined=('a/b',)) == ['web1 cannot follow a/b']
    ended = dataclasses.replace(WEB.parts[1], process=None, state='backing off')
    assert complaints(parts=(ended,)) == ['web1.web is backing off']


def test_without_the_ledger_there_is_what_nodes_know() -> None:
    node = dataclasses.replace(WEB, lag_seconds=None, fenced=None)
    facts = Facts(True, {}, (node,), (REPO,), 'cannot connect')
    said = status.document(facts)
    (one,) = said['nodes']
    lags = one['lag_entries'], one['lag_seconds']
    assert (*lags, one['fenced'], one['offset']) == (None, None, None, 7)
    assert status.complaints(said) == ['the ledger: cannot connect']
    lines = status.tables(said)
    assert lines[1].split()[:5] == ['web1', 'mirror', 'yes', '7', '-']
    assert lines[-1] == 'attention: the ledger: cannot connect'
    said['up'] = False
    assert status.complaints(said)[1:] == ['the ledger: cannot connect']


def test_tables_are_aligned() -> None:
    lines = status.tables(status.document(FACTS))
    assert lines == [
        'node  role     serves  offset  lag        lease  where',
        'hg1   primary  yes     9       0          -      ssh://fleet/',
        'web1  mirror   yes     7       2 (1.5 s)  4.2 s  '
        'http://127.0.0.1:8080/',
        '',
        'part         state    pid  restarts',
        'web1.daemon  running  7    1',
        'web1.web     running  8    2',
        '',
        'repository  seq  heads  visible  last push             by',
        'demo        6    2      1        1970-01-02T00:00:00Z  ann',
    ]
