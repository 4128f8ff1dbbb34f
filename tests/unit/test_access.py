"""The rules of [access]: their grammar, their globs, their decisions."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgext3rd.fleet.core import access
from hgext3rd.fleet.core.access import Decision, Rules, Verb, decide
from hgext3rd.fleet.core.errors import NameRefused, SettingError

RULES = Rules.parse(
    [
        ('users/**', '*:create'),
        ('releases/*', 'release-team:write, *:read'),
        ('secret/**', '@alice:admin,auditors:read'),
        ('closed', ''),
        ('**', 'staff:write , *:read'),
    ]
)

NAMES = st.lists(
    st.text('ab.', min_size=1, max_size=4), min_size=1, max_size=4
).map('/'.join)
GLOBS = st.lists(
    st.one_of(
        st.just('**'),
        st.text('ab.*', min_size=1, max_size=4).filter(
            lambda part: '**' not in part
        ),
    ),
    min_size=1,
    max_size=4,
).map('/'.join)


def ask(
    repo: str, verb: Verb, user: str = 'bob', groups: tuple[str, ...] = ()
) -> bool:
    return decide(RULES, user, groups, repo, verb).allowed


def test_first_match_decides_alone() -> None:
    assert ask('releases/7', Verb.WRITE, groups=('release-team',))
    assert not ask('releases/7', Verb.WRITE, groups=('staff',))
    assert ask('releases/7/sub', Verb.WRITE, groups=('staff',))
    assert not ask('secret/plan', Verb.READ, groups=('staff',))


def test_verbs_include_the_smaller_ones() -> None:
    for verb in (Verb.READ, Verb.WRITE, Verb.CREATE):
        assert ask('users/bob/x', verb)
    assert not ask('users/bob/x', Verb.ADMIN)
    assert all(ask('secret/plan', verb, user='alice') for verb in Verb)


def test_subjects() -> None:
    assert ask('secret/plan', Verb.READ, groups=('auditors',))
    # a group is not a person, nor the other way round
    assert not ask('secret/plan', Verb.READ, groups=('alice', '@alice'))
    assert not ask('secret/plan', Verb.READ, user='auditors')
    assert not ask('demo', Verb.WRITE, user='staff', groups=('*',))


def test_the_best_grant_of_a_line_counts() -> None:
    assert ask('demo', Verb.WRITE, groups=('staff',))
    assert ask('demo', Verb.READ)
    assert not ask('demo', Verb.WRITE)


def test_reasons() -> None:
    def reason(repo: str, verb: Verb) -> Decision:
        return decide(RULES, 'bob', (), repo, verb)

    assert reason('demo', Verb.READ) == Decision(
        True, '[access] ** = staff:write, *:read'
    )
    assert reason('demo', Verb.WRITE) == Decision(
        False,
        '[access] ** = staff:write, *:read: gives bob only read, not write',
    )
    assert reason('closed', Verb.READ) == Decision(
        False, '[access] closed =: gives bob nothing, not read'
    )
    assert decide(Rules(()), 'bob', (), 'demo', Verb.READ) == Decision(
        False, 'no line of [access] covers demo'
    )


@pytest.mark.parametrize(
    ('glob', 'yes', 'no'),
    [
        ('demo', ['demo'], ['demo2', 'xdemo', 'demo/a', 'a/demo']),
        ('*', ['demo'], ['a/b']),
        ('a*', ['a', 'ab'], ['ba', 'a/b']),
        ('*-x*', ['a-x', 'a-xb'], ['ax']),
        ('a/*', ['a/b'], ['a', 'a/b/c']),
        ('**', ['a', 'a/b', 'a/b/c'], []),
        ('a/**', ['a/b', 'a/b/c'], ['a', 'ab', 'b/a']),
        ('**/x', ['x', 'a/x', 'a/b/x'], ['ax', 'x/a']),
        ('a/**/x', ['a/x', 'a/b/x', 'a/b/c/x'], ['ax', 'a/bx', 'a/x/b']),
        ('a.b', ['a.b'], ['axb']),
        ('a+', ['a+'], ['aa']),
    ],
)
def test_globs(glob: str, yes: list[str], no: list[str]) -> None:
    rule = access.Rule.parse(glob, '*:read')
    assert [name for name in yes + no if rule.matches(name)] == yes


@pytest.mark.parametrize(
    'glob',
    [
        *('', '/', 'a/', '/a', 'a//b', 'a**', '**a', '***', 'a b', 'a?'),
        *('[a]', 'é', 'a\n', 'a:b', '-r*\\'),
    ],
)
def test_bad_globs(glob: str) -> None:
    with pytest.raises(SettingError, match='glob over repository names'):
        Rules.parse([(glob, '*:read')])


@pytest.mark.parametrize(
    'value',
    [
        *('staff', 'staff:', ':read', 'staff:reed', 'staff read', '*:read,'),
        *('@:read', '**:read', 'a b:read', 'a:read:write', 'staff=read'),
        *('@*:read', 'staff:1', 'é:read'),
    ],
)
def test_bad_grants(value: str) -> None:
    with pytest.raises(SettingError, match=re.escape('[access] demo')):
        Rules.parse([('demo', value)])


def test_group_names() -> None:
    assert access.group('scm_level_1') == 'scm_level_1'
    for bad in ('', '*', '@a', 'a b', 'a:b', 'a,b', 'a\n', '-a'):
        with pytest.raises(NameRefused):
            access.group(bad)


def covers(glob: list[str], name: list[str]) -> bool:
    """Say what a glob means, slowly: part by part, letter by letter."""

    def part(pattern: str, text: str) -> bool:
        if not pattern:
            return not text
        if pattern[0] == '*':
            return any(
                part(pattern[1:], text[at:]) for at in range(len(text) + 1)
            )
        return text[:1] == pattern[0] and part(pattern[1:], text[1:])

    if not glob:
        return not name
    first, *rest = glob
    if first == '**':
        least = 0 if rest else 1
        return any(
            covers(rest, name[at:]) for at in range(least, len(name) + 1)
        )
    return bool(name) and part(first, name[0]) and covers(rest, name[1:])


@given(GLOBS, NAMES)
def test_globs_mean_what_they_say(glob: str, name: str) -> None:
    rule = access.Rule.parse(glob, '*:read')
    assert rule.matches(name) == covers(glob.split('/'), name.split('/'))


@given(
    st.lists(
        st.tuples(
            GLOBS,
            st.lists(
                st.tuples(
                    st.sampled_from(['*', '@ann', '@bob', 'x', 'y']),
                    st.sampled_from(Verb),
                ),
                max_size=3,
            ),
        ),
        max_size=4,
    ),
    st.sampled_from(['ann', 'bob']),
    st.sets(st.sampled_from(['x', 'y'])),
    NAMES,
)
def test_decisions_are_monotonic_and_reparse(
    lines: list[tuple[str, list[tuple[str, Verb]]]],
    user: str,
    groups: set[str],
    repo: str,
) -> None:
    rules = Rules.parse(
        (glob, ', '.join(f'{subject}:{verb}' for subject, verb in grants))
        for glob, grants in lines
    )
    answers = [decide(rules, user, groups, repo, verb) for verb in Verb]
    allowed = [answer.allowed for answer in answers]
    assert allowed == sorted(allowed, reverse=True)
    again = Rules.parse(
        (str(rule).split(' =')[0], str(rule).split(' =')[1].strip())
        for rule in rules.rules
    )
    assert again == rules
    for answer, verb in zip(answers, Verb, strict=True):
        if answer.allowed:
            wider = decide(rules, user, groups | {'x', 'y'}, repo, verb)
            assert wider.allowed


OWN = Rules.parse(
    [
        ('users/{user}/**', '*:admin'),
        ('users/**', '*:read'),
        ('r/*', 'staff:write, @robot:act, landing:act'),
        ('q/**', '@robot:write'),
    ]
)


@pytest.mark.parametrize(
    ('user', 'repo', 'verb'),
    [
        ('ann', 'users/ann/x', Verb.ADMIN),
        ('ann', 'users/ann/x/y', Verb.ADMIN),
        ('ann', 'users/annie/x', Verb.READ),
        ('ann', 'users/ann', Verb.READ),
        ('ann@a.org', 'users/ann_a.org/x', Verb.ADMIN),
        # who has no home, and nobody in particular
        ('ann_a.org', 'users/ann_a.org/x', Verb.READ),
        ('', 'users/ann/x', Verb.READ),
        ('', 'users//x', Verb.READ),
    ],
)
def test_homes_belong_to_their_users(user: str, repo: str, verb: Verb) -> None:
    allowed = [one for one in Verb if decide(OWN, user, (), repo, one).allowed]
    assert max(allowed) is verb


@pytest.mark.parametrize(
    ('user', 'groups', 'repo', 'may'),
    [
        ('robot', (), 'r/x', True),
        ('ann', ('landing',), 'r/x', True),
        ('ann', ('staff',), 'r/x', False),
        ('robot', (), 'q/x', False),
        ('robot', (), 'elsewhere', False),
    ],
)
def test_acting_is_a_right_of_its_own(
    user: str, groups: tuple[str, ...], repo: str, may: bool
) -> None:
    decision = access.decide_acting(OWN, user, groups, repo)
    assert decision.allowed is may
    assert not decide(OWN, 'robot', (), 'r/x', Verb.READ).allowed
    assert str(OWN.rules[2]) == ('r/* = staff:write, @robot:act, landing:act')


def test_what_one_is_granted() -> None:
    assert access.held(OWN, 'ann@a.org', {'staff'}) == [
        ('users/ann_a.org/**', Verb.ADMIN),
        ('users/**', Verb.READ),
        ('r/*', Verb.WRITE),
    ]
    assert access.held(OWN, 'ann_a.org', ()) == [('users/**', Verb.READ)]
