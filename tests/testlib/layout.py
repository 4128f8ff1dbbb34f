"""The rules of layout that no linter knows, checked on syntax trees.

``python -m testlib.layout`` prints one line for each breach in this tree:
where it is, and what the rule wants. Each rule is a function that takes a
:class:`Source` and yields messages; ``RULES`` lists them.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from . import layers
from .places import ROOT

FOLDERS = ('hgext', 'hooks', 'pash', 'bench', 'tests')
FILE_LINES = 500
FUNCTION_LINES = 60
PORT_METHODS = 6
VAGUE = frozenset({'common', 'helper', 'helpers', 'manager', 'util', 'utils'})
DECLARED = ('testedwith', 'minimumhgversion', 'buglink')

Function = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Source:
    """A Python file: its path from the root of the tree, and its text."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree of the text."""
        return ast.parse(self.text, self.path)

    @property
    def tested(self) -> bool:
        """Whether this is what tests test, rather than tests."""
        return not self.path.startswith('tests/')


def docstring(source: Source) -> Iterator[str]:
    """A module starts with its docstring, which is its manual."""
    if not ast.get_docstring(source.tree):
        yield '1: there is no module docstring'


def size(source: Source) -> Iterator[str]:
    """Files and functions stay short."""
    lines = len(source.text.splitlines())
    if lines > FILE_LINES:
        yield f'1: {lines} lines are more than {FILE_LINES}'
    for node in ast.walk(source.tree):
        if source.tested and isinstance(node, Function):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES:
                yield (
                    f'{node.lineno}: {node.name} has {lines} lines, '
                    f'more than {FUNCTION_LINES}'
                )


def vague(source: Source) -> Iterator[str]:
    """Names say what a thing is; some words never do."""
    path = Path(source.path)
    names = [(1, part) for part in (*path.parent.parts, path.stem)]
    for node in ast.walk(source.tree):
        if isinstance(node, (*Function, ast.ClassDef)):
            names.append((node.lineno, node.name))
    for line, name in names:
        words = re.findall('[A-Z]?[a-z]+|[A-Z]+', name)
        for word in VAGUE.intersection(one.lower() for one in words):
            yield f'{line}: the name {name} says {word}'


def imports(source: Source) -> Iterator[str]:
    """Arrows between layers point one way."""
    yield from layers.breaches(source.path, source.tree)


def ports(source: Source) -> Iterator[str]:
    """A port has few methods, so that an adapter is quickly written."""
    if source.path != 'hgext/fleet/ports.py':
        return
    for node in source.tree.body:
        if isinstance(node, ast.ClassDef):
            count = sum(isinstance(one, Function) for one in node.body)
            if count > PORT_METHODS:
                yield (
                    f'{node.lineno}: {node.name} has {count} methods, '
                    f'more than {PORT_METHODS}'
                )


def declares(source: Source) -> Iterator[str]:
    """Every extension tells Mercurial about itself."""
    if not re.fullmatch(r'hgext/(?!fleet/)\w+/__init__\.py', source.path):
        return
    assigned = {
        target.id
        for node in source.tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for name in DECLARED:
        if name not in assigned:
            yield f'1: the extension does not declare {name}'


def versions(source: Source) -> Iterator[str]:
    """One module knows how releases of Mercurial differ."""
    if source.path == 'hgext/fleet/compat.py' or not source.tested:
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and node.attr == 'versiontuple':
            yield f'{node.lineno}: only compat.py tests the version'


def places(source: Source) -> Iterator[str]:
    """Nothing depends on where somebody has checked the tree out."""
    if str(ROOT) + '/' in source.text:
        yield f'1: the path of a checkout, {ROOT}, is written in the file'


def owned(source: Source) -> Iterator[str]:
    """Mercurial owns the packages that its extensions live in."""
    if source.path == 'hgext/__init__.py':
        yield '1: this file would hide the extensions of Mercurial itself'


Rule = Callable[[Source], Iterator[str]]

RULES: tuple[Rule, ...] = (
    *(docstring, size, vague, imports, ports),
    *(declares, versions, places, owned),
)


def check(source: Source) -> list[str]:
    """Return the breaches in one file, as lines to print."""
    return [
        f'{source.path}:{message}' for rule in RULES for message in rule(source)
    ]


def sources() -> Iterator[Source]:
    """Yield the Python files of this tree."""
    found = [ROOT / 'setup.py', ROOT / 'tests' / 'run']
    for folder in FOLDERS:
        found += sorted((ROOT / folder).rglob('*.py'))
    for path in found:
        relative = path.relative_to(ROOT)
        # The links in tests/names lead to files that are listed already.
        if relative.parts[:2] != ('tests', 'names'):
            yield Source(relative.as_posix(), path.read_text('utf-8'))


def main() -> int:
    """Print the breaches in this tree; return the exit code."""
    found = [line for source in sources() for line in check(source)]
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == '__main__':
    sys.exit(main())
