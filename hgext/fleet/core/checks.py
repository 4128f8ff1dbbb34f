"""What push checks are given, what they answer, and how they are run.

A *policy* is a module (see ``fleethooks``) with two names: ``ITEMS``, its
settings with their defaults, and ``begin``, which takes the settings and the
push and returns a :class:`Judge`.  A judge has up to three functions: one is
called for each changeset, one for each changed file, one at the end.  Each
yields a :class:`Failure` for whatever it does not like.

A policy sees a push only through :class:`Push`, :class:`Change` and
:class:`File`.  What these offer is read when it is first asked for, and once,
however many policies ask.

:func:`run` calls all judges in one pass.  A judge that raises anything has
not said yes; that is a finding of its own, and counts as a refusal.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from .errors import FleetError, SettingError


class Mode(enum.Enum):
    """What happens when a policy fails."""

    ENFORCE = 'enforce'
    WARN = 'warn'
    OFF = 'off'


class File(Protocol):
    """One file as a changeset leaves it, compared with its first parent.

    ``flags`` is ``''``, ``'x'`` or ``'l'``; ``before`` is what it was, or
    None where there was no such file; ``gone`` says that it was removed,
    and then it has no content.  ``reverted`` says that a merge threw away
    what one of its sides had changed.
    """

    @property
    def path(self) -> str: ...
    @property
    def flags(self) -> str: ...
    @property
    def before(self) -> str | None: ...
    @property
    def gone(self) -> bool: ...
    @property
    def reverted(self) -> bool: ...
    @property
    def size(self) -> int: ...
    @property
    def data(self) -> bytes: ...
    @property
    def added(self) -> bytes: ...


class Change(Protocol):
    """One incoming changeset; nodes are in hex.

    ``listed`` are the files that the changeset says it changes, ``files``
    those that it does change, by name.  ``faults`` says, a sentence each,
    what is wrong with its parents, or with the order of its manifest;
    ``is_sound`` whether that has the hash that it is called by.
    """

    @property
    def node(self) -> str: ...
    @property
    def author(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def branch(self) -> str: ...
    @property
    def time(self) -> float: ...
    @property
    def parents(self) -> tuple[str, ...]: ...
    @property
    def closes(self) -> bool: ...
    @property
    def extra(self) -> Mapping[str, str]: ...
    @property
    def listed(self) -> Collection[str]: ...
    @property
    def files(self) -> Sequence[File]: ...
    @property
    def faults(self) -> Sequence[str]: ...
    @property
    def is_sound(self) -> bool: ...

    def alike(self, path: str) -> Sequence[str]:
        """Return other files whose names differ only by case, in ASCII."""
        ...

    def in_the_way(self, path: str) -> str | None:
        """Return a file where ``path`` needs a folder, or the reverse."""
        ...


@dataclass(frozen=True)
class Bookmark:
    """A bookmark that moves; a node is '' where there is none."""

    name: str
    old: str
    new: str


class World(Protocol):
    """What a policy may ask beyond the push.  All may raise FleetError."""

    def is_user(self, name: str) -> bool:
        """Tell whether that is an enabled user of the directory."""
        ...

    def groups(self, user: str) -> Collection[str]:
        """Return the groups of a user; none where nobody is called so."""
        ...

    def paths(self, node: str) -> Iterable[str]:
        """Yield the name of every file of a changeset."""
        ...

    def branch(self, node: str) -> str:
        """Return the named branch that a changeset is on."""
        ...

    def is_signed(self, said: bytes, signature: bytes, keyring: str) -> bool:
        """Tell whether a key of the keyring has signed the text."""
        ...

    def fetch(self, url: str, timeout: float, keep: float) -> bytes:
        """Return what is at a URL, or was within the last ``keep`` seconds."""
        ...


class Push(Protocol):
    """Everything that one transaction brings.

    ``user`` is in whose name it is pushed, and ``actor`` who does that, and
    whose rights count; mostly they are the same.
    """

    @property
    def repo(self) -> str: ...
    @property
    def user(self) -> str: ...
    @property
    def actor(self) -> str: ...
    @property
    def now(self) -> float: ...
    @property
    def count(self) -> int: ...
    @property
    def was_empty(self) -> bool: ...
    @property
    def changes(self) -> Iterable[Change]: ...
    @property
    def bookmarks(self) -> Sequence[Bookmark]: ...
    @property
    def world(self) -> World: ...
    @property
    def shown_again(self) -> Collection[str]:
        """The branches on which hidden changesets are shown again."""
        ...

    def heads(self, branch: str) -> Sequence[str]:
        """Return the open heads that the branch would have."""
        ...

    def heads_before(self, branch: str) -> int:
        """Return how many open heads the branch has had."""
        ...


@dataclass(frozen=True)
class Failure:
    """What is wrong, and what its author can do about it.

    ``what`` and ``remedy`` are half sentences, without a full stop.
    """

    what: str
    remedy: str
    change: str = ''
    file: str = ''


Failures = Iterable[Failure]


@dataclass(frozen=True)
class Judge:
    """The functions of one policy for one push."""

    change: Callable[[Change], Failures] | None = None
    file: Callable[[Change, File], Failures] | None = None
    end: Callable[[], Failures] | None = None


@dataclass(frozen=True)
class Appointed:
    """A policy that is in force: its name, its mode, and its judge."""

    name: str
    mode: Mode
    judge: Judge


@dataclass(frozen=True)
class Finding:
    """A failure, of which policy; ``broken`` where that has not finished."""

    policy: str
    mode: Mode
    failure: Failure
    broken: bool = False


def run(
    appointed: Sequence[Appointed],
    push: Push,
    raised: Callable[[str, Exception], None],
) -> list[Finding]:
    """Let all judges see the push; return what they found, in order.

    ``raised`` is told what a policy raised, other than FleetErrors.
    """
    court = _Court(raised)
    on_change = _those(appointed, lambda judge: judge.change)
    on_file = _those(appointed, lambda judge: judge.file)
    if on_change or on_file:
        for change in push.changes:
            court.hear(on_change, change)
            if on_file:
                for file in change.files:
                    court.hear(on_file, change, file)
    court.hear(_those(appointed, lambda judge: judge.end))
    return court.findings


_Asked = list[tuple[Appointed, Callable[..., Failures]]]


def _those(
    appointed: Sequence[Appointed],
    asked: Callable[[Judge], Callable[..., Failures] | None],
) -> _Asked:
    """Return those that have such a function, with it."""
    found = ((one, asked(one.judge)) for one in appointed)
    return [(one, function) for one, function in found if function]


class _Court:
    """Collects findings; a judge that has raised is not asked again."""

    def __init__(self, raised: Callable[[str, Exception], None]) -> None:
        self.findings: list[Finding] = []
        self._raised = raised
        self._broken: set[str] = set()

    def hear(self, judges: _Asked, *seen: object) -> None:
        broken = self._broken
        for one, judge in judges:
            if broken and one.name in broken:
                continue
            try:
                for failure in judge(*seen):
                    self.findings.append(Finding(one.name, one.mode, failure))
            except FleetError as problem:
                self._note(one, str(problem), problem.hint)
            except Exception as problem:  # noqa: BLE001 whatever it is, not a yes
                self._raised(one.name, problem)
                self._note(one, 'it failed to answer', '')

    def _note(self, one: Appointed, what: str, hint: str) -> None:
        self._broken.add(one.name)
        failure = Failure(what, hint or 'tell an administrator of this server')
        self.findings.append(Finding(one.name, one.mode, failure, broken=True))


_SIZES = {'': 1, 'b': 1, 'kb': 1 << 10, 'mb': 1 << 20, 'gb': 1 << 30}
_YES = {'yes': True, 'true': True, 'on': True, '1': True}
_NO = {'no': False, 'false': False, 'off': False, '0': False}
_LASTING = {'s': 1, 'seconds': 1, 'min': 60, 'minutes': 60, 'h': 3600}
_LASTING |= {'hours': 3600, 'hour': 3600, 'days': 86400, 'day': 86400}


@dataclass(frozen=True)
class Options:
    """The settings of one policy as they are written, and as types.

    Every method raises SettingError where what is written has not the form
    that it returns.  ``rules`` are the lines of the policy's own section.
    """

    policy: str
    values: Mapping[str, str]
    rules: Sequence[tuple[str, str]] = ()

    def text(self, item: str) -> str:
        """Return the setting without white space around it."""
        return self.values[item].strip()

    def words(self, item: str) -> tuple[str, ...]:
        """Return what is between commas and white space."""
        return tuple(re.findall(r'[^\s,]+', self.values[item]))

    def flag(self, item: str) -> bool:
        """Return yes or no."""
        value = {**_YES, **_NO}.get(self.text(item).lower())
        if value is None:
            raise self.wrong(item, 'yes or no')
        return value

    def number(self, item: str) -> int:
        """Return a number of zero or more."""
        if not re.fullmatch('[0-9]{1,15}', self.text(item)):
            raise self.wrong(item, 'a number')
        return int(self.text(item))

    def size(self, item: str) -> int:
        """Return a number of bytes."""
        match = re.fullmatch(
            r'([0-9]{1,9}(?:\.[0-9]{1,6})?) ?([kmg]?b?)',
            self.text(item).lower(),
        )
        unit = match and (
            match[2] if match[2].endswith('b') else match[2] + 'b'
        )
        if not match or not unit:
            raise self.wrong(item, 'a size such as "100 KB" or "5 MB"')
        return int(float(match[1]) * _SIZES[unit])

    def seconds(self, item: str) -> float:
        """Return how long something lasts."""
        match = re.fullmatch(
            r'([0-9]{1,9}(?:\.[0-9]{1,6})?) ?([a-z]+)', self.text(item)
        )
        if not match or match[2] not in _LASTING:
            raise self.wrong(item, 'a time such as "10 s" or "2 hours"')
        return float(match[1]) * _LASTING[match[2]]

    def choice(self, item: str, *choices: str) -> str:
        """Return one of the choices."""
        if self.text(item) not in choices:
            raise self.wrong(item, ' or '.join(choices))
        return self.text(item)

    def pattern(self, item: str) -> re.Pattern[str] | None:
        """Return a regular expression, or None where there is none."""
        if not self.text(item):
            return None
        try:
            return re.compile(self.text(item))
        except (re.error, RecursionError, OverflowError):
            raise self.wrong(item, 'a regular expression') from None

    def globs(self, item: str) -> re.Pattern[str]:
        """Return what matches whole names that one of the globs matches."""
        return globs(self.words(item))

    def wrong(self, item: str, wanted: str) -> SettingError:
        """Return the error that says what the setting should be."""
        name = f'{self.policy}.{item}' if item else self.policy
        return SettingError(
            f'[checks] {name} is {self.values.get(item, "")!r}', f'use {wanted}'
        )


def globs(patterns: Iterable[str]) -> re.Pattern[str]:
    """Return a regular expression for globs over names with slashes.

    ``*`` is any run of characters without a slash, ``**`` any run at all,
    and ``**/`` at the beginning may be nothing.
    """
    pieces = {'**/': '(?:.*/)?', '**': '.*', '*': '[^/]*', '?': '[^/]'}

    def one(glob: str) -> str:
        parts = re.split(r'((?:(?<=/)|\A)\*\*/|\*\*|\*|\?)', glob)
        return ''.join(pieces.get(part) or re.escape(part) for part in parts)

    joined = '|'.join(map(one, patterns))
    return re.compile(rf'(?s:{joined})\Z' if joined else r'(?!)')


def human(size: float) -> str:
    """Return a size as people write it."""
    for unit in ('bytes', 'KB', 'MB'):
        if size < 1024:
            return (
                f'{size:.0f} {unit}'
                if unit == 'bytes'
                else (f'{size:.1f} {unit}')
            )
        size /= 1024
    return f'{size:.1f} GB'
