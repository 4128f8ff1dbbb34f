"""What a fleet consists of: nodes, ports, parts, and what is remembered."""

from __future__ import annotations

import dataclasses
import importlib
import json
import socket

import pytest

from hgext3rd.fleet.core.errors import SettingError
from hgext3rd.fleetctl import plan, sockets, text, up
from hgext3rd.fleetctl.layout import Layout, recipe
from hgext3rd.fleetctl.plan import Fleet, Node, Record, Tools, Wishes

LAYOUT = Layout('/srv/fleet')
TOOLS = Tools(hg='/v/bin/hg', python='/v/bin/python', sshd='/usr/sbin/sshd')


def fleet(record: Record, env: dict[str, str]) -> Fleet:
    return Fleet(LAYOUT, record, tuple(plan.nodes(record)), TOOLS, env)


def test_what_is_not_asked_for_stays() -> None:
    known = Record(primaries=2, mirrors=3, ssh_port=0, http_port=9000)
    assert plan.settle(Wishes(), known) == known
    wanted = plan.settle(Wishes(mirrors=1, http_port=0), known)
    assert wanted == dataclasses.replace(known, mirrors=1, http_port=0)


@pytest.mark.parametrize(
    'wishes',
    [
        Wishes(mirrors=0),
        Wishes(primaries=0),
        Wishes(mirrors=51),
        Wishes(ssh_port=65530),
        Wishes(http_port=-1),
    ],
)
def test_impossible_wishes_are_refused(wishes: Wishes) -> None:
    with pytest.raises(SettingError, match=r'^--'):
        plan.settle(wishes, Record())


def test_ports_are_counted_up() -> None:
    found = plan.nodes(Record(primaries=2, mirrors=2))
    assert [(one.name, one.role, one.port) for one in found] == [
        ('hg1', 'primary', 8022),
        ('hg2', 'primary', 8023),
        ('web1', 'mirror', 8080),
        ('web2', 'mirror', 8081),
    ]
    assert [one.ssh for one in found[:2]] == ['ssh://fleet/', 'ssh://fleet2/']
    assert found[2].url == 'http://127.0.0.1:8080/'


def test_any_port_prefers_the_last_one() -> None:
    record = Record(ssh_port=0, http_port=0, ports={'hg1': 7, 'web2': 9})
    found = plan.nodes(record)
    assert [(one.port, one.liked) for one in found] == [(0, 7), (0, 0), (0, 9)]


def test_only_primaries_tell_a_load_balancer_how_they_are() -> None:
    ports = {'hg1': 7, 'hg1.ready': 8, 'web1': 9}
    record = Record(primaries=2, mirrors=1, ssh_port=0, ports=ports)
    found = plan.nodes(record)
    assert [(one.ready, one.ready_liked) for one in found] == [
        *((0, 8), (0, 0), (0, 0)),
    ]
    found = plan.nodes(dataclasses.replace(record, ready_port=9022))
    assert [one.ready for one in found] == [9022, 9023, 0]
    placed = [dataclasses.replace(one, port=n) for n, one in enumerate(found)]
    assert plan.ports(placed) == {
        **{'hg1': 0, 'hg1.ready': 9022, 'hg2': 1, 'hg2.ready': 9023},
        **{'web1': 2},
    }


def test_every_primary_gets_a_port_for_that() -> None:
    record = Record(primaries=2, mirrors=1, ssh_port=0, http_port=0)
    given = up.assign(plan.nodes(record))
    ports = list(plan.ports(given).values())
    assert len(set(ports)) == len(ports) == 5
    assert all(ports)
    (first, *_rest) = given
    said = text.hgrc(LAYOUT, first, '/x/primary.rc')
    assert f'ready = 127.0.0.1:{first.ready}\n' in said
    assert f'sshd = 127.0.0.1:{first.port}\n' in said
    assert 'ready' not in text.hgrc(LAYOUT, given[2], '/x/mirror.rc')
    clash = dataclasses.replace(record, ssh_port=9022, ready_port=9023)
    with pytest.raises(SettingError, match='port 9023 is wanted for hg1'):
        up.assign(plan.nodes(clash))


def test_the_record_round_trips() -> None:
    record = Record(2, 3, 0, 9000, {'hg1': 12345}, True, 9022)
    data = plan.encode(record)
    assert plan.decode(data) == record
    # What was written before there was such a port.
    older = json.loads(data)
    del older['ready_port']
    known = dataclasses.replace(record, ready_port=0)
    assert plan.decode(json.dumps(older).encode()) == known


@pytest.mark.parametrize('data', [b'', b'[]', b'{}', b'{"primaries": "x"}'])
def test_a_damaged_record_is_refused(data: bytes) -> None:
    with pytest.raises(SettingError, match='cannot be read'):
        plan.decode(data)


def test_parts_are_configured_by_their_node_alone() -> None:
    outer = {
        **{'PATH': '/bin', 'HGRCPATH': '/home/me/.hgrc', 'HGUSER': 'me'},
        **{'GUNICORN_CMD_ARGS': '--reload', 'SSH_AUTH_SOCK': '/x'},
        **{'HGFLEET_X': '1'},
    }
    env = plan.environment(outer)
    assert env == {
        **{'PATH': '/bin', 'HGFLEET_X': '1'},
        **{'HGPLAIN': '1', 'HGENCODING': 'utf-8'},
    }
    made = plan.parts(fleet(Record(mirrors=1), env), LAYOUT.ledger)
    assert [one.name for one in made] == [
        *('hg1.daemon', 'hg1.warm', 'hg1.sshd', 'web1.daemon', 'web1.web'),
    ]
    configured = {one.name: one.env.get('HGRCPATH') for one in made}
    assert configured == {
        'hg1.daemon': '/srv/fleet/nodes/hg1/hgrc',
        'hg1.warm': '/srv/fleet/nodes/hg1/hgrc',
        'hg1.sshd': None,
        'web1.daemon': '/srv/fleet/nodes/web1/hgrc',
        'web1.web': '/srv/fleet/nodes/web1/hgrc',
    }
    assert all(one.argv[0].startswith('/') for one in made)


def test_a_ledger_elsewhere_is_kept_connected_where_pushes_come() -> None:
    some = fleet(Record(primaries=2, mirrors=1), {})
    made = plan.parts(some, 'kafka://broker/fleet')
    kept = [one for one in made if one.kind == plan.LEDGER]
    assert [(one.name, one.node) for one in kept] == [
        ('hg1.ledger', 'hg1'),
        ('hg2.ledger', 'hg2'),
    ]
    assert {one.argv for one in kept} == {('/v/bin/hg', 'replicate::relay')}
    assert kept[0].env == {'HGRCPATH': '/srv/fleet/nodes/hg1/hgrc'}
    names = [one.name for one in made]
    # It is there before the first push can come.
    assert names.index('hg1.ledger') < names.index('hg1.sshd')


@pytest.mark.parametrize(
    'root', ['relative', '/with space', '/quo"te', "/it's", '/a%20', '/ä', '']
)
def test_folders_that_need_quoting_are_refused(root: str) -> None:
    with pytest.raises(SettingError, match='cannot hold a fleet'):
        Layout(root)


@pytest.mark.parametrize('name', ['primary.rc', 'mirror.rc'])
def test_recipes_are_found(name: str) -> None:
    with open(recipe(name)) as file:
        assert 'replicate:required' in file.read()


def test_a_missing_recipe_is_told() -> None:
    with pytest.raises(SettingError, match=r'nothing\.rc'):
        recipe('nothing.rc')


def test_the_hgrc_of_a_node() -> None:
    node = Node('web1', 'mirror', '', 8080)
    lines = text.hgrc(LAYOUT, node, '/r/mirror.rc').split('\n')
    assert '%include /r/mirror.rc' in lines
    assert 'root = /srv/fleet/nodes/web1/repos' in lines
    assert 'ledger = sqlite:///srv/fleet/ledger.db' in lines
    assert 'url = http://127.0.0.1:8080/' in lines
    # The operator has the last word.
    assert lines[-2] == '%include /srv/fleet/local.rc'


def test_the_lines_to_copy() -> None:
    said = text.ready(fleet(Record(), {}), '/v/bin/hg', 'hgfleet')
    assert said == [
        'ready: 1 primary, 2 mirrors in /srv/fleet',
        '',
        '  /v/bin/hg clone http://127.0.0.1:8080/demo',
        '  date > demo/date.txt',
        '  /v/bin/hg -R demo commit --addremove --user you --message "try it"',
        '  /v/bin/hg -R demo push --ssh "ssh -F /srv/fleet/client/ssh_config" '
        'ssh://fleet/demo',
        '  hgfleet status --data /srv/fleet',
    ]


def test_a_taken_port_is_refused_by_name() -> None:
    port = sockets.choose(())
    with socket.create_server((sockets.ADDRESS, port)):
        node = Node('web2', 'mirror', '', port)
        with pytest.raises(SettingError, match=f'port {port}, for web2') as e:
            up.assign([node])
        assert '--http-port' in e.value.hint
    assert up.assign([node]) == [node]


def test_ranges_that_meet_are_refused() -> None:
    port = sockets.choose(())
    one, other = Node('hg1', 'primary', '', port), Node('web1', '', '', port)
    with pytest.raises(SettingError, match='wanted for'):
        up.assign([one, other])


def test_a_liked_port_is_taken_when_free() -> None:
    liked = sockets.choose(())
    node = Node('web1', 'mirror', '', 0, liked)
    assert up.assign([node])[0].port == liked
    with socket.create_server((sockets.ADDRESS, liked)):
        other = up.assign([node])[0].port
    assert other not in (0, liked)


def test_any_ports_differ() -> None:
    some = [Node(f'web{n}', 'mirror', '', 0) for n in range(9)]
    ports = {one.port for one in up.assign(some)}
    assert len(ports) == 9


def test_a_hundred_changesets_fit_into_a_request() -> None:
    said: dict[str, object] = {}
    exec(text.gunicorn(Node('web1', 'mirror', '', 8080), '127.0.0.1'), said)
    known = importlib.import_module('gunicorn.config').Config()
    for name in said.keys() - {'__builtins__'}:
        known.set(name, said[name])
    query = '&'.join(f'changeset={"f" * 40}' for _ in range(100))
    assert known.limit_request_line > len(
        f'GET /a/json-pushes?{query} HTTP/1.1'
    )
