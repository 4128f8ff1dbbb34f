"""Searching for words first finds whatever the expressions find."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fleethooks import needles, secrets
from fleethooks.needles import Needles, Text

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
    needs = Needles.of([rule])
    assert lines(needs, text) == [text]
    # Few lines have long runs, and most are left out beforehand.
    assert lines(needs, b'short\n' + text + b'\nshort\n') == [text]


def lines(needs: Needles, data: bytes) -> list[bytes]:
    text = Text(data)
    where = text.dense if needs.dense else text
    return needs.lines(where) if where else []


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
        ('x?y?[.]', {'.'}),
        (r'[a-z]+\.[a-z]+@', {'.'}),
        ('(?:::|=)x', {'::', '='}),
        ('(?:::|a)x', set()),
        (r'(?i:KEY)', {'KEY'}),
    ],
)
def test_words_of_an_expression(pattern: str, words: set[str]) -> None:
    assert needles.words(pattern) == words


def test_case_matters_where_the_expression_says_so() -> None:
    text = b'AC\nac\n'
    found = [
        lines(Needles.of([re.compile('AC', flags)]), text)
        for flags in (0, re.IGNORECASE)
    ]
    assert found == [[b'AC'], [b'AC', b'ac']]
    inline = Needles.of([re.compile('(?i:AC)')])
    assert lines(inline, text) == [b'AC', b'ac']


@pytest.mark.parametrize(
    ('pattern', 'length'),
    [
        ('abc', 3),
        ('[a-c0-9]{4}x', 5),
        ('[a-c]{4}.[a-c]{5}', 5),
        ('(?:ab|[0-9]{3})x', 3),
        ('(?:a b|cd)[0-9]{3}', 3),
        ('(?:abc)?xy', 2),
        ('(?:ab c)?x', 1),
        (r'(?:ab:){2}', 2),
        (r'\b(ab)\b(?!x)(?<=y)c', 3),
        (r'[\w+/\\-]{9,}', 9),
        (r'\d{9}', 9),
        (r'[^ ]{9}', 0),
        (r'\D{9}', 0),
        (r'[\w ]{9}', 0),
        (r'[a-~]{9}', 0),
        ('[à-ü]{9}', 9),
        ('a{3}?b', 1),
        (r'(a)\1{9}', 1),
    ],
)
def test_runs_of_an_expression(pattern: str, length: int) -> None:
    assert needles.longest(pattern) == length


@given(st.text('aB1 _-\xdf\u017f\u212a\n', min_size=1))
def test_lines_with_a_long_run_are_all_found(said: str) -> None:
    rule = re.compile(r'(?i)[a-z\d_-]{20}')
    needs = Needles.of([rule])
    assert needs.dense
    said = said.replace('a', 'abcdefghijk')
    wanted = [line for line in said.split('\n') if rule.search(line)]
    found = [line.decode() for line in lines(needs, said.encode())]
    assert [line for line in found if rule.search(line)] == wanted


def test_a_run_and_words_are_both_needed() -> None:
    needs = Needles.of([re.compile('key: [0-9a-f]{24}')])
    run = b'0123456789abcdef01234567'
    text = b'%s\nkey: 0\nkey: %s\nkey: %s\n' % (run, run[1:], run)
    assert lines(needs, text) == [b'key: ' + run]


def test_every_line_with_a_word_comes_once() -> None:
    needs = Needles.of([re.compile('(?i)ab|cd'), re.compile('cd')])
    text = b'AB cd ab\nx\nCD'
    assert lines(needs, text) == [b'AB cd ab', b'CD']


def test_a_line_needs_all_words_and_length() -> None:
    needs = Needles.of([re.compile('key[ =]+[0-9a-f]{4,}(?:yes|no)')])
    text = b'key = \nkey noo\nkey = 00000 ye\nno key = 0000'
    assert lines(needs, text) == [b'no key = 0000']


def test_without_words_every_line_comes() -> None:
    assert lines(Needles(()), b'a\nb') == [b'a', b'b']


def test_rules_have_words_or_runs() -> None:
    needs = [needs for _detector, needs in secrets.detectors()]
    assert all(one.rules for one in needs)
    assert sum(one.dense for one in needs) >= len(needs) / 2
