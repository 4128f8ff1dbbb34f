"""Hooks by which a session tells all that it can see of itself, and then
makes a mess of its process.

``tell`` writes one line, ``PORTRAIT`` and JSON, to standard error; what is in
it is said at :data:`PARTS`.  Afterwards it changes whatever it can change of
the process: if any of that outlives the session, another one tells of it.
``refuse`` does the same and has the transaction rolled back.
"""

from __future__ import annotations

import gc
import json
import locale
import os
import random
import re
import resource
import signal
import stat
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from mercurial import encoding, extensions

WORD = b'PORTRAIT '
# What differs between any two processes.
_ADDRESS = re.compile(' at 0x[0-9a-f]+')
_DRAWN = re.compile('hg-unbundle-.*')
_told: list[str] = []
_kept: list[int] = []


def _environment(_ui: Any) -> dict[str, str]:
    return {
        name: value.decode('latin-1')
        for name, value in _decoded(encoding.environ).items()
    }


def _decoded(environment: Any) -> dict[str, bytes]:
    return {name.decode('latin-1'): environment[name] for name in environment}


def _said(value: object) -> str:
    return _ADDRESS.sub('', repr(value))


def _configuration(ui: Any) -> dict[str, str]:
    found = {}
    for section, name, value in ui.walkconfig():
        shown = ui.configsource(section, name)
        key = b'%s.%s' % (section, name)
        found[key.decode('latin-1')] = _said(value) + f' from {shown!r}'
    return found


def _umask(_ui: Any) -> str:
    umask = os.umask(0o077)
    os.umask(umask)
    return f'{umask:o}'


def _standard(_ui: Any) -> int:
    """The inode of standard error; Mercurial moves the other two."""
    return os.fstat(2).st_ino


def _descriptors(_ui: Any) -> dict[str, int]:
    """How many there are of each kind; the inodes of what is a pipe."""
    found: Counter[str] = Counter()
    for name in os.listdir('/proc/self/fd'):
        try:
            state = os.stat(int(name))
            target = os.readlink(f'/proc/self/fd/{name}')
        except OSError:
            continue  # the folder itself
        if stat.S_ISFIFO(state.st_mode):
            found[f'pipe {state.st_ino}'] += 1
        elif stat.S_ISSOCK(state.st_mode):
            found['socket'] += 1
        else:
            found[_DRAWN.sub('hg-unbundle-', target)] += 1
    return dict(found)


def _locale(_ui: Any) -> list[str]:
    found = locale.setlocale(locale.LC_ALL)
    return [found, encoding.encoding.decode(), *time.tzname]


def _hooks(ui: Any) -> dict[str, str]:
    return {
        name.decode('latin-1'): _said(value)
        for name, value in ui.configitems(b'hooks')
    }


def _identity(ui: Any) -> list[str]:
    numbers = (os.getuid(), os.geteuid(), os.getgid(), os.getegid())
    user = ui.config(b'fleet', b'user') or b''
    words = [str(one) for one in (*numbers, sorted(os.getgroups()))]
    return [user.decode(), ui.username().decode(), *words]


def _signals(_ui: Any) -> dict[str, str]:
    found = {
        number.name: getattr(how, '__name__', str(how))
        for number in signal.valid_signals()
        if isinstance(number, signal.Signals)
        and (how := signal.getsignal(number)) is not None
    }
    found['blocked'] = str(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())))
    found['timer'] = str(signal.getitimer(signal.ITIMER_REAL))
    return found


def _extensions(ui: Any) -> list[str]:
    loaded = {name.decode() for name, _module in extensions.extensions()}
    active = {name.decode() for name, _module in extensions.extensions(ui)}
    return [*sorted(loaded), '-', *sorted(active)]


def _modules(_ui: Any) -> list[str]:
    """Those of Mercurial's own that stand for a file: hooks, extensions."""
    return sorted(n for n in sys.modules if n.startswith(('hghook', 'hgext_')))


def _limits(_ui: Any) -> dict[str, str]:
    found = {
        name: str(resource.getrlimit(getattr(resource, name)))
        for name in ('RLIMIT_NOFILE', 'RLIMIT_CORE', 'RLIMIT_NPROC')
    }
    recursion = str(sys.getrecursionlimit())
    return {**found, 'nice': str(os.nice(0)), 'recursion': recursion}


PARTS: dict[str, Callable[[Any], Any]] = {
    'environment': _environment,
    'os.environ': lambda _ui: dict(os.environ),
    'configuration': _configuration,
    'folder': lambda _ui: os.getcwd(),
    'umask': _umask,
    'standard': _standard,
    'descriptors': _descriptors,
    'locale': _locale,
    'hooks': _hooks,
    'identity': _identity,
    'signals': _signals,
    'path': lambda _ui: list(sys.path),
    'extensions': _extensions,
    'modules': _modules,
    'limits': _limits,
    'before': lambda _ui: list(_told),
    'number': lambda _ui: random.getrandbits(64),
}
"""What is told, by name, and who finds it out."""


def tell(ui: Any, repo: Any, hooktype: str, **_more: Any) -> bool:
    """Tell all; the hook lets everything happen."""
    os.write(2, WORD + json.dumps(portray(ui)).encode() + b'\n')
    _told.append(hooktype if isinstance(hooktype, str) else hooktype.decode())
    _make_a_mess(ui, _told[-1])
    return False


def refuse(ui: Any, repo: Any, hooktype: str, **more: Any) -> bool:
    """Tell all; the hook lets nothing happen."""
    tell(ui, repo, hooktype, **more)
    return True


def portray(ui: Any) -> dict[str, Any]:
    """Return what this process is like."""
    return {name: look(ui) for name, look in PARTS.items()}


def _make_a_mess(ui: Any, word: str) -> None:
    if len(_told) > 1:
        return
    mark = f'left by {os.getpid()} in {word}'
    encoding.environ[b'LEFT_OVER'] = mark.encode()
    os.environ['LEFT_BEHIND'] = mark
    os.environ['TZ'] = 'Asia/Tokyo'
    time.tzset()
    ui.setconfig(b'left', b'over', mark.encode(), b'mess')
    ui.setconfig(b'hooks', b'prelistkeys.left', b'true', b'mess')
    os.umask(0o033)
    os.chdir('/usr')
    signal.signal(signal.SIGUSR1, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGUSR2,))
    sys.path.append(f'/{mark}')
    sys.setrecursionlimit(sys.getrecursionlimit() + 100)
    os.nice(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _kept.append(os.open('/etc/passwd', os.O_RDONLY))
    random.seed(4)
    gc.disable()
