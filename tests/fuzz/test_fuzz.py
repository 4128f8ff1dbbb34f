"""A bounded part of the long run, and that it would find something."""

from __future__ import annotations

import importlib.util
import os
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from . import oracle, run, targets, watch

THOROUGH = bool(os.environ.get('HGFLEET_THOROUGH'))
INPUTS = 200_000 if THOROUGH else 20_000
SEED = 2026

with_atheris = pytest.mark.skipif(
    importlib.util.find_spec('atheris') is None,
    reason='atheris has no wheel for this Python on this machine',
)

PIECES = st.one_of(
    st.sampled_from(targets.WORDS),
    st.sampled_from([seed for some in targets.SEEDS.values() for seed in some]),
    st.binary(max_size=8),
)
INPUT = st.lists(PIECES, max_size=8).map(b''.join)


@pytest.mark.parametrize('name', targets.TARGETS)
@given(data=INPUT)
def test_pieces_put_together(name: str, data: bytes) -> None:
    targets.TARGETS[name][1](data)


@pytest.mark.parametrize('name', targets.TARGETS)
def test_each_target_takes_some_of_its_seeds(name: str) -> None:
    taken = [targets.TARGETS[name][1](seed) for seed in targets.SEEDS[name]]
    assert any(taken), 'only what is refused would be looked at'


@with_atheris
@pytest.mark.parametrize('name', targets.TARGETS)
def test_made_up_input(name: str) -> None:
    share = INPUTS * targets.TARGETS[name][0] // 100
    result = run.feed(name, share, SEED)
    assert not result.finding, result.finding
    assert result.inputs >= share
    assert result.accepted


@with_atheris
def test_a_gap_in_the_grammar_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise nothing would be known of what is not found."""
    monkeypatch.setenv('HGFLEET_FUZZ_GAP', '1')
    result = run.feed('command', 20_000, SEED)
    assert 'AssertionError' in result.finding
    assert 'the input' in result.finding


def test_a_process_that_is_started_is_found() -> None:
    with watch.watching():
        with pytest.raises(watch.Started):
            subprocess.run(['true'])
        with pytest.raises(watch.Started):
            os.system('true')
    subprocess.run(['true'], check=True)


@pytest.mark.parametrize(
    ('command', 'accepted'),
    [
        ('', True),
        ('hg -R demo serve --stdio', True),
        ("hg -R '/a/b/' serve --stdio", True),
        ('hg -R a.hg serve --stdio', False),
        ('hg -R a.GIT/b serve --stdio', False),
        ('hg -R metrics serve --stdio', False),
        ('hg -R metrics2 serve --stdio', True),
        ('hg -R demo serve --stdio --debugger', False),
        ('edit demo description x', True),
        ('edit demo description x ', False),
        ('touch x', False),
    ],
)
def test_the_oracle(command: str, accepted: bool) -> None:
    assert oracle.accepts(command) is accepted
