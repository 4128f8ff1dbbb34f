"""What a server depends on, and whether that is still the same.

Its key is made of the configuration and environment that Mercurial's own
hash has, and of what extensions have looked at besides while they were set
up: a request for which that differs belongs to another server.  Everything
else that is configured is read anew for each request.

Its code is all files of all modules that are loaded.  A file that has
changed while the server was starting may have been read before or after, so
it counts as changed.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mercurial import chgserver, encoding, extensions
from mercurial import ui as uimod

from .. import fresh
from .folder import Folder, Pairs

_ASKED = ('config', 'configsuboptions', 'config_is_set', 'configsource')
_WHOLE = ('configitems', 'has_section')
_OURS = b'warmserver'
_LOCALE = b'LC_CTYPE'

Pair = tuple[bytes, bytes]
Variables = dict[bytes, bytes]


class _Watch:
    """Collects what is asked for while extensions are set up."""

    def __init__(self) -> None:
        self.pairs: set[tuple[bytes, bytes]] = set()
        self.on = False
        self.replaced: list[tuple[Any, str, Any, Any]] = []

    @contextmanager
    def state(self, on: bool) -> Iterator[None]:
        before, self.on = self.on, on
        try:
            yield
        finally:
            self.on = before

    def note(self, section: bytes, name: bytes) -> None:
        if self.on:
            self.pairs.add((section, name))


_watch = _Watch()


def watch() -> None:
    """From here on, notice which configuration extensions look at."""
    for name in (*_ASKED, 'hasconfig'):
        _wrap(uimod.ui, name, lambda words: (words[0], words[1]))
    for name in _WHOLE:
        _wrap(uimod.ui, name, lambda words: (words[0], b''))
    _wrap(uimod.ui, 'walkconfig', lambda words: (b'', b''))
    _wrap_off(uimod.ui, 'fixconfig')
    for name in ('_runuisetup', '_runextsetup'):
        _wrap_setup(name)


def _wrap(owner: Any, name: str, pair: Callable[[Any], Pair]) -> None:
    real = getattr(owner, name, None)
    if real is None:
        return

    def noting(*words: Any, **options: Any) -> Any:
        if _watch.on:
            _watch.note(*pair((*words[1:], *options.values())))
        return real(*words, **options)

    _replace(owner, name, real, noting)


def _replace(owner: Any, name: str, real: Any, other: Any) -> None:
    setattr(owner, name, other)
    _watch.replaced.append((owner, name, real, other))


def unwatch() -> None:
    """Stop noticing, as requests need not pay for it."""
    for owner, name, real, other in reversed(_watch.replaced):
        # Extensions may have wrapped it once more.
        if getattr(owner, name) is other:
            setattr(owner, name, real)
    _watch.replaced.clear()


def _wrap_off(owner: Any, name: str) -> None:
    """What Mercurial itself looks at whenever a value is set is no reading."""
    real = getattr(owner, name)

    def silent(*words: Any, **options: Any) -> Any:
        with _watch.state(False):
            return real(*words, **options)

    _replace(owner, name, real, silent)


def _wrap_setup(name: str) -> None:
    real = getattr(extensions, name)

    def noticed(extension: bytes, ui: Any) -> Any:
        with _watch.state(not extension.endswith(_OURS)):
            return real(extension, ui)

    _replace(extensions, name, real, noticed)


def read() -> Pairs:
    """Return what was looked at, without what is hashed in any case."""
    hashed = chgserver._configsections
    return sorted(pair for pair in _watch.pairs if pair[0] not in hashed)


@contextmanager
def as_the_client() -> Iterator[None]:
    """Within, see the environment without what chg adds for a server."""
    environ: Any = encoding.environ
    before = environ.get(_LOCALE)
    if b'CHGORIG_LC_CTYPE' in environ:
        environ[_LOCALE] = environ[b'CHGORIG_LC_CTYPE']
    elif b'CHG_CLEAR_LC_CTYPE' in environ:
        environ.pop(_LOCALE, None)
    try:
        yield
    finally:
        if before is None:
            environ.pop(_LOCALE, None)
        else:
            environ[_LOCALE] = before


def confighash(ui: Any) -> str:
    """Return Mercurial's own hash of configuration and environment."""
    found: bytes = chgserver._confighash(ui)
    return found.decode('ascii')


def key(ui: Any, hashed: str, pairs: Pairs) -> str:
    """Return the key of the server that a configuration belongs to."""
    if not pairs:
        return hashed
    seen = [(*pair, _values(ui, *pair)) for pair in pairs]
    return hashed + hashlib.sha1(repr(seen).encode()).hexdigest()[:8]


def _values(ui: Any, section: bytes, name: bytes) -> Any:
    if not section:
        return [
            it for it in ui.walkconfig(untrusted=True) if it[0] != b'bundle'
        ]
    start = b'%s:' % name
    return [
        (known, value)
        for untrusted in (False, True)
        for known, value in ui.configitems(section, untrusted=untrusted)
        if not name or known == name or known.startswith(start)
    ]


@dataclass(frozen=True)
class Inputs:
    """What this process was made of."""

    confighash: str
    pairs: Pairs
    key: str
    marks: fresh.Marks
    own: fresh.Marks
    """Those of this extension, and of the interpreter."""
    broken: bool
    """Whether an extension could not be loaded: nobody knows when it could."""
    doubtful: bool
    """Whether a file has changed while it may have been read."""
    program: Variables
    """What decides on which program ``hg`` is."""

    @classmethod
    def now(cls, ui: Any) -> Inputs:
        """Take stock of this process, when all is loaded."""
        unwatch()
        hashed, pairs = confighash(ui), read()
        paths = {*fresh.modules(), sys.executable}
        return cls(
            confighash=hashed,
            pairs=pairs,
            key=key(ui, hashed, pairs),
            marks=fresh.Marks(paths),
            own=fresh.Marks(_own(paths)),
            broken=bool(extensions.notloaded()),
            doubtful=_changed_since(paths, _born()),
            program=_program(),
        )

    def belongs(self, ui: Any, folder: Folder) -> tuple[str, str]:
        """Return the hash and the key of a request's configuration."""
        hashed = confighash(ui)
        same = hashed == self.confighash
        pairs = self.pairs if same else folder.reads(hashed)
        return hashed, key(ui, hashed, pairs)

    def would_load(self, ui: Any) -> bool:
        """Tell whether ``hg`` would be this program, with this extension.

        An extension that is being upgraded, or removed, goes on with nobody.
        """
        enabled = any(
            name.endswith(_OURS) and not path.startswith(b'!')
            for name, path in ui.configitems(b'extensions')
        )
        skips = ui.configbool(b'chgserver', b'skiphash')
        same = self.program == _program() and self.own.changed() is None
        return enabled and not skips and same


def _own(paths: set[str]) -> set[str]:
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return {
        path
        for path in paths
        if path.startswith(here + os.sep) or path == sys.executable
    }


def _program() -> Variables:
    environ: Any = encoding.environ
    names = [b'CHGHG' if b'CHGHG' in environ else b'HG']
    if not os.path.isabs(environ.get(names[0], b'')):
        names.append(b'PATH')
    return {
        name: value
        for name, value in environ.items()
        if name in names or name.startswith((b'PYTHON', b'LD_'))
    }


def _changed_since(paths: set[str], born: int) -> bool:
    for path in paths:
        try:
            if fresh.is_since(os.stat(path).st_ctime_ns, born):
                return True
        except OSError:
            continue
    return False


_executed: int | None = None


def executed(at: int) -> None:
    """Say when this process executed its program, if not at its beginning."""
    global _executed
    _executed = at


def _born() -> int:
    """Return when this process may have begun to read code."""
    if _executed is not None:
        return _executed
    with open('/proc/self/stat', 'rb') as file:
        ticks = int(file.read().rpartition(b')')[2].split()[19])
    # The kernel rounds down; nothing of Mercurial's is read so soon.
    began = (ticks + 1) / os.sysconf('SC_CLK_TCK')
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - began
    return time.time_ns() - int(age * 1e9)
