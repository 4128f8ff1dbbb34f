"""names of files work everywhere

Refused are names that lead out of a clone, or into Mercurial's own folder
(``../x``, ``/x``, ``a/.hg/hgrc``, and what some systems take for these), since
clients refuse to write them: such a changeset could not be used any more.
Neither could one in which a file is where another needs a folder.
Refused are also names that differ from another file's only by case, that are
reserved on Windows (``CON``, ``aux.txt``, ``a:b``, a space or full stop at
the end of a part), or that have control characters or are not UTF-8.

``filenames.windows`` (yes or no, default yes)
  whether names must be possible on Windows.

``filenames.case`` (yes or no, default yes)
  whether names must differ by more than case.

``filenames.forbidden`` (globs, default none)
  further names that must not be, such as ``**.orig``.
"""

from __future__ import annotations

import re
import unicodedata

from hgext3rd.fleet.core.checks import (
    Change,
    Failure,
    Failures,
    File,
    Judge,
    Options,
    Push,
)

ITEMS = {'windows': 'yes', 'case': 'yes', 'forbidden': ''}

_RESERVED = re.compile(
    r'(?i)(?:.*/)?(?:con|prn|aux|nul|com[0-9\xb9\xb2\xb3]|lpt[0-9\xb9\xb2\xb3])'
    r'(?: *\.[^/]*)?(?:/.*)?\Z'
)
_CHARACTERS = re.compile(r'[<>:"|?*\\]')
_ENDS = re.compile(r'[ .](?:/|\Z)')
_CONTROL = re.compile(
    '[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]'
)
_SURROGATE = re.compile('[\ud800-\udfff]')
# Some systems pass over these, or know a file by a second, short name.
_PASSED_OVER = re.compile('[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]')
_OWN = re.compile(r'\.hg[ .]*|hg(?:8b6c)?~[0-9]+')
_ORDINARY = re.compile(r'[A-Za-z0-9_+-]+(?:[/.][A-Za-z0-9_+-]+)*\Z')


def begin(options: Options, push: Push) -> Judge:
    """Refuse names of files that are added."""
    windows = options.flag('windows')
    forbidden = options.globs('forbidden')
    folded = _Folded(push) if options.flag('case') else None

    def change(change: Change) -> Failures:
        files = change.files
        fresh = [one for one in files if one.before is None and not one.gone]
        for file in fresh:
            for what in _faults(file.path, windows):
                yield _failure(what, change, file)
            other = change.in_the_way(file.path)
            if other is not None:
                what = f'it cannot be there together with {other}'
                yield _failure(what, change, file)
            if forbidden.match(file.path):
                yield _failure('such names are forbidden', change, file)
        if folded:
            for file, other in folded.clashes(change, fresh):
                what = f'it differs only by case from {other}'
                yield _failure(what, change, file)

    return Judge(change=change)


def _failure(what: str, change: Change, file: File) -> Failure:
    return Failure(what, 'give it another name', change.node, file.path)


def _faults(path: str, windows: bool) -> list[str]:
    found = []
    if _ORDINARY.match(path) is None:
        if _leads_out(path):
            found.append(
                "it leads out of the clone, or into Mercurial's folder"
            )
        if _CONTROL.search(path):
            found.append('its name has a control character')
        if _SURROGATE.search(path):
            found.append('its name is not UTF-8')
        if windows and _CHARACTERS.search(path):
            found.append('its name has a character that Windows forbids')
        if windows and _ENDS.search(path):
            found.append('a part of its name ends in a space or full stop')
    if windows and _RESERVED.match(path):
        found.append('its name is reserved on Windows')
    return found


def _leads_out(path: str) -> bool:
    parts = _PASSED_OVER.sub('', path).lower().replace('\\', '/').split('/')
    return any(
        part in ('', '.', '..') or _OWN.fullmatch(part) for part in parts
    )


def fold(path: str) -> str:
    """Return what names have in common that are the same for some systems."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize('NFC', path).casefold()


class _Folded:
    """Finds names that differ only by case.

    For the first few changesets that add a file, its name is searched for.
    After that the names in a changeset are kept, folded, and carried on to its
    child; where history is not linear, all are read again.
    """

    _KEPT = 3
    _FEW = 5

    def __init__(self, push: Push) -> None:
        self._world = push.world
        self._names: dict[str, dict[str, set[str]]] = {}
        self._searched = 0

    def clashes(
        self, change: Change, fresh: list[File]
    ) -> list[tuple[File, str]]:
        """Return the added files that clash, each with another file."""
        if self._searched < self._FEW:
            self._searched += bool(fresh)
            if len(fresh) <= self._FEW and all(
                file.path.isascii() for file in fresh
            ):
                found = [(file, change.alike(file.path)) for file in fresh]
                return [(file, min(others)) for file, others in found if others]
        parent = change.parents[0] if change.parents else ''
        known = self._names.pop(parent, None)
        if known is None:
            if not fresh:
                return []
            known = self._read(parent)
        for file in change.files:
            name = fold(file.path)
            if file.gone:
                known.get(name, set()).discard(file.path)
            elif file.before is None:
                known.setdefault(name, set()).add(file.path)
        self._names[change.node] = known
        if len(self._names) > self._KEPT:
            del self._names[next(iter(self._names))]
        return [
            (file, min(others))
            for file in fresh
            if (others := known[fold(file.path)] - {file.path})
        ]

    def _read(self, node: str) -> dict[str, set[str]]:
        known: dict[str, set[str]] = {}
        for path in self._world.paths(node) if node else ():
            known.setdefault(fold(path), set()).add(path)
        return known
