"""Searching for words first finds whatever the expressions find."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleethooks import needles, secrets
from fleethooks.needles import Needles

RULES = [
    rule.pattern
    for detector, _needs in secrets.detectors()
    for rule in detector.denylist
]


@pytest.mark.parametrize('pattern', RULES)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_a_line_that_matches_has_a_word(
    pattern: str, data: st.DataObject
) -> None:
    flags = re.IGNORECASE if data.draw(st.booleans()) else 0
    line = data.draw(st.from_regex(re.compile(pattern, flags))).encode()
    needs = Needles.of([pattern])
    if needs.words:
        assert any(word in line.lower() for word in needs.words)


@pytest.mark.parametrize(
    ('pattern', 'words'),
    [
        ('abc', {'abc'}),
        ('ABC[0-9]+de', {'abc'}),
        ('(?:ab|cde)x', {'ab', 'cde'}),
        ('(?:ab|[0-9])x', set()),
        ('(?:abc)?xy', {'xy'}),
        ('(?:abc)*', set()),
        ('(abc){2}', {'abc'}),
        ('x', set()),
        (r'(?i:KEY)', {'key'}),
    ],
)
def test_words_of_an_expression(pattern: str, words: set[str]) -> None:
    assert needles.words(pattern) == words


def test_every_line_with_a_word_comes_once() -> None:
    needs = Needles(frozenset({b'ab', b'c'}))
    text = b'AB c\nx\nC'
    assert list(needs.lines(text, text.lower())) == [b'AB c', b'C']


def test_without_words_every_line_comes() -> None:
    assert list(Needles(frozenset()).lines(b'a\nb', b'a\nb')) == [b'a', b'b']


def test_most_rules_have_words() -> None:
    found = [needs for _detector, needs in secrets.detectors() if needs.words]
    assert len(found) >= 0.8 * len(secrets.detectors())
