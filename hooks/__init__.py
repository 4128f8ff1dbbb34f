"""Push checks: one policy, one file.

Each module named in :data:`POLICIES` has a docstring, which is its manual in
``hg help checks``; ``ITEMS``, its settings and their defaults; and ``begin``,
which returns what judges a push (see ``hgext3rd.fleet.core.checks``).  None
of them needs Mercurial.
"""

from __future__ import annotations

# In the order in which they are asked, and in which people are told.
POLICIES = (
    'closure',
    'limits',
    'integrity',
    'heads',
    'roots',
    'branches',
    'bookmarks',
    'merges',
    'authors',
    'messages',
    'dates',
    'signatures',
    'paths',
    'filenames',
    'symlinks',
    'subrepos',
    'execbits',
    'sizes',
    'encodings',
    'conflicts',
    'secrets',
)
