"""The layers of the project, and which imports cross them the wrong way.

From the inside out: ``core`` decides and knows nothing of the world,
``ports`` says what the world must offer, ``adapters`` offer it, and the
*edge* is everything that Mercurial, sshd or a web server calls. A layer may
import from itself and from those inside it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

FLEET = 'hgext3rd.fleet'

LAYERS = ('core', 'ports', 'adapters', 'edge')

# Modules beside ports that need nothing, and that adapters may need.
LEAVES = ('ports', 'meta', 'failpoint')

# What core may import: no clock, no files, no processes, no chance.
PURE = frozenset(
    {
        *('__future__', 'abc', 'base64', 'binascii', 'bisect', 'collections'),
        *('dataclasses', 'enum', 'fnmatch', 'functools', 'hashlib', 'heapq'),
        *('ipaddress', 'itertools', 'json', 'math', 'operator', 'posixpath'),
        *('re', 'shlex', 'string', 'struct', 'textwrap', 'types', 'typing'),
        *('zlib',),
    }
)

# Only the edge may import these; the rest must run without Mercurial.
MERCURIAL = frozenset({'mercurial', 'hgext', 'hgdemandimport'})

FOLDERS = {'hgext': 'hgext3rd', 'hooks': 'fleethooks', 'pash': 'fleetpash'}


def breaches(path: str, tree: ast.Module) -> Iterator[str]:
    """Yield a message for each import that a file must not have.

    ``path`` is the file's path from the root of the tree, with slashes.
    """
    module = _module(path)
    if module is None:
        return
    layer = layer_of(module)
    package = module if path.endswith('/__init__.py') else _parent(module)
    for line, name in _imported(tree, package):
        reason = _refusal(module, layer, name)
        if reason:
            yield f'{line}: {reason}'


def layer_of(module: str) -> str:
    """Return the layer of a module of ours, named in full."""
    if not module.startswith(FLEET + '.'):
        return 'edge'
    name = module.split('.')[2]
    if name in LEAVES:
        return 'ports'
    return name if name in LAYERS else 'edge'


def _refusal(module: str, layer: str, name: str) -> str | None:
    top = name.partition('.')[0]
    if module == FLEET:
        return None if top == '__future__' else 'the package imports nothing'
    if top in FOLDERS.values():
        target = layer_of(name)
        if name != FLEET and LAYERS.index(target) > LAYERS.index(layer):
            return f'{layer} imports {name}, which belongs to {target}'
        return None
    if layer == 'core' and top not in PURE:
        return f'core imports {top}, which is not known to be pure'
    if layer != 'edge' and top in MERCURIAL:
        return f'{layer} imports {name}, and only the edge may'
    return None


def _module(path: str) -> str | None:
    """Return the name under which a file is imported, if it is installed."""
    folder, _, rest = path.partition('/')
    if folder not in FOLDERS or not path.endswith('.py'):
        return None
    name = rest.removesuffix('.py').replace('/', '.')
    return f'{FOLDERS[folder]}.{name}'.removesuffix('.__init__')


def _parent(module: str) -> str:
    return module.rpartition('.')[0]


def _imported(tree: ast.Module, package: str) -> Iterator[tuple[int, str]]:
    """Yield (line, module's full name) for each import, wherever it is."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ''
            if node.level:
                start = package.split('.')
                start = start[: len(start) - node.level + 1]
                base = '.'.join([*start, *filter(None, [node.module])])
            for alias in node.names:
                # `from fleet import ports` imports a module of the package.
                whole = base in (FLEET, *FOLDERS.values())
                yield node.lineno, f'{base}.{alias.name}' if whole else base
