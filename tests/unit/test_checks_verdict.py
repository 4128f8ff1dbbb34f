"""What checks have found, in words; what may be bypassed; who has failed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgext3rd.fleet.core.checks import (
    Appointed,
    Change,
    Failure,
    Finding,
    Judge,
    Mode,
    globs,
    human,
    run,
)
from hgext3rd.fleet.core.errors import Denied, LedgerUnavailable, SettingError
from hgext3rd.fleet.core.verdict import (
    Wish,
    grant,
    holds,
    report,
    shown,
    weigh,
    wish,
)
from testlib import judged

POLICIES = ('heads', 'sizes')


def finding(
    policy: str = 'sizes', mode: Mode = Mode.ENFORCE, broken: bool = False
) -> Finding:
    failure = Failure('it is large', 'make it small', 'c' * 40, 'a')
    return Finding(policy, mode, failure, broken)


def test_a_wish_is_read() -> None:
    assert wish({}, POLICIES) == Wish()
    assert wish({'CHECK_ONLY': '1'}, POLICIES) == Wish(only=True)
    both = {'CHECK_ONLY': '1', 'BYPASS': 'heads, sizes: a: b '}
    meant = Wish(True, frozenset(POLICIES), 'a: b')
    assert wish(both, POLICIES) == meant
    assert wish({'DEBUG': '1'}, POLICIES, ['DEBUG']) == Wish()


@pytest.mark.parametrize(
    ('variables', 'words'),
    [
        ({'CHECK_ONLY': ''}, 'CHECK_ONLY is not 1'),
        ({'DEBUG': '1'}, 'the push variable DEBUG is not known here'),
        ({'BYPASS': 'sizes:'}, 'a bypass needs a reason'),
        ({'BYPASS': 'sizes'}, 'a bypass needs a reason'),
        ({'BYPASS': 'sizes:' + 'x' * 501}, 'a bypass needs a reason'),
        (
            {'BYPASS': ':x'},
            'there is no check  that could be bypassed here',
        ),
        (
            {'BYPASS': 'all:x'},
            'there is no check all that could be bypassed here',
        ),
    ],
)
def test_a_wish_that_is_refused(variables: dict[str, str], words: str) -> None:
    with pytest.raises(Denied) as caught:
        wish(variables, POLICIES)
    assert str(caught.value) == words


@given(st.dictionaries(st.text(), st.text()))
def test_no_variable_is_passed_over(variables: dict[str, str]) -> None:
    try:
        read = wish(variables, POLICIES)
    except Denied:
        return
    assert variables.keys() <= {'CHECK_ONLY', 'BYPASS'}
    assert read.only == ('CHECK_ONLY' in variables)
    assert bool(read.bypass) == ('BYPASS' in variables)


def test_a_right_is_held() -> None:
    some = grant('sizes', ' staff , @zoe,')
    assert some == ('staff', '@zoe')
    assert holds(some, 'zoe', ())
    assert holds(some, 'ann', {'staff'})
    assert not holds(some, 'ann', {'zoe', '@zoe'})
    assert not holds((), 'ann', {'staff'})
    assert holds(('*',), 'ann', ())


@pytest.mark.parametrize('text', ['@', 'a b', '@a b', '!x', '**'])
def test_a_right_that_nobody_can_hold(text: str) -> None:
    with pytest.raises(SettingError):
        grant('sizes', text)


def test_what_becomes_of_findings() -> None:
    warned = finding('encodings', Mode.WARN)
    broken = finding('dates', Mode.WARN, broken=True)
    passed = finding('heads')
    refused = finding()
    said = weigh([warned, broken, passed, refused], {'heads'})
    assert said.warned == (warned,)
    assert said.bypassed == (passed,)
    assert said.refused == (broken, refused)


def test_the_report() -> None:
    findings = [finding(), finding(), finding(), finding('heads', Mode.WARN)]
    lines = report(weigh(findings, ()), {'sizes': ('staff', '*')}, 2)
    assert lines == [
        'check heads warns:',
        '  cccccccccccc a: it is large',
        '  remedy: make it small',
        'check sizes refuses this push:',
        '  cccccccccccc a: it is large',
        '  cccccccccccc a: it is large',
        '  ... and 1 more',
        '  remedy: make it small',
        '  bypass: staff, everybody, with --pushvars "BYPASS=sizes:REASON"',
    ]


@given(st.text())
def test_nothing_that_is_shown_moves_the_cursor(text: str) -> None:
    said = shown(text)
    assert said.isprintable()


def test_ordinary_text_is_shown_as_it_is() -> None:
    assert shown('grün 日本 x-1') == 'grün 日本 x-1'
    assert shown('a\x1b[2J\n\u202e\udcff') == 'a\\x1b[2J\\x0a\\u202e\\xff'


def test_a_judge_that_raises_refuses_and_is_not_asked_again() -> None:
    asked: list[str] = []
    kept: list[str] = []

    def bad(change: Change) -> Iterator[Failure]:
        asked.append(change.node)
        yield Failure('one', 'x')
        raise KeyError('two')

    def down() -> Iterator[Failure]:
        raise LedgerUnavailable('it is down', 'wait')

    push = judged.Push([judged.Change(), judged.Change()])
    found = run(
        [
            Appointed('bad', Mode.WARN, Judge(change=bad)),
            Appointed('down', Mode.WARN, Judge(end=down)),
        ],
        push,
        lambda name, _problem: kept.append(name),
    )
    assert len(asked) == 1
    assert kept == ['bad']
    assert [(one.policy, one.broken, one.failure.what) for one in found] == [
        ('bad', False, 'one'),
        ('bad', True, 'it failed to answer'),
        ('down', True, 'it is down'),
    ]
    assert found[2].failure.remedy == 'wait'


@pytest.mark.parametrize(
    ('glob', 'path', 'is_match'),
    [
        ('*.c', 'a.c', True),
        ('*.c', 'd/a.c', False),
        ('**.c', 'd/a.c', True),
        ('**/a.c', 'a.c', True),
        ('**/a.c', 'd/e/a.c', True),
        ('**/a.c', 'ba.c', False),
        ('d/**', 'd/e/f', True),
        ('d/**', 'd', False),
        ('d/**/f', 'd/f', True),
        ('d/?', 'd/e', True),
        ('d/?', 'd/ef', False),
        ('a.c', 'abc', False),
        ('[x]', '[x]', True),
        ('**', 'a\nb', True),
        ('a', 'a\n', False),
    ],
)
def test_globs(glob: str, path: str, is_match: bool) -> None:
    assert bool(globs([glob]).match(path)) is is_match
    assert bool(globs(['never', glob]).match(path)) is is_match


def test_no_glob_matches_nothing() -> None:
    assert not globs([]).match('')


def test_sizes_for_people() -> None:
    assert [human(n) for n in (5, 2048, 5 << 20, 3 << 30)] == [
        *('5 bytes', '2.0 KB', '5.0 MB', '3.0 GB')
    ]
