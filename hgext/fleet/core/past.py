"""Which records of a ledger are kept when it is taken back to a moment.

What is kept are the entries that count, up to the moment, and the fences
before them.  Entries that lost a race are left out: without the one that
came first they would count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from .entry import FENCE_KEY, Entry, Record, decode
from .errors import EntryUnreadable
from .ledger import RepoState, Verdict, fold
from .snapshot import PREFIX


@dataclass(frozen=True)
class Moment:
    """Up to where: a time in milliseconds since 1970, None for everything.

    ``repo`` is kept up to its entry ``seq`` instead, if it is given.
    """

    time: int | None = None
    repo: str = ''
    seq: int = 0

    def keeps(self, entry: Entry) -> bool:
        """Tell whether an entry that counts is from before the moment."""
        if self.repo and entry.repo == self.repo:
            return entry.seq <= self.seq
        return self.time is None or entry.time <= self.time


class Selection:
    """The records of one partition that are kept, given them in order.

    ``states`` has how each repository is after each entry that was kept;
    their positions are those of the copy.  ``halted`` tells why a
    repository ends where it does, if that is because a record cannot be
    read.
    """

    def __init__(self, moment: Moment) -> None:
        self.states: dict[str, dict[int, RepoState]] = {}
        self.halted: dict[str, str] = {}
        self._moment = moment
        self._folded: dict[str, RepoState] = {}
        self._over: set[str] = set()
        self._fences: list[Record] = []
        self._pending: list[Record] = []
        self._count = 0

    def keep(
        self, records: Iterable[Record]
    ) -> Iterator[tuple[Record, Entry | None]]:
        """Yield what is kept, with the entry unless it is a fence."""
        for record in records:
            if record.key == FENCE_KEY:
                self._fences.append(record)
                self._pending.append(record)
            elif not record.key.startswith(PREFIX):
                entry = self._judge(record)
                if entry is not None:
                    yield from self._flush(self._pending)
                    self._pending = []
                    yield record, entry
                    self._note(entry)
        yield from self._flush(
            [one for one in self._pending if self._is_early(one)]
        )

    def _judge(self, record: Record) -> Entry | None:
        """Return the entry if it is to be kept."""
        name = record.key
        if name in self._over or name in self.halted:
            return None
        state = self._folded.get(name, RepoState())
        for fence in self._fences:
            if fence.offset >= state.position:
                state = fold(state, fence).state
        judged = fold(state, record)
        self._folded[name] = judged.state
        if judged.verdict is Verdict.HALTED:
            self.halted[name] = judged.state.halted
        if judged.verdict is not Verdict.VALID or judged.entry is None:
            return None
        if not self._moment.keeps(judged.entry):
            # Nor is anything that builds on it.
            self._over.add(name)
            return None
        return judged.entry

    def _note(self, entry: Entry) -> None:
        self._count += 1
        state = replace(self._folded[entry.repo], position=self._count)
        self.states.setdefault(entry.repo, {})[entry.seq] = state

    def _flush(
        self, fences: Iterable[Record]
    ) -> Iterator[tuple[Record, Entry | None]]:
        for fence in fences:
            yield fence, None
            self._count += 1

    def _is_early(self, fence: Record) -> bool:
        try:
            return self._moment.keeps(decode(fence.key, fence.value))
        except EntryUnreadable:
            return False
