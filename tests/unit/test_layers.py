"""Each rule of layout can fail; test-check-layout.t applies them all."""

from __future__ import annotations

import pytest

from testlib.layout import Source, check, sources

BREACHES = [
    ('hgext/x/__init__.py', 'testedwith = b""', 'no module docstring'),
    ('hooks/x.py', 'import os\n"""late"""', 'no module docstring'),
    ('pash/x.py', '"""x"""\n' * 501, '501 lines'),
    ('pash/x.py', '"""x"""\ndef f():' + '\n  1' * 60, 'f has 61 lines'),
    ('hooks/util.py', '"""x"""', 'says util'),
    ('hooks/x.py', '"""x"""\nclass KeyManager: pass', 'says manager'),
    ('hooks/x.py', '"""x"""\ndef push_helper(): pass', 'says helper'),
    ('hgext/__init__.py', '"""x"""', 'hide the extensions'),
    ('hgext/x/__init__.py', '"""x"""\nbuglink = b""', 'declare testedwith'),
    ('hgext/x/y.py', '"""x"""\nutil.versiontuple()', 'only compat.py'),
    ('hgext/fleet/core/x.py', '"""x"""\nimport os', 'core imports os'),
    ('hgext/fleet/core/x.py', '"""x"""\nfrom time import time', 'time'),
    ('hgext/fleet/core/x.py', '"""x"""\nfrom .. import ports', 'to ports'),
    ('hgext/fleet/core/x.py', '"""x"""\nfrom ..ports import A', 'to ports'),
    ('hgext/fleet/ports.py', '"""x"""\nfrom . import web', 'to edge'),
    (
        'hgext/fleet/ports.py',
        '"""x"""\nclass P:' + '\n  def f(self): pass' * 7,
        'P has 7 methods',
    ),
    (
        'hgext/fleet/adapters/x.py',
        '"""x"""\nfrom mercurial import error',
        'only the edge',
    ),
    (
        'hgext/fleet/adapters/__init__.py',
        '"""x"""\ndef f():\n  from ..settings import S',
        'to edge',
    ),
    (
        'hgext/fleet/adapters/x.py',
        '"""x"""\nimport hgext3rd.pushlog.store',
        'to edge',
    ),
    ('hgext/fleet/adapters/x.py', '"""x"""\nimport fleetpash', 'to edge'),
    ('hgext/fleet/__init__.py', '"""x"""\nimport os', 'imports nothing'),
]

ALLOWED = [
    ('hgext/fleet/core/x.py', 'from . import errors\nimport json'),
    ('hgext/fleet/ports.py', 'from .core.entry import Entry\nimport io'),
    ('hgext/fleet/adapters/x.py', 'from .. import meta, ports\nimport os'),
    ('hgext/x/y.py', 'from ..fleet import adapters\nimport mercurial'),
    ('hooks/x.py', 'from hgext3rd.fleet.core import access'),
]


@pytest.mark.parametrize(('path', 'text', 'message'), BREACHES)
def test_a_breach_is_found(path: str, text: str, message: str) -> None:
    assert any(message in line for line in check(Source(path, text)))


@pytest.mark.parametrize(('path', 'text'), ALLOWED)
def test_what_is_allowed_passes(path: str, text: str) -> None:
    assert check(Source(path, f'"""x"""\n{text}')) == []


def test_the_whole_tree_is_looked_at() -> None:
    found = [source.path for source in sources()]
    assert {'setup.py', 'hgext/fleet/meta.py', 'tests/run'} <= set(found)
    assert len(found) == len(set(found))
    assert not [path for path in found if path.startswith('tests/names/')]
