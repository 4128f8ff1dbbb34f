"""Pushes that are made up, for the policies to judge."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hgext3rd.fleet.core.checks import (
    Appointed,
    Bookmark,
    Finding,
    Mode,
    Options,
    run,
)
from hgext3rd.fleet.core.errors import FleetError

NOW = 1_750_000_000.0
P1, P2, ONE, TWO = '0' * 39 + '1', '0' * 39 + '2', '1' * 40, '2' * 40


@dataclass(frozen=True)
class File:
    """A file; unless said otherwise, it is added, and all of it is new."""

    path: str = 'a'
    data: bytes = b''
    flags: str = ''
    before: str | None = None
    gone: bool = False
    reverted: bool = False
    own_size: int | None = None
    own_added: bytes | None = None

    @property
    def size(self) -> int:
        return len(self.data) if self.own_size is None else self.own_size

    @property
    def added(self) -> bytes:
        return self.data if self.own_added is None else self.own_added


@dataclass(frozen=True)
class Change:
    """A changeset; unless said otherwise, no policy minds it."""

    node: str = '1' * 40
    author: str = 'Ann <ann@example.org>'
    description: str = 'Bug 1 - say hello'
    branch: str = 'default'
    time: float = NOW
    parents: tuple[str, ...] = ('0' * 39 + '1',)
    closes: bool = False
    extra: Mapping[str, str] = field(default_factory=dict)
    files: Sequence[File] = ()
    own_listed: Collection[str] | None = None
    faults: Sequence[str] = ()
    is_sound: bool = True

    @property
    def listed(self) -> Collection[str]:
        if self.own_listed is not None:
            return self.own_listed
        return [file.path for file in self.files]

    own_alike: Sequence[str] = ()
    others: Sequence[str] = ()

    def in_the_way(self, path: str) -> str | None:
        return next(
            (
                one
                for one in self.others
                if one.startswith(f'{path}/') or path.startswith(f'{one}/')
            ),
            None,
        )

    def alike(self, path: str) -> Sequence[str]:
        return [
            one
            for one in self.own_alike
            if one.lower() == path.lower() and one != path
        ]


@dataclass
class World:
    """Users with their groups, branches, names of files, and answers."""

    users: dict[str, set[str]] = field(
        default_factory=lambda: {'ann': {'staff'}, 'bob': {'vendors'}}
    )
    branches: dict[str, str] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)
    answer: bytes | FleetError = b'{}'
    good: bool = True
    asked: list[str] = field(default_factory=list)

    def is_user(self, name: str) -> bool:
        return name in self.users

    def groups(self, user: str) -> Collection[str]:
        return self.users.get(user, ())

    def paths(self, node: str) -> Iterable[str]:
        self.asked.append(node)
        return iter(self.names.get(node, []))

    def branch(self, node: str) -> str:
        return self.branches.get(node, 'default')

    def is_signed(self, said: bytes, signature: bytes, keyring: str) -> bool:
        return self.good

    def fetch(self, url: str, timeout: float, keep: float) -> bytes:
        self.asked.append(url)
        if isinstance(self.answer, FleetError):
            raise self.answer
        return self.answer


@dataclass
class Push:
    """A push, of one changeset if nothing else is said."""

    changes: Sequence[Change] = (Change(),)
    repo: str = 'group/demo'
    user: str = 'ann'
    own_actor: str = ''
    now: float = NOW
    was_empty: bool = False
    bookmarks: Sequence[Bookmark] = ()
    world: World = field(default_factory=World)
    own_heads: dict[str, list[str]] = field(default_factory=dict)
    own_heads_before: dict[str, int] = field(default_factory=dict)
    shown_again: Collection[str] = ()

    @property
    def actor(self) -> str:
        return self.own_actor or self.user

    @property
    def count(self) -> int:
        return len(self.changes)

    def heads(self, branch: str) -> Sequence[str]:
        return self.own_heads.get(branch, ['1' * 40])

    def heads_before(self, branch: str) -> int:
        return self.own_heads_before.get(branch, 1)


def with_file(*args: object, **fields: object) -> Push:
    """Return a push of one changeset with one such file."""
    return Push([Change(files=[File(*args, **fields)])])  # type: ignore[arg-type]


def with_change(**fields: object) -> Push:
    """Return a push of one such changeset."""
    return Push([Change(**fields)])  # type: ignore[arg-type]


def merge(**fields: Any) -> Push:
    """Return a push of one merge."""
    return with_change(parents=(P1, P2), **fields)


def closure(answer: bytes | FleetError, **fields: Any) -> Push:
    """Return a push of one changeset, while that is what URLs answer."""
    push = with_change(**fields)
    push.world.answer = answer
    return push


def options(
    policy: str,
    rules: Sequence[tuple[str, str]] = (),
    **settings: str,
) -> Options:
    """Return the settings of a policy, of which some are set."""
    items: dict[str, str] = importlib.import_module(
        f'fleethooks.{policy}'
    ).ITEMS
    given = {name.rstrip('_'): value for name, value in settings.items()}
    assert given.keys() <= items.keys()
    return Options(policy, {**items, **given}, rules)


def findings(
    policy: str,
    push: Push,
    rules: Sequence[tuple[str, str]] = (),
    **settings: str,
) -> list[Finding]:
    """Return what a policy finds; what it raises is raised here."""

    def raised(name: str, problem: Exception) -> None:
        raise problem

    begin = importlib.import_module(f'fleethooks.{policy}').begin
    judge = begin(options(policy, rules, **settings), push)
    return run([Appointed(policy, Mode.ENFORCE, judge)], push, raised)


def said(
    policy: str,
    push: Push,
    rules: Sequence[tuple[str, str]] = (),
    **settings: str,
) -> list[str]:
    """Return what is said about a push, as "FILE: WHAT; REMEDY"."""
    found = findings(policy, push, rules, **settings)
    return [
        f'{f.file}: {f.what}; {f.remedy}' if f.file else f'{f.what}; {f.remedy}'
        for f in (one.failure for one in found)
    ]
