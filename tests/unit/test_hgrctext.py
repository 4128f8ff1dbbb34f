"""One item of an hgrc is changed, as Mercurial itself reads it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mercurial import config, error

from hgext3rd.fleet.core import hgrctext

LINES = st.sampled_from(
    [
        *('[web]', '[phases]', '[web] ; x', '[checks.paths]'),
        *('description = x', 'description=', 'description', 'publish = no'),
        *('  more', '\tmore', '', '  ', '# description = y', ';[web]'),
        *('%unset description', 'a = 1', 'descriptions = z', ' [web]'),
    ]
)
TEXTS = st.lists(LINES, max_size=12).map('\n'.join)
VALUES = st.sampled_from(['yes', 'no', 'a = b', '# c', '[x]', '%include y'])


def read(text: str) -> dict[tuple[str, str], str]:
    found = config.config()
    found.parse(b'hgrc', text.encode())
    return {
        (section.decode(), item.decode()): value.decode()
        for section in found
        for item, value in found.items(section)
    }


@given(TEXTS, st.booleans(), VALUES)
def test_one_item_changes_and_nothing_else(
    text: str, ended: bool, value: str
) -> None:
    text += '\n' * ended
    try:
        before = read(text)
    except error.ConfigError:
        return  # a repository cannot have such an hgrc
    after = read(hgrctext.put(text, 'web', 'description', value))
    assert after.pop(('web', 'description')) == value
    before.pop(('web', 'description'), None)
    assert after == before


@pytest.mark.parametrize(
    ('text', 'new'),
    [
        ('', '[web]\ndescription = x\n'),
        ('# mine\n[web]\n', '# mine\n[web]\ndescription = x\n'),
        (
            '[web]\ndescription = a\n  b\nallow = c\n[phases]\n',
            '[web]\ndescription = x\nallow = c\n[phases]\n',
        ),
        (
            '[phases]\npublish = no',
            '[phases]\npublish = no\n[web]\ndescription = x\n',
        ),
    ],
)
def test_the_rest_stays_as_it_is(text: str, new: str) -> None:
    assert hgrctext.put(text, 'web', 'description', 'x') == new
