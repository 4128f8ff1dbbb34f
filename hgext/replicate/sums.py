"""The sums of a repository's files that nothing else vouches for.

See ``core/sums.py``.  What is only appended to is read from where it ended
before, so this costs the same for a long history as for a short one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from hgext3rd.pushlog import store as pushlog

from ..fleet import files
from ..fleet.core.sums import Sum
from ..fleet.edge import text

REPLACED = ('hgrc', 'requires', 'store/requires')
APPENDED = (
    'store/obsstore',
    f'store/{text(pushlog.FILE)}',
    f'store/{text(pushlog.USERS)}',
)
"""Names below ``.hg``."""

_PIECE = 1 << 20


def take(inside: str, before: Mapping[str, Sum]) -> dict[str, Sum]:
    """Return the sums of the files below ``inside``, which is an ``.hg``.

    ``before`` are earlier ones, of which those of files that were appended
    to are only continued.
    """
    found = {}
    for name in REPLACED:
        data = files.read(os.path.join(inside, name))
        if data is not None:
            found[name] = Sum().then(data)
    for name in APPENDED:
        one = _continued(os.path.join(inside, name), before.get(name, Sum()))
        if one is not None:
            found[name] = one
    return found


def _continued(path: str, known: Sum) -> Sum | None:
    try:
        with open(path, 'rb') as file:
            if os.fstat(file.fileno()).st_size < known.size:
                known = Sum()
            file.seek(known.size)
            while piece := file.read(_PIECE):
                known = known.then(piece)
    except FileNotFoundError:
        return None
    return known
