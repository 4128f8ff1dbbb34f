"""Validity: whoever reads the log, in whatever pieces, agrees for ever."""

from __future__ import annotations

import itertools
import struct
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hgext3rd.fleet.core import applied as records
from hgext3rd.fleet.core.applied import Applied
from hgext3rd.fleet.core.entry import (
    FENCE_KEY,
    Entry,
    Kind,
    Record,
    encode,
)
from hgext3rd.fleet.core.ledger import (
    KINDS,
    Judged,
    RepoState,
    Verdict,
    fold,
)

REPOS = ('a', 'b')
NODES = ('p1', 'p2', 'p3')


def make(kind: Kind, repo: str, prev: int, node: str, **more: Any) -> Entry:
    fields = {'seq': prev + 1, 'user': 'ann', 'time': 0, **more}
    return Entry(kind=kind, repo=repo, prev=prev, node=node, **fields)


def of(repo: str, log: list[Record]) -> list[Record]:
    """What decides about a repository, as a reader gets it by its keys."""
    return [one for one in log if one.key in (repo, FENCE_KEY)]


def judge(
    state: RepoState, log: list[Record]
) -> tuple[RepoState, list[Judged]]:
    judgements = []
    for record in log:
        judgements.append(fold(state, record))
        state = judgements[-1].state
    return state, judgements


def verdicts(judgements: list[Judged]) -> dict[int, Verdict]:
    return {one.record.offset: one.verdict for one in judgements}


@dataclass
class Written:
    """One record, and what the test knows of it: None is damaged."""

    record: Record
    entry: Entry | None


@dataclass
class Expected:
    """The definition of validity, once more and as plainly as possible."""

    seq: int = 0
    exists: bool = False
    fenced: set[str] = field(default_factory=set)
    halted: bool = False

    def verdict(self, entry: Entry | None) -> Verdict:
        if self.halted or entry is None:
            self.halted = True
            return Verdict.HALTED
        if entry.kind is Kind.FENCE:
            if entry.source == 'unfence':
                self.fenced.discard(entry.text or '')
            else:
                self.fenced.add(entry.text or '')
            return Verdict.FENCE
        if entry.node in self.fenced:
            return Verdict.FENCED
        if (entry.prev, entry.seq) != (self.seq, self.seq + 1):
            return Verdict.SUPERSEDED
        if self.exists == (entry.kind is Kind.CREATE):
            return Verdict.UNFIT
        self.seq += 1
        self.exists = entry.kind is not Kind.DELETE
        return Verdict.VALID


class Partition(RuleBasedStateMachine):
    """Producers with views of any age append to one partition."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[Written] = []
        self.views = {
            pair: RepoState() for pair in itertools.product(NODES, REPOS)
        }
        # What was ever said of a record, and by whoever produced it.
        self.said: dict[tuple[str, int], Verdict] = {}

    @property
    def log(self) -> list[Record]:
        return [one.record for one in self.written]

    def write(self, entry: Entry | None, key: str, value: bytes) -> Record:
        record = Record(len(self.written), key, value)
        self.written.append(Written(record, entry))
        return record

    @rule(
        node=st.sampled_from(NODES),
        repo=st.sampled_from(REPOS),
        back=st.integers(0, 3),
    )
    def look(self, node: str, repo: str, back: int) -> None:
        """A producer catches up, but not quite to the end."""
        state = self.views[node, repo]
        news = [
            one
            for one in of(repo, self.log[: len(self.log) - back])
            if one.offset >= state.position
        ]
        self.views[node, repo] = judge(state, news)[0]

    @rule(
        node=st.sampled_from(NODES),
        repo=st.sampled_from(REPOS),
        kind=st.sampled_from([*KINDS, Kind.PUSH, Kind.PUSH, Kind.PUSH]),
    )
    def produce(self, node: str, repo: str, kind: Kind) -> None:
        """A producer appends what builds on its view, and reads it back."""
        state = self.views[node, repo]
        offset = len(self.written)
        entry = make(
            kind, repo, state.seq, node, push_id=offset, digest=f'd{offset}'
        )
        record = self.write(entry, repo, encode(entry))
        news = [
            one for one in of(repo, self.log) if one.offset >= state.position
        ]
        last = judge(state, news)[1][-1]
        assert last.record == record
        self.agree(repo, last)

    @rule(
        node=st.sampled_from(NODES),
        repo=st.sampled_from(REPOS),
        kind=st.sampled_from(list(KINDS)),
        prev=st.integers(-1, 6),
        step=st.integers(0, 2),
    )
    def blunder(
        self, node: str, repo: str, kind: Kind, prev: int, step: int
    ) -> None:
        """Somebody appends an entry with any numbers."""
        entry = make(kind, repo, prev, node, seq=prev + step)
        self.write(entry, repo, encode(entry))

    @rule(
        node=st.sampled_from(NODES),
        source=st.sampled_from(['fence', 'unfence']),
    )
    def fence(self, node: str, source: str) -> None:
        entry = make(Kind.FENCE, '', 0, 'p1', text=node, source=source)
        self.write(entry, FENCE_KEY, encode(entry))

    @rule(
        repo=st.sampled_from([*REPOS, FENCE_KEY]),
        damage=st.sampled_from(['garbage', 'newer', 'misfiled', 'kind']),
        rare=st.integers(0, 4),
    )
    def damage(self, repo: str, damage: str, rare: int) -> None:
        """Once in a while something is there that cannot be read."""
        if rare:
            return
        value = encode(make(Kind.PUSH, 'elsewhere', 1, 'p1'))
        if damage == 'garbage':
            value = b'garbage'
        elif damage == 'newer':
            value = value[:4] + struct.pack('>I', 2) + value[8:]
        elif damage == 'kind':
            value = value.replace(b'push', b'pull')
        self.write(None, repo, value)

    def agree(self, repo: str, judged: Judged) -> None:
        known = self.said.setdefault(
            (repo, judged.record.offset), judged.verdict
        )
        assert judged.verdict is known

    @invariant()
    def every_reader_agrees(self) -> None:
        for repo in REPOS:
            mine = of(repo, self.log)
            state, judgements = judge(RepoState(), mine)
            for judged in judgements:
                self.agree(repo, judged)
            self.check_definition(repo, state, judgements)
            self.check_history(state, judgements)
            self.check_pieces(mine, state, judgements)

    def check_definition(
        self, repo: str, state: RepoState, judgements: list[Judged]
    ) -> None:
        expected = Expected()
        entries = {one.record.offset: one.entry for one in self.written}
        for judged in judgements:
            entry = entries[judged.record.offset]
            assert judged.verdict is expected.verdict(entry)
            if judged.entry is not None:
                assert judged.entry == entry
        assert state.seq == expected.seq
        assert state.exists == expected.exists
        assert bool(state.halted) == expected.halted
        if not expected.halted:
            assert state.fenced == expected.fenced

    def check_history(self, state: RepoState, judgements: list[Judged]) -> None:
        valid = [one for one in judgements if one.verdict is Verdict.VALID]
        found = [one.entry for one in valid if one.entry is not None]
        assert [one.seq for one in found] == list(range(1, state.seq + 1))
        if found:
            assert state.digest == found[-1].digest
            assert state.push_id == found[-1].push_id
        position = 0
        for judged in judgements:
            if judged.verdict is Verdict.HALTED:
                assert judged.state.position == position
                assert judged.state.halted_at <= judged.record.offset
            else:
                position = judged.state.position
                assert position == judged.record.offset + 1

    def check_pieces(
        self, mine: list[Record], state: RepoState, judgements: list[Judged]
    ) -> None:
        """Go on from what a node has on its disk after each entry."""
        for number, judged in enumerate(judgements):
            if judged.verdict is not Verdict.VALID:
                continue
            data = records.encode(Applied(judged.state))
            again = records.decode(data).state
            assert again == judged.state
            end, rest = judge(again, mine[number + 1 :])
            assert end == state
            assert rest == judgements[number + 1 :]


TestPartition = Partition.TestCase


def chain(*kinds: Kind) -> list[Record]:
    entries = [make(kind, 'a', n, 'p1') for n, kind in enumerate(kinds)]
    return [Record(n, 'a', encode(one)) for n, one in enumerate(entries)]


def test_every_kind_that_changes_a_repository_has_its_rule() -> None:
    assert set(KINDS) == set(Kind) - {Kind.FENCE}


@pytest.mark.parametrize('kind', [*KINDS])
def test_only_create_makes_a_repository(kind: Kind) -> None:
    (judged,) = judge(RepoState(), chain(kind))[1]
    fits = kind is Kind.CREATE
    assert judged.verdict is (Verdict.VALID if fits else Verdict.UNFIT)
    assert judged.state.exists is fits
    second = judge(RepoState(), chain(Kind.CREATE, kind))[1][1]
    assert second.verdict is (Verdict.UNFIT if fits else Verdict.VALID)
    assert second.state.exists is (kind is not Kind.DELETE)


def test_after_a_delete_numbers_go_on() -> None:
    state, judgements = judge(
        RepoState(), chain(Kind.CREATE, Kind.DELETE, Kind.CREATE, Kind.PUSH)
    )
    assert {one.verdict for one in judgements} == {Verdict.VALID}
    assert (state.seq, state.exists) == (4, True)


def test_of_two_that_build_on_the_same_the_first_counts() -> None:
    log = chain(Kind.CREATE)
    for number, node in ((1, 'p1'), (2, 'p2')):
        entry = make(Kind.PUSH, 'a', 1, node)
        log.append(Record(number, 'a', encode(entry)))
    _state, judgements = judge(RepoState(), log)
    assert verdicts(judgements)[1] is Verdict.VALID
    assert verdicts(judgements)[2] is Verdict.SUPERSEDED


def test_the_same_entry_twice_counts_once() -> None:
    log = chain(Kind.CREATE, Kind.PUSH)
    log.append(replace(log[-1], offset=2))
    assert verdicts(judge(RepoState(), log)[1])[2] is Verdict.SUPERSEDED


def test_a_halt_says_why_and_where() -> None:
    log = [*chain(Kind.CREATE), Record(7, 'a', b'garbage')]
    state, judgements = judge(RepoState(), log)
    assert judgements[-1].verdict is Verdict.HALTED
    assert state.halted == 'the record is not an entry'
    assert (state.halted_at, state.position, state.seq) == (7, 1, 1)


def test_a_fence_that_cannot_be_read_halts() -> None:
    log = [*chain(Kind.CREATE), Record(7, FENCE_KEY, b'garbage')]
    state, _judgements = judge(RepoState(), log)
    assert state.halted == (
        'a fence cannot be read: the record is not an entry'
    )


def test_a_halt_is_no_end_for_who_can_read_it() -> None:
    log = chain(Kind.CREATE, Kind.PUSH, Kind.PUSH)
    damaged = [log[0], replace(log[1], value=b'garbage'), log[2]]
    halted, judgements = judge(RepoState(), damaged)
    assert judgements[2].verdict is Verdict.HALTED
    # What is on the disk knows nothing of the halt.
    known = records.decode(records.encode(Applied(halted))).state
    state, _judgements = judge(known, log[1:])
    assert (state.seq, state.halted) == (3, '')


def test_a_record_is_folded_in_once() -> None:
    log = chain(Kind.CREATE)
    state, _judgements = judge(RepoState(), log)
    with pytest.raises(ValueError, match='already'):
        fold(state, log[0])
