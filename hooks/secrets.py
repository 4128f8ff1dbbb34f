"""no passwords, keys or tokens

The lines that a changeset adds are searched with the rules of the library
detect-secrets (``pip install "hgfleet[secrets]"``), those for which a
regular expression stands.  Nothing is looked up anywhere else.  What was
pushed by mistake somewhere must be revoked: to remove it from history does
not help.

``secrets.except`` (globs, default none)
  files that are not searched, such as tests.

``secrets.without`` (default none)
  classes of the library that are not used, such as ``BasicAuthDetector``.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

from hgext3rd.fleet.core.checks import (
    Change,
    Failure,
    Failures,
    File,
    Judge,
    Options,
    Push,
)
from hgext3rd.fleet.core.errors import SettingError

from . import needles

ITEMS = {'except': '', 'without': ''}

_LONGEST = 4000
# The library has twice as many; with none, everything would pass.
_FEWEST = 10


def begin(options: Options, push: Push) -> Judge:
    """Refuse added lines in which the library finds something."""
    exempt = options.globs('except')
    without = frozenset(options.words('without'))
    unknown = without - {type(one).__name__ for one, _needs in detectors()}
    if unknown:
        raise options.wrong('without', 'names of classes of detect-secrets')
    used = [
        (one, needs)
        for one, needs in detectors()
        if type(one).__name__ not in without
    ]

    def file(change: Change, file: File) -> Failures:
        if file.gone or exempt.match(file.path):
            return
        for line, kind in found(file.added, used):
            yield Failure(
                f'an added line looks like a secret ({kind}): {line}',
                'take it out of the changeset, and revoke it',
                change.node,
                file.path,
            )

    return Judge(file=file)


def found(added: bytes, used: Any) -> Iterator[tuple[str, str]]:
    """Yield the beginning of each line with a secret, and of what kind.

    The secret itself is left out: what is told ends up in logs.
    """
    if b'\0' in added:
        return
    text = needles.Text(added)
    dense = text.dense
    for detector, needs in used:
        where = dense if needs.dense else text
        for line in needs.lines(where) if where else ():
            said = line[:_LONGEST].decode('utf-8', 'replace')
            secret = next(iter(detector.analyze_string(said)), None)
            if secret is not None:
                start = said.partition(secret)[0].strip()[-30:]
                yield f'{start}...', detector.secret_type


@functools.cache
def detectors() -> tuple[tuple[Any, needles.Needles], ...]:
    """Return the library's rules, and what lines must have for each."""
    try:
        base = importlib.import_module('detect_secrets.plugins.base')
        plugins = importlib.import_module('detect_secrets.plugins')
        for found in pkgutil.iter_modules(plugins.__path__):
            name = f'{plugins.__name__}.{found.name}'
            # To ask it for something is to have it read, even where imports
            # are lazy; and only then its rules are known.
            _read = importlib.import_module(name).__doc__
    except ImportError as problem:
        raise SettingError(
            f'the check secrets needs the Python module {problem.name}',
            'install it: pip install "hgfleet[secrets]"',
        ) from None
    if len(list(_leaves(base.RegexBasedDetector))) < _FEWEST:
        raise SettingError(
            'the check secrets finds no rules in the module detect_secrets',
            'install it again: pip install "hgfleet[secrets]"',
        )
    kinds = sorted(_leaves(base.RegexBasedDetector), key=lambda k: k.__name__)
    return tuple(
        (one, needles.Needles.of(one.denylist))
        for one in (kind() for kind in kinds)
    )


def _leaves(kind: Any) -> Iterator[Any]:
    """Yield the classes below that stand for a rule of the library."""
    for one in kind.__subclasses__():
        if one.__module__.startswith('detect_secrets.plugins.'):
            yield one
        yield from _leaves(one)


# Now rather than for each push: a server that prepares for pushes has it then.
# Where the library is missing, the first push tells.
with contextlib.suppress(SettingError):
    detectors()
