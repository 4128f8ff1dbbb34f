"""Searching for words first finds whatever the expressions find."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fleethooks import needles, secrets
from fleethooks.needles import Needles

RULES = [
    rule
    for detector, _needs in secrets.detectors()
    for rule in detector.denylist
]


@pytest.mark.parametrize('rule', RULES, ids=lambda rule: rule.pattern[:30])
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_a_line_that_matches_has_a_word(
    rule: re.Pattern[str], data: st.DataObject
) -> None:
    text = data.draw(st.from_regex(rule)).encode('utf-8', 'replace')
    assume(b'\n' not in text)
    assert list(Needles.of([rule]).lines(text, text.lower())) == [text]


@pytest.mark.parametrize(
    ('pattern', 'words'),
    [
        ('abc', {'abc'}),
        ('ABC[0-9]+de', {'ABC'}),
        ('(?:ab|cde)x', {'ab', 'cde'}),
        ('(?:ab|[0-9])x', set()),
        ('(?:abc)?xy', {'xy'}),
        ('(?:abc)*', set()),
        ('(abc){2}', {'abc'}),
        ('x', set()),
        (r'(?i:KEY)', {'KEY'}),
    ],
)
def test_words_of_an_expression(pattern: str, words: set[str]) -> None:
    assert needles.words(pattern) == words


def test_case_matters_where_the_expression_says_so() -> None:
    text = b'AC\nac\n'
    found = [
        list(Needles.of([re.compile('AC', flags)]).lines(text, text.lower()))
        for flags in (0, re.IGNORECASE)
    ]
    assert found == [[b'AC'], [b'AC', b'ac']]
    inline = Needles.of([re.compile('(?i:AC)')])
    assert list(inline.lines(text, text.lower())) == [b'AC', b'ac']


@pytest.mark.parametrize(
    ('pattern', 'free'),
    [
        ('[ab]c', True),
        ('[ab]$', False),
        ('^[ab]', False),
        (r'\b[ab]', False),
        ('(?<![ab])[cd]', False),
        ('(?![ab])[cd]', False),
        ('(?:[ab])', True),
    ],
)
def test_free_is_what_needs_no_ends(pattern: str, free: bool) -> None:
    assert Needles.of([re.compile(pattern)]).free is free


def test_every_line_with_a_word_comes_once() -> None:
    needs = Needles.of([re.compile('(?i)ab|cd'), re.compile('cd')])
    text = b'AB cd ab\nx\nCD'
    assert list(needs.lines(text, text.lower())) == [b'AB cd ab', b'CD']


def test_a_line_needs_all_words_and_length() -> None:
    needs = Needles.of([re.compile('key[ =]+[0-9a-f]{4,}(?:yes|no)')])
    text = b'key = \nkey noo\nkey = 00000 ye\nno key = 0000'
    assert list(needs.lines(text, text)) == [b'no key = 0000']


def test_without_words_every_line_comes() -> None:
    assert list(Needles(()).lines(b'a\nb', b'a\nb')) == [b'a', b'b']


def test_most_rules_have_words() -> None:
    found = [needs for _detector, needs in secrets.detectors() if needs.rules]
    assert len(found) >= 0.8 * len(secrets.detectors())
