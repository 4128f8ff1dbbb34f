"""What the hgrc of a hosted repository may set.

Nothing that runs code, that has files outside of it shown or written, that says
who may bypass what, or that lets clients put damage in or see what is hidden.
It is asked before an hgrc becomes an entry, and once more before a node writes
one down that it has from an entry: whoever could put one into the ledger that
says more must not run code on every node by that.
"""

from __future__ import annotations

from typing import Any

from mercurial import config, error

from ..fleet import edge
from ..fleet.core.errors import SettingError

CONFIGURABLE = (
    *('web', 'phases', 'experimental', 'server'),
    *('checks', 'checks.paths', 'readonly'),
)
# ... but for these items, or what starts like them.
RESERVED = {
    'web': (
        *('static', 'templates', 'accesslog', 'errorlog'),
        *('cacerts', 'certificate'),
    ),
    'server': ('validate',),
    'experimental': ('server.allow-hidden-access',),
    'checks': ('policy.', 'bypass.'),
    'readonly': ('all',),
}


def check(name: str, content: str) -> config.config:
    """Return an hgrc as Mercurial reads it; ``name`` is what errors call it.

    Raises SettingError when a repository may not have it.
    """

    def include(other: bytes, **_options: Any) -> None:
        raise SettingError(
            f'{name}: a hosted repository may not include {edge.text(other)}',
            'write all of it into one file',
        )

    # Mercurial's own parser: another one might read something else.
    found = config.config()
    try:
        found.parse(edge.local(name), content.encode(), include=include)
    except (ValueError, error.ConfigError) as problem:
        raise unusable(name, problem) from None
    for section in map(edge.text, found):
        if section not in CONFIGURABLE:
            raise SettingError(
                f'{name}: a hosted repository may not set [{section}]',
                f'it may set {", ".join(CONFIGURABLE)}',
            )
        for key, _value in found.items(edge.local(section)):
            item = edge.text(key)
            if item.startswith(RESERVED.get(section, ())):
                raise SettingError(
                    f'{name}: a hosted repository may not set {section}.{item}',
                    'set it in the hgrc of the nodes',
                )
    return found


def unusable(name: str, problem: Exception) -> SettingError:
    """Return the error for a file that is no hgrc."""
    return SettingError(f'{name} cannot be used as an hgrc: {problem}')
